"""Where files may lie: the rule that jobs, plan and validate share."""

from pathlib import Path

import pytest

from headrace.declarations.config import load_settings
from headrace.errors import ConfigError, JobFailure
from headrace.jobapi.folders import Folders, MissingFile


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("pipelines/team/sql", "pipelines/sql", "exports", "jobs/sql", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "config.yaml").write_text("{}\n")
    (tmp_path / "jobs" / "x.py").write_text("")
    return tmp_path


@pytest.fixture
def folders(project: Path) -> Folders:
    environ = {"HEADRACE_CONFIG": str(project / "config.yaml")}
    return load_settings(environ).folders("team")


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path.resolve()


def test_a_file_is_found_beside_the_pipeline_then_in_the_pipelines_then_in_the_outputs(
    project: Path, folders: Folders
) -> None:
    for folder in ("exports", "pipelines", "pipelines/team"):
        expected = put(project / folder / "a" / "x.csv")
        assert folders.find("a/x.csv") == expected


def test_an_sql_file_is_found_in_the_folder_sql_of_each_and_last_in_jobs_sql(
    project: Path, folders: Folders
) -> None:
    (project / "exports").mkdir(exist_ok=True)
    places = ("jobs/sql", "exports/sql", "exports", "pipelines/sql", "pipelines")
    for folder in (*places, "pipelines/team/sql", "pipelines/team"):
        expected = put(project / folder / "x.sql")
        assert folders.find_sql("x.sql") == expected


def test_an_sql_file_is_found_in_the_projects_folder_sql_by_both_spellings(
    project: Path, folders: Folders
) -> None:
    expected = put(project / "sql" / "y.sql")

    assert folders.find_sql("y.sql") == folders.find_sql("sql/y.sql") == expected
    for beside in ("config.yaml", "jobs/x.py"):
        with pytest.raises(JobFailure, match="leaves the folders"):
            folders.find_sql(beside)
    with pytest.raises(MissingFile, match=r"there is no file 'sql/y\.sql' beside"):
        folders.find("sql/y.sql")
    assert project / "sql" in folders.kept


@pytest.mark.parametrize(
    "path", ["../../outside/x", "../outside/x", "{project}/outside/x", "link/x", "../../jobs/x.py"]
)
def test_a_path_never_leaves_the_folders(project: Path, folders: Folders, path: str) -> None:
    put(project / "outside" / "x")
    (project / "pipelines" / "link").symlink_to(project / "outside")

    with pytest.raises(JobFailure, match="searched from the pipeline file's folder, then"):
        folders.find(path.format(project=project))
    with pytest.raises(JobFailure, match="never leaves them"):
        folders.find_sql(path.format(project=project))


def test_what_stays_inside_may_go_up(project: Path, folders: Folders) -> None:
    expected = put(project / "pipelines" / "x.csv")

    assert folders.find("../x.csv") == expected


def test_a_missing_file_is_told_with_the_places_where_it_was_looked_for(
    project: Path, folders: Folders
) -> None:
    with pytest.raises(JobFailure, match=r"no file 'n\.csv' beside the pipeline.*exports"):
        folders.find("n.csv")
    with pytest.raises(JobFailure, match="is not a file"):
        folders.find("sql")


@pytest.mark.parametrize(
    "path",
    [
        "../jobs/x.py",
        "../config.yaml",
        "../pipelines/p.yaml",
        "{project}/pipelines/p.yaml",
        "a/../../jobs/x.py",
        "link/x.csv",
        "file.csv",
        "",
        ".",
        "a\0b",
        "/etc/cron.d/x",
    ],
)
def test_nothing_is_written_outside_the_output_folders(
    project: Path, folders: Folders, path: str
) -> None:
    (project / "exports" / "link").symlink_to(project / "jobs")
    (project / "exports" / "file.csv").symlink_to(project / "jobs" / "x.py")

    with pytest.raises(JobFailure, match=r"leaves the output folders|is not a path"):
        folders.to_write(path.format(project=project))


def test_a_relative_path_is_written_inside_the_first_output_folder(
    project: Path, folders: Folders
) -> None:
    assert folders.to_write("a/b.csv") == (project / "exports/a/b.csv").resolve()


def test_an_output_folder_that_became_a_link_to_code_is_not_written(
    project: Path, folders: Folders
) -> None:
    (project / "exports").rmdir()
    (project / "exports").symlink_to(project / "jobs")

    with pytest.raises(JobFailure, match="overlaps"):
        folders.to_write("x.py")


@pytest.mark.parametrize(
    "folder", [".", "jobs", "jobs/out", "pipelines", "pipelines/out", ".headrace", "/", "runner/.."]
)
def test_output_folders_apart_from_code_pipelines_and_settings_only(
    project: Path, folder: str
) -> None:
    (project / "config.yaml").write_text(f"output_folders: [out, {folder}]\n")

    with pytest.raises(ConfigError, match=r"config\.yaml:1:\d+: jobs must not write to"):
        load_settings({}, config_file=project / "config.yaml")


def test_several_output_folders_may_be_named(project: Path, tmp_path_factory) -> None:
    share = tmp_path_factory.mktemp("share")
    (project / "config.yaml").write_text(f"output_folders: [out, {share}]\n")

    folders = load_settings({}, config_file=project / "config.yaml").folders()

    assert folders.to_write("x.csv") == (project / "out/x.csv").resolve()
    assert folders.to_write(f"{share}/x.csv") == share.resolve() / "x.csv"
    expected = put(share / "y.csv")
    assert folders.find("y.csv") == expected


def test_pipelines_may_lie_anywhere(project: Path, tmp_path_factory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "p"
    sql = put(elsewhere / "sql" / "a.sql")
    environ = {"HEADRACE_PIPELINES": str(elsewhere)}

    folders = load_settings(environ, config_file=project / "config.yaml").folders()

    assert folders.find_sql("a.sql") == sql
    assert folders.to_write("x.csv") == elsewhere.parent.resolve() / "exports" / "x.csv"


def test_no_output_folder_means_that_nothing_is_written(project: Path) -> None:
    (project / "config.yaml").write_text("output_folders: []\n")
    folders = load_settings({}, config_file=project / "config.yaml").folders()

    with pytest.raises(JobFailure, match="output_folders is empty"):
        folders.to_write("x.csv")


def test_a_name_that_only_looks_like_a_files_is_told_so(project: Path, folders: Folders) -> None:
    put(project / "pipelines" / "gr\u00f6\u00dfen.csv")
    with pytest.raises(JobFailure, match="looks the same, but its letters with marks are other"):
        folders.find("gro\u0308\u00dfen.csv")
