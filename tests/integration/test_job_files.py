"""Job files that are newer than the processes that run: said wherever a person looks."""

from pathlib import Path

import pytest

from headrace.engine.catalog.job_files import digest_of
from tests.matrix.conftest import project, wait_ready
from tests.support.cli import Headrace
from tests.support.servers import embedded_servers
from tests.support.up import Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

_JOB = """
from jobs.base import BaseJob

class {name}(BaseJob):
    def handle(self):
        return {{"said": "{said}"}}
"""
_OTHER = "runs with other job files than those on disk here"


def write(headrace: Headrace, name: str, said: str) -> None:
    folder = headrace.folder / "jobs"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name.lower()}.py"
    path.write_text(_JOB.format(name=name, said=said))
    pipeline = f"name: {name.lower()}\nsteps: [{{id: only, job: {name}}}]\n"
    (headrace.folder / "pipelines" / f"{name.lower()}.yaml").write_text(pipeline)


def said_of(up: Up, name: str) -> str:
    run = up.run(name)
    assert run["status"] == "completed", run
    return str(run["jobs"][0]["result"]["said"])


def test_processes_that_have_loaded_other_job_files_are_named_until_they_are_restarted(
    tmp_path: Path,
) -> None:
    headrace = project(tmp_path)
    write(headrace, "Greets", "before")
    with embedded_servers(tmp_path / "home") as own:
        up = Up(headrace, own.database_url)
        with headrace.started("up", "--workers", "1") as running:
            wait_ready(up.http, running)
            assert said_of(up, "greets") == "before"
            assert headrace("workers").err == ""
            assert _OTHER not in headrace("run", "greets", "--detach").err
            write(headrace, "Greets", "after")
            write(headrace, "Parts", "new")

            running.wait_for("job files have changed since this daemon loaded them")
            running.wait_for(_OTHER)
            assert said_of(up, "greets") == "before"
            _is_named(headrace, up)
            running.stop()
            assert running.output().count(_OTHER) == 1, running.output()

        with headrace.started("up", "--workers", "1") as running:
            wait_ready(up.http, running)
            assert (said_of(up, "greets"), said_of(up, "parts")) == ("after", "new")
            assert _OTHER not in headrace("workers").err
            running.stop()
            assert "job files" not in running.output()


def _is_named(headrace: Headrace, up: Up) -> None:
    ((name,),) = up.query("select name from headrace.worker where status = 'running'")
    for command in (("workers",), ("run", "greets", "--detach"), ("run", "greets")):
        assert f"worker {name} {_OTHER}" in headrace(*command).err
    assert f"worker {name} {_OTHER}" in headrace("top").out
    (row,) = headrace("workers", "--json").json["items"]
    assert row["other_job_files"] is True
    look = headrace("top", "--json").json
    assert [(one["name"], one["other_job_files"]) for one in look["workers"]] == [(name, True)]
    assert (look["leader"]["live"], look["leader"]["late"]) == (True, False)


def test_a_digest_is_of_names_and_contents_and_of_no_place(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        (folder / "sub").mkdir(parents=True)
        (folder / "a.py").write_text("x = 1")
        (folder / "sub" / "b.py").write_text("y = 1")
    first, second = ([folder] for folder in folders)
    assert digest_of(first) == digest_of(second)
    (folders[1] / "sub" / "b.py").rename(folders[1] / "b.py")
    assert digest_of(first) != digest_of(second)


def test_what_is_hidden_is_no_job_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    before = digest_of([tmp_path])
    (tmp_path / ".venv" / "lib").mkdir(parents=True)
    (tmp_path / ".venv" / "lib" / "b.py").write_text("y = 1")
    assert digest_of([tmp_path]) == before
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "b.py").write_text("y = 1")
    assert digest_of([tmp_path]) != before
