"""Hot reload: what an edited, added, broken or removed file does to the pipelines in force."""

import itertools
import time
from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.errors import ProblemsError, UnknownPipeline

GOOD = "name: {name}\ndescription: {text}\nsteps:\n  - {{id: only, job: FailedJob}}\n"
BROKEN = "name: {name}\nsteps:\n  - {{id: only, job: FaildJob}}\n"
FIVE_STEPS = """\
name: p{number}
schedule: {{cron: "{minute} * * * *", timezone: Europe/Berlin, jitter: 30s}}
params: {{day: {{type: date, default: "{{{{ run.logical_date }}}}"}}}}
steps:
  - {{id: a, job: LoadFile, with: {{path: "{{{{ params.day }}}}.csv", table: t}}}}
  - {{id: b, job: TruncateTable, depends_on: [a], with: {{table: t}}}}
  - {{id: c, job: RunSql, depends_on: [a], with: {{sql_path: c.sql}}}}
  - {{id: d, job: SlowQuery, depends_on: [b, c], with: {{duration: 1}}, retry: {{limit: 1}}}}
  - {{id: e, job: FailedJob, depends_on: [d], trigger_rule: all_done, timeout: 5m}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "pipelines"


@pytest.fixture
def pipelines(tmp_path: Path, folder: Path) -> Pipelines:
    folder.mkdir()
    return Pipelines(Settings(tmp_path, tmp_path, folder), Registry())


def write(folder: Path, file: str, template: str, name: str, text: str = "some") -> None:
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(template.format(name=name, text=text))


def test_an_edited_file_takes_effect(pipelines: Pipelines, folder: Path) -> None:
    write(folder, "a.yaml", GOOD, "a", "before")
    assert pipelines.get("a").description == "before"
    write(folder, "a.yaml", GOOD, "a", "after")

    assert pipelines.refresh()

    assert pipelines.get("a").description == "after"


def test_files_as_they_were_are_not_read_again(pipelines: Pipelines, folder: Path) -> None:
    write(folder, "a.yaml", GOOD, "a")
    write(folder, "b.yaml", GOOD, "b")
    assert pipelines.refresh()
    assert not pipelines.refresh()
    before = pipelines.get("a")
    write(folder, "b.yaml", GOOD, "b", "edited")

    assert pipelines.refresh()

    assert pipelines.get("a") is before


def test_a_broken_edit_keeps_the_last_good_version_and_shows_its_problem(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "a.yaml", GOOD, "a", "good")
    pipelines.refresh()
    for text in (BROKEN.format(name="a"), "name: a\nsteps: [", ""):
        (folder / "a.yaml").write_text(text)

        assert pipelines.refresh()

        assert pipelines.get("a").description == "good"
        assert all(problem.file.endswith("a.yaml") for problem in pipelines.problems)
        assert pipelines.problems
    write(folder, "a.yaml", GOOD, "a", "mended")
    pipelines.refresh()
    assert pipelines.get("a").description == "mended"
    assert pipelines.problems == []


def test_a_removed_file_takes_its_pipeline_out_of_force(pipelines: Pipelines, folder: Path) -> None:
    write(folder, "a.yaml", GOOD, "a")
    write(folder, "b.yaml", GOOD, "b")
    pipelines.refresh()
    write(folder, "b.yaml", BROKEN, "b")
    pipelines.refresh()
    (folder / "a.yaml").unlink()
    (folder / "b.yaml").unlink()

    assert pipelines.refresh()

    assert pipelines.by_name == {}
    with pytest.raises(UnknownPipeline, match='"b"'):
        pipelines.get("b")


def test_a_renamed_pipeline_is_in_force_under_its_new_name_only(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "a.yaml", GOOD, "a")
    pipelines.refresh()
    write(folder, "a.yaml", GOOD, "renamed")

    pipelines.refresh()

    assert list(pipelines.by_name) == ["renamed"]


def test_a_second_file_of_the_same_name_changes_nothing_in_force(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "a.yaml", GOOD, "a", "first")
    pipelines.refresh()
    write(folder, "b.yaml", GOOD, "a", "second")

    pipelines.refresh()

    assert pipelines.get("a").description == "first"
    assert {problem.code for problem in pipelines.problems} == {"duplicate-name"}
    (folder / "a.yaml").unlink()
    pipelines.refresh()
    assert pipelines.get("a").description == "second"
    assert pipelines.problems == []


def test_a_file_that_never_was_valid_tells_why(pipelines: Pipelines, folder: Path) -> None:
    write(folder, "file.yaml", BROKEN, "inside")
    for name in ("inside", "file"):
        with pytest.raises(ProblemsError, match="FailedJob"):
            pipelines.get(name)


def test_changed_defaults_take_effect_below_their_folder_only(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "a.yaml", GOOD, "a")
    write(folder, "sub/b.yaml", GOOD, "b")
    pipelines.refresh()
    a, b = pipelines.get("a"), pipelines.get("b")
    (folder / "sub" / "_defaults.yaml").write_text("queue: low\n")

    assert pipelines.refresh()

    assert pipelines.get("a") is a
    assert pipelines.get("b").steps[0].queue == "low"
    assert pipelines.get("b").version != b.version
    (folder / "sub" / "_defaults.yaml").unlink()
    assert pipelines.refresh()
    assert pipelines.get("b") == b


def test_broken_defaults_keep_what_was_in_force(pipelines: Pipelines, folder: Path) -> None:
    write(folder, "a.yaml", GOOD, "a")
    (folder / "_defaults.yaml").write_text("queue: low\n")
    pipelines.refresh()
    (folder / "_defaults.yaml").write_text("queue: lwo\n")
    write(folder, "new.yaml", GOOD, "new")

    pipelines.refresh()

    assert pipelines.get("a").steps[0].queue == "low"
    assert [problem.code for problem in pipelines.problems] == ["unknown-queue"]
    with pytest.raises(ProblemsError, match="lwo"):
        pipelines.get("new")


def test_a_folder_that_is_gone_is_a_problem_and_comes_back(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "a.yaml", GOOD, "a")
    pipelines.refresh()
    folder.rename(folder.with_name("elsewhere"))
    pipelines.refresh()
    assert pipelines.by_name == {}
    assert [problem.code for problem in pipelines.problems] == ["missing-folder"]

    folder.with_name("elsewhere").rename(folder)
    pipelines.refresh()

    assert list(pipelines.by_name) == ["a"]


def test_of_a_thousand_pipelines_one_edit_changes_one(pipelines: Pipelines, folder: Path) -> None:
    for number in range(1000):
        text = FIVE_STEPS.format(number=number, minute=number % 60)
        (folder / f"p{number}.yaml").write_text(text)
    pipelines.refresh()
    assert pipelines.problems == []
    assert len(pipelines.by_name) == 1000
    before = dict(pipelines.by_name)
    (folder / "p500.yaml").write_text(FIVE_STEPS.format(number=500, minute=7))

    pipelines.refresh()

    assert pipelines.get("p500").schedules[0].cron == "7 * * * *"
    read_again = [name for name, one in pipelines.by_name.items() if one is not before[name]]
    assert read_again == ["p500"]


def test_an_edited_template_of_the_folder_takes_effect(pipelines: Pipelines, folder: Path) -> None:
    template = "templates: {{one: {{step: {{job: FailedJob, description: {text}}}}}}}\n"
    write(folder, "_defaults.yaml", template, "", "before")
    (folder / "a.yaml").write_text("name: a\nsteps: [{id: only, template: one}]\n")
    before = pipelines.get("a")
    write(folder, "_defaults.yaml", template, "", "after")

    assert pipelines.refresh()

    after = pipelines.get("a")
    assert (before.steps[0].description, after.steps[0].description) == ("before", "after")
    assert before.version != after.version


def test_a_broken_template_of_the_folder_keeps_its_pipelines_in_force(
    pipelines: Pipelines, folder: Path
) -> None:
    template = "templates: {{one: {{step: {{job: {text}}}}}}}\n"
    write(folder, "_defaults.yaml", template, "", "FailedJob")
    (folder / "a.yaml").write_text("name: a\nsteps: [{id: only, template: one}]\n")
    before = pipelines.get("a")
    write(folder, "_defaults.yaml", template, "", "FaildJob")

    assert pipelines.refresh()

    assert pipelines.get("a") == before
    assert [problem.code for problem in pipelines.problems] == ["unknown-job"]


RUNS = "name: {name}\nsteps:\n  - {{id: down, pipeline: {text}}}\n"


def test_an_edit_is_held_against_the_pipelines_that_run_it(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "parent.yaml", RUNS, "parent", "child")
    write(folder, "child.yaml", GOOD, "child")
    pipelines.refresh()
    assert not pipelines.problems
    before = pipelines.get("parent")
    write(folder, "child.yaml", GOOD, "renamed")

    assert pipelines.refresh()

    (problem,) = pipelines.problems
    assert (problem.code, problem.file.rpartition("/")[2]) == ("unknown-pipeline", "parent.yaml")
    assert pipelines.get("parent") is before
    write(folder, "child.yaml", GOOD, "child")
    pipelines.refresh()
    assert not pipelines.problems


def test_a_cycle_across_files_lasts_as_long_as_both_edits(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "a.yaml", RUNS, "a", "b")
    write(folder, "b.yaml", GOOD, "b")
    pipelines.refresh()
    write(folder, "b.yaml", RUNS, "b", "a")

    pipelines.refresh()

    assert [problem.code for problem in pipelines.problems] == ["pipeline-cycle"] * 2
    assert pipelines.get("b").steps[0].pipeline is None  # The last good version.
    write(folder, "a.yaml", GOOD, "a")
    pipelines.refresh()
    assert not pipelines.problems
    assert pipelines.get("b").steps[0].pipeline == "a"


AFTER = "name: {name}\ntrigger: {text}\nsteps:\n  - {{id: only, job: FailedJob}}\n"


def codes(pipelines: Pipelines) -> list[tuple[str, str]]:
    return [(Path(problem.file).stem, problem.code) for problem in pipelines.problems]


def test_a_removed_upstream_is_a_problem_of_its_dependants_which_stay_in_force(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "load.yaml", GOOD, "load")
    write(folder, "after.yaml", AFTER, "after", "load")
    pipelines.refresh()
    (folder / "load.yaml").unlink()

    pipelines.refresh()

    assert codes(pipelines) == [("after", "unknown-pipeline")]
    assert list(pipelines.by_name) == ["after"]
    write(folder, "load.yaml", GOOD, "load")
    pipelines.refresh()
    assert pipelines.problems == []


def test_a_broken_upstream_is_no_problem_of_its_dependants(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "load.yaml", GOOD, "load")
    write(folder, "other.yaml", GOOD, "called_otherwise")
    write(folder, "after.yaml", AFTER, "after", "{{pipelines: [load, called_otherwise]}}".format())
    pipelines.refresh()
    for text in (BROKEN.format(name="load"), "name: load\nsteps: ["):
        (folder / "load.yaml").write_text(text)
        (folder / "other.yaml").write_text("steps: [")

        pipelines.refresh()

        assert {file for file, _code in codes(pipelines)} == {"load", "other"}
        assert sorted(pipelines.by_name) == ["after", "called_otherwise", "load"]


def test_a_circle_never_comes_into_force_however_it_is_closed(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "a.yaml", GOOD, "a")
    write(folder, "b.yaml", AFTER, "b", "a")
    pipelines.refresh()
    write(folder, "a.yaml", AFTER, "a", "b")
    pipelines.refresh()
    assert codes(pipelines) == [("a", "pipeline-cycle"), ("b", "pipeline-cycle")]
    assert pipelines.get("a").trigger is None
    # While b is broken its last good version counts.
    (folder / "b.yaml").write_text("name: b\nsteps: [")
    pipelines.refresh()
    assert ("a", "pipeline-cycle") in codes(pipelines)
    assert pipelines.get("a").trigger is None
    write(folder, "b.yaml", GOOD, "b")

    pipelines.refresh()

    assert pipelines.problems == []
    assert pipelines.get("a").trigger is not None


def test_a_step_of_a_broken_pipelines_last_good_version_closes_a_circle_too(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "b.yaml", GOOD, "b")
    write(folder, "c.yaml", GOOD, "c")
    (folder / "a.yaml").write_text("name: a\ntrigger: c\nsteps: [{id: only, pipeline: b}]\n")
    pipelines.refresh()
    (folder / "a.yaml").write_text("name: a\nsteps: [")
    write(folder, "c.yaml", AFTER, "c", "b")

    pipelines.refresh()

    assert ("c", "pipeline-cycle") in codes(pipelines)
    assert pipelines.get("c").trigger is None


def test_two_pipelines_may_exchange_their_trigger_in_one_edit(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "a.yaml", GOOD, "a")
    write(folder, "b.yaml", AFTER, "b", "a")
    pipelines.refresh()
    write(folder, "a.yaml", AFTER, "a", "b")
    write(folder, "b.yaml", GOOD, "b")

    pipelines.refresh()

    assert pipelines.problems == []


def test_of_a_thousand_pipelines_in_a_chain_one_edit_reads_one(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "p0.yaml", GOOD, "p0")
    for number in range(1, 1000):
        write(folder, f"p{number}.yaml", AFTER, f"p{number}", f"p{number - 1}")
    pipelines.refresh()
    assert pipelines.problems == []
    before = dict(pipelines.by_name)
    write(folder, "p500.yaml", AFTER, "p500", "{{pipelines: [p499, p7]}}".format())

    pipelines.refresh()

    read_again = [name for name, one in pipelines.by_name.items() if one is not before[name]]
    assert read_again == ["p500"]
    write(folder, "p0.yaml", AFTER, "p0", "p999")
    pipelines.refresh()
    assert {code for _file, code in codes(pipelines)} == {"pipeline-cycle"}
    assert len(pipelines.by_name) == 1000


def test_a_renamed_upstream_is_a_problem_of_its_dependants(
    pipelines: Pipelines, folder: Path
) -> None:
    write(folder, "load.yaml", GOOD, "load")
    write(folder, "after.yaml", AFTER, "after", "load")
    pipelines.refresh()
    write(folder, "load.yaml", GOOD, "loading")

    pipelines.refresh()

    assert codes(pipelines) == [("after", "unknown-pipeline")]
    assert pipelines.problems[0].hint == 'did you mean "loading"?'
    assert list(pipelines.by_name) == ["loading", "after"]


def test_who_asks_again_and_again_lets_a_large_folder_rest(
    pipelines: Pipelines, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "a.yaml", GOOD, "a", "before")
    assert pipelines.refresh(sparing=True)
    write(folder, "a.yaml", GOOD, "a", "after")
    pipelines._rest_until = time.monotonic() + 3600

    assert not pipelines.refresh(sparing=True)
    assert pipelines.get("a").description == "before"
    assert pipelines.refresh()
    assert pipelines.get("a").description == "after"


def test_a_folder_that_takes_long_to_look_at_is_let_rest(
    pipelines: Pipelines, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "a.yaml", GOOD, "a", "before")
    monkeypatch.setattr(time, "thread_time", itertools.count(0.0, 0.02).__next__)
    asked = time.monotonic()

    assert pipelines.refresh(sparing=True)

    assert pipelines._rest_until >= asked + 2.0
    write(folder, "a.yaml", GOOD, "a", "after")
    assert not pipelines.refresh(sparing=True)


def test_the_folder_of_a_pipeline_is_told_from_the_pipelines_folder(
    tmp_path: Path, folder: Path
) -> None:
    folder.mkdir()
    write(folder, "sub/a.yaml", GOOD, "a")
    write(folder, "b.yaml", GOOD, "b")
    linked = tmp_path / "current"
    linked.symlink_to(folder)

    def folders(root: Path) -> list[str]:
        found = Pipelines(Settings(tmp_path, tmp_path, root), Registry())
        here = Pipelines(Settings(tmp_path, tmp_path, folder), Registry())
        return [found.folder_of(here.get(name)) for name in ("a", "b")]

    assert folders(folder) == ["sub", ""]
    # As a file that is validated by the path that the link leads to.
    assert folders(linked) == ["sub", ""]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert folders(elsewhere) == ["", ""]
