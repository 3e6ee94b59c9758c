"""What is installed is the package `headrace`, and it works away from the repository."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_string
from email.policy import default
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of a copy of what git knows, so that nothing else can be in it."""
    folder = tmp_path_factory.mktemp("wheel")
    known = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in filter(None, known.split("\0")):
        if name.startswith(("runner/", "jobs/", "schema/")) or "/" not in name:
            place = folder / "source" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place)
    pip = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(folder), str(folder / "source")], check=True)
    (found,) = folder.glob("headrace-*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which nothing is but the wheel and what the lock names."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    program = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python*/site-packages")
    for held in locked():
        for top in {file.parts[0] for file in held.files or ()} - {"..", "__pycache__"}:
            with contextlib.suppress(FileExistsError):  # a namespace that another one has
                (site / top).symlink_to(str(held.locate_file(top)))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(program)]
    subprocess.run([*pip, "install", "-qq", "--no-deps", "--no-index", str(wheel)], check=True)
    return program


def locked() -> Iterator[Distribution]:
    """Yield what is installed here of what the lock names."""
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if found := re.match(r"([\w.-]+)==", line):
            try:
                yield distribution(found[1])
            except PackageNotFoundError:
                assert ";" in line, f"{found[1]} is not installed"  # for another system


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    ours = ("HEADRACE_", "JOB_", "DATABASE_URL", "REDIS_URL", "PYTHON")
    found = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**found, "HOME": str(tmp_path)}


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    known = subprocess.check_output(
        ["git", "ls-files", "runner", "jobs", "schema"], cwd=ROOT, text=True
    ).split()
    wanted = {
        name.replace("runner/", "headrace/", 1)
        if name.startswith("runner/")
        else f"headrace/{name}"
        for name in known
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted


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


@pytest.mark.timeout(600)
def test_a_new_project_runs_its_first_pipeline_away_from_the_repository(python, environ, tmp_path):
    def headrace(*words: str, folder: Path) -> str:
        done = subprocess.run(
            [str(python.with_name("headrace")), *words],
            cwd=folder, env=environ, capture_output=True, text=True, timeout=250, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    headrace("init", "x", folder=tmp_path)
    assert "1 pipeline is valid" in headrace("validate", folder=tmp_path / "x")
    assert "completed" in headrace("run", "hello", folder=tmp_path / "x")
    # Without pytest, which the wheel does not bring.
    program = (
        "import runpy; runpy.run_path('tests/test_hello.py')['test_hello_greets_and_counts']()"
    )
    done = subprocess.run(
        [str(python), "-c", program],
        cwd=tmp_path / "x", env=environ, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


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
