"""The wheel under the other versions of Python that it names, where they are installed."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "runner/cli/project_template"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CLASSIFIER = "Programming Language :: Python :: "
NAMED = [
    one.removeprefix(CLASSIFIER)
    for one in PROJECT["classifiers"]
    if re.fullmatch(rf"{CLASSIFIER}3\.\d+", one)
]
OURS = f"3.{sys.version_info.minor}"
# As pip and uv tell that no package index answers.
UNREACHED = re.compile(
    r"NewConnectionError|Max retries exceeded|Temporary failure in name resolution"
    r"|error sending request|dns error|Could not connect"
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def interpreter(version: str) -> str | None:
    """A Python of the version, found on the PATH or beside those that pyenv has made."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    made = sorted(map(str, root.glob(f"versions/{version}.*/bin/python3")), reverse=True)
    for found in filter(None, (shutil.which(f"python{version}"), *made)):
        asked = [found, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        if said.strip() == version:
            return found
    return None


def install(python: Path, wheel: Path, constraints: Path) -> None:
    """Install the wheel and what the lock says of its needs, without the embedded servers."""
    what = ["--constraint", str(constraints), str(wheel)]
    uv = shutil.which("uv")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    command = (
        [uv, "pip", "install", "--quiet", "--python", str(python), *what]
        if uv
        else [*pip, "install", "-qq", "--no-compile", "--only-binary", ":all:", *what]
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    if done.returncode != 0 and UNREACHED.search(done.stderr):
        pytest.skip(f"no package index answers: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_this_python_is_one_of_those_that_are_named():
    assert OURS in NAMED


@pytest.mark.parametrize("version", [version for version in NAMED if version != OURS])
def test_the_wheel_checks_and_runs_a_project(
    version, wheel, environ, database, redis_url, tmp_path
):
    found = interpreter(version)
    if found is None:
        pytest.skip(f"no Python {version} is installed here")
    folder = tmp_path / "environment"
    subprocess.run([found, "-m", "venv", "--without-pip", str(folder)], check=True)
    pins = re.findall(
        r"^[\w.-]+==[^\s;\\]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(pins))
    install(folder / "bin" / "python", wheel, constraints)
    environ |= {"DATABASE_URL": database, "REDIS_URL": redis_url}

    def headrace(*words: str, cwd: Path) -> str:
        done = subprocess.run(
            [str(folder / "bin" / "headrace"), *words],
            cwd=cwd, env=environ, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    project = tmp_path / "shop"
    shutil.copytree(TEMPLATE, project, ignore=shutil.ignore_patterns("*cache*"))
    assert headrace("validate", cwd=project) == "2 pipelines are valid\n"
    assert "completed: 4 steps" in headrace("run", "daily_orders", cwd=project)
