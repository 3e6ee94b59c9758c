"""What commands tell of pipelines whose files are broken."""

import contextlib
from pathlib import Path

from tests.support.cli import Headrace
from tests.support.servers import connect

HOURLY = """\
name: hourly
schedule: {cron: "0 * * * *", catchup: none}
steps:
  - {id: one, job: Fibonacci, with: {n: 3}}
"""


def test_pipelines_and_schedules_tell_what_a_broken_file_has_stopped(
    tmp_path: Path, database: str, redis_url: str
) -> None:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "hourly.yaml").write_text(HOURLY)
    headrace = Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})
    assert headrace("pipelines").code == 0
    with contextlib.closing(connect(database)) as opened, opened.cursor() as cursor:
        # As an earlier version has kept it: without what could be read again.
        cursor.execute(
            "INSERT INTO headrace.pipeline (name, version, definition, file) VALUES"
            " ('hourly', 'v', '{}', 'pipelines/hourly.yaml')"
        )
        opened.commit()
    (folder / "_defaults.yaml").write_text("timeout: [\n")

    for command in ("pipelines", "schedules"):
        done = headrace(command)
        assert done.code == 0, done.err
        assert "hourly starts no runs because its file is broken: " in done.err


def test_a_path_that_is_too_long_is_a_problem_of_its_step(tmp_path: Path) -> None:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    long = "x" * 300
    (folder / "long.yaml").write_text(
        "name: long\nsteps:\n"
        f"  - {{id: load, job: LoadFile, with: {{path: {long}.csv, table: t}}}}\n"
        f"  - {{id: ask, job: RunSql, with: {{sql_path: {long}.sql}}}}\n"
    )

    done = Headrace(tmp_path, {})("validate")

    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    for place, kind in (("3:44", "csv"), ("4:45", "sql")):
        said = f"'{long}.{kind}' cannot be looked for: File name too long [bad-path]"
        assert f"pipelines/long.yaml:{place}: " in done.out
        assert said in done.out


def test_a_name_that_is_too_long_hides_no_other_file(tmp_path: Path) -> None:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "hourly.yaml").write_text(HOURLY)
    long = "x" * 300

    done = Headrace(tmp_path, {})("validate", long, "pipelines/hourly.yaml", "nowhere")

    assert (done.code, done.err) == (1, "2 problems in 2 files; 1 pipeline valid\n")
    assert f"{long}: it cannot be looked for: File name too long [missing-file]" in done.out
    assert "nowhere: there is no such file or folder [missing-file]" in done.out
