"""Where a file is looked for, what is said of it, and which places are noted meanwhile."""

import json
import sysconfig
from pathlib import Path

import pytest

from headrace.declarations.config import load_settings
from headrace.errors import JobFailure
from headrace.jobapi.folders import (
    Folders,
    MissingFile,
    PathRefused,
    folders_of_code,
    noted,
    overlapped,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("pipelines/team", "exports", "jobs/sql"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "config.yaml").write_text("{}\n")
    return tmp_path.resolve()


def folders_of(project: Path, folder: str = "team") -> Folders:
    return load_settings({"HEADRACE_CONFIG": str(project / "config.yaml")}).folders(folder)


def test_each_place_is_looked_at_once_before_it_is_read_and_none_afterwards(
    project: Path,
) -> None:
    (project / "pipelines" / "x.csv").write_text("x")
    folders, looked = folders_of(project), list[str]()

    def look(place: str) -> str:
        looked.append(place)
        return f"look {len(looked)}"

    with noted(look) as places:
        assert folders.find("x.csv") == folders.find("x.csv")
        seen = dict(places)
    folders.look_up("later.csv")

    beside, found = str(project / "pipelines/team/x.csv"), str(project / "pipelines/x.csv")
    assert {place: seen[place] for place in (beside, found)} == {
        place: f"look {looked.index(place) + 1}" for place in (beside, found)
    }
    assert len(looked) == len(seen)
    assert dict(places) == seen


def test_a_folder_that_would_lead_out_is_that_of_all_pipelines(project: Path) -> None:
    assert folders_of(project).own == project / "pipelines/team"
    for folder in ("..", "../jobs", "team/../.."):
        assert folders_of(project, folder).own == project / "pipelines"


def test_a_place_is_named_once_among_those_where_a_missing_file_was_looked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)

    with pytest.raises(MissingFile) as missing:
        folders_of(project, "").find("n.csv")
    assert str(missing.value).endswith("it was looked for in pipelines, exports")
    assert missing.value.code == "missing-file"
    with pytest.raises(MissingFile) as missing:
        folders_of(project, "").find_sql("n.sql")
    listed = "pipelines, pipelines/sql, exports, exports/sql, sql, jobs/sql"
    assert listed in str(missing.value)
    elsewhere = project / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(MissingFile, match=f"looked for in {project}/pipelines, "):
        folders_of(project, "").find("n.csv")


def test_a_path_that_leads_out_is_refused_whether_a_file_is_there_or_not(project: Path) -> None:
    for path in ("../../outside/n.csv", f"{project}/config.yaml", f"{project}/n.csv"):
        with pytest.raises(PathRefused, match="leaves the folders") as refused:
            folders_of(project).find(path)
        assert refused.value.code == "bad-path"
    for path in (f"{project}/config.yaml", f"{project}/n.csv"):
        with pytest.raises(PathRefused, match="; an SQL file also in a folder sql of each"):
            folders_of(project).find_sql(path)


def test_a_missing_file_would_stand_beside_its_pipeline(project: Path) -> None:
    assert folders_of(project).look_up("n.csv") == project / "pipelines/team/n.csv"


def test_a_folder_is_no_file_to_write(project: Path) -> None:
    (project / "exports" / "day").mkdir()

    with pytest.raises(JobFailure, match='"day" is a folder; name a file in it'):
        folders_of(project).to_write("day")


def test_what_overlaps_is_found_through_links_on_either_side(project: Path) -> None:
    link = project / "link"
    link.symlink_to(project / "jobs")

    assert overlapped(link / "sql", [project / "exports", project / "jobs"]) == project / "jobs"
    assert overlapped(project / "jobs" / "sql", [link]) == link
    assert overlapped(project, [link]) == link
    assert overlapped(project / "exports", [link]) is None


def test_code_is_kept_wherever_python_finds_it(project: Path) -> None:
    kept = folders_of_code(project)

    code = [project / "jobs", *(ROOT / name for name in ("runner", "jobs", "schema"))]
    code += [Path(json.__file__).parent, Path(sysconfig.get_path("purelib"))]
    for folder in code:
        assert overlapped(folder, kept), folder
    assert overlapped(project / "exports", kept) is None


def test_a_name_that_is_no_path_is_told_as_one(project: Path) -> None:
    circle = project / "pipelines" / "circle"
    circle.symlink_to(circle)
    folders = folders_of(project)

    for look in (folders.find, folders.find_sql, folders.to_write):
        with pytest.raises(PathRefused, match="is not a path: embedded null"):
            look("a\0b")
        with pytest.raises(PathRefused, match=r"x' cannot be looked for: File name too long$"):
            look("x" * 5000)
    with pytest.raises(PathRefused, match="circle"):
        folders.find("../circle")
