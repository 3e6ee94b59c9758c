"""Where a calendar's file is looked for, what it may hold, and that it is part of a version."""

import os
from datetime import date
from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.load import load_folder
from headrace.declarations.loaded_file import LoadedFile
from headrace.declarations.one_file import load_file
from tests.support.catalogue import SmallCatalogue

PIPELINE = """\
name: {name}
schedule: {{cron: "@daily", calendar: {{days: holidays, file: {file}}}}}
steps:
  - {{id: only, job: FailedJob}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipelines" / "sales").mkdir(parents=True)
    return tmp_path / "pipelines"


def load(folder: Path, file: str, at: str = "sales/p.yaml") -> LoadedFile:
    path = folder / at
    path.write_text(PIPELINE.format(name="p", file=file))
    return load_file(path, SmallCatalogue(), Settings(folder.parent, folder.parent, folder))


def dates_of(loaded: LoadedFile) -> tuple[date, ...]:
    assert [*loaded.problems, *loaded.outer] == []
    assert loaded.pipeline is not None
    calendar = loaded.pipeline.schedules[0].calendar
    assert calendar is not None
    return calendar.dates


def test_the_file_beside_the_pipeline_comes_before_that_of_the_pipelines_folder(folder):
    (folder / "days.txt").write_text("2026-12-31\n")
    assert dates_of(load(folder, "days.txt")) == (date(2026, 12, 31),)

    (folder / "sales" / "days.txt").write_text("2026-12-24\n")
    assert dates_of(load(folder, "days.txt")) == (date(2026, 12, 24),)
    assert dates_of(load(folder, "../days.txt")) == (date(2026, 12, 31),)


def test_no_link_leads_out_of_the_folder(folder, tmp_path):
    (tmp_path / "outside.txt").write_text("2026-12-24\n")
    (folder / "days.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "circle.txt").symlink_to(folder / "circle.txt")

    assert [problem.code for problem in load(folder, "days.txt").problems] == ["bad-path"]
    assert [problem.code for problem in load(folder, "../../outside.txt").problems] == ["bad-path"]
    assert load(folder, "circle.txt").problems
    assert load(folder, "x" * 300).problems


def test_a_file_that_is_no_file_is_not_waited_for(folder):
    os.mkfifo(folder / "days.txt")

    assert [problem.code for problem in load(folder, "days.txt").problems] == ["missing-file"]


def test_text_has_one_day_a_line_with_names_and_comments(folder):
    (folder / "days.txt").write_bytes(
        b"\xef\xbb\xbf# closed\r\n2026-12-31 New Year's Eve\r\n\r\n"
        b"  2026-12-24\t# half\r\n2026-12-24\r\n"
    )

    assert dates_of(load(folder, "days.txt")) == (date(2026, 12, 24), date(2026, 12, 31))


def test_yaml_has_a_list_of_days(folder):
    (folder / "_days.yaml").write_text("- 2026-12-31\n- '2026-12-24' # half\n")

    assert dates_of(load(folder, "_days.yaml")) == (date(2026, 12, 24), date(2026, 12, 31))


def test_a_bad_line_is_told_once_for_all_pipelines_that_use_it_and_each_is_invalid(folder):
    (folder / "days.txt").write_text("2026-12-24\n31.12.2026\n")
    for name in ("a", "b"):
        (folder / f"{name}.yaml").write_text(PIPELINE.format(name=name, file="days.txt"))

    result = load_folder(folder, SmallCatalogue(), Settings(folder.parent, folder.parent, folder))

    assert result.pipelines == {}
    assert [(Path(one.file).name, one.line, one.column, one.code) for one in result.problems] == [
        ("days.txt", 2, 1, "bad-date")
    ]


def test_no_more_than_a_hundred_bad_lines_are_told(folder):
    (folder / "days.txt").write_text("tomorrow\n" * 5000)

    assert len(load(folder, "days.txt").outer) == 100


def test_a_file_that_is_too_large_is_not_read(folder):
    (folder / "days.txt").write_text("2026-12-24\n" * 100_000)

    assert [problem.code for problem in load(folder, "days.txt").outer] == ["too-large"]


def test_the_file_is_part_of_the_version_of_its_pipelines_only(folder):
    def versions() -> tuple[str, str]:
        used = load(folder, "days.txt").pipeline
        other = load_file(
            folder / "other.yaml", SmallCatalogue(), Settings(folder.parent, folder.parent, folder)
        ).pipeline
        assert used is not None
        assert other is not None
        return used.version, other.version

    (folder / "other.yaml").write_text("name: o\nsteps:\n  - {id: only, job: FailedJob}\n")
    (folder / "days.txt").write_text("2026-12-24\n")
    before = versions()
    assert versions() == before

    (folder / "days.txt").write_text("2026-12-31\n")
    after = versions()

    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_misspelt_file_is_guessed_where_a_folder_of_its_name_is(folder):
    (folder / "closed").mkdir()
    (folder / "closed" / "days.txt").write_text("2026-12-31\n")

    # There is no folder `closed` beside the pipeline itself.
    (problem,) = load(folder, "closed/dasy.txt").problems

    assert (problem.code, problem.message) == (
        "missing-file",
        'there is no calendar file "closed/dasy.txt"',
    )
    assert problem.hint == 'did you mean "closed/days.txt"?'
    (problem,) = load(folder, "open/days.txt").problems
    assert problem.hint == "it is searched in the pipeline's folder, then in the pipelines folder"
