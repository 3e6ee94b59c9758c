"""The README, done as a newcomer does it: in a fresh copy, command by command."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import deadline

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# These run this very test.
OF_THE_DEVELOPERS = {"make test", "make lint"}

PORT = free_port()
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def commands() -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [block for language, block in BLOCK.findall(text) if not language]
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.match(r"(make|curl|\.venv/bin/headrace) ", line)]


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project as a clone has it: no environment, no data."""
    folder = tmp_path_factory.mktemp("newcomer") / "headrace"
    anywhere = shutil.ignore_patterns(
        ".venv", ".headrace", ".git", ".peers", "__pycache__", ".*_cache", ".env"
    )

    def left_out(parent: str, names: list[str]) -> set[str]:
        own = {"config.yaml"} if Path(parent) == ROOT else set()
        return anywhere(parent, names) | (own & set(names))

    shutil.copytree(ROOT, folder, ignore=left_out)
    with bytecode_of(ROOT, folder):
        yield folder
        subprocess.run(["make", "clean"], cwd=folder, env=environment(), check=True, timeout=60)


@contextmanager
def bytecode_of(root: Path, copy: Path) -> Iterator[None]:
    """Have the copy's Python look for bytecode where `root` has its own: the files are the same.

    Python compares each file's time and size with those that its bytecode names, and compiles
    where they are others: where pip has installed.
    """
    prefix = os.environ.get("PYTHONPYCACHEPREFIX")
    if prefix is None:
        yield
        return
    link = Path(prefix, copy.relative_to("/"))
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path(prefix, root.relative_to("/")))
    try:
        yield
    finally:
        link.unlink()


def environment() -> dict[str, str]:
    # What `make test ARGS=…` hands on is not for the newcomer's make.
    own = ("DATABASE_URL", "REDIS_URL", "ARGS", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL")
    return {
        key: value
        for key, value in os.environ.items()
        if key not in own and not key.startswith(("HEADRACE_", "JOB_", "PYTHONPATH"))
    } | {"HEADRACE_PORT": str(PORT)}


def run(command: str, folder: Path, timeout_s: float = 600) -> str:
    """Run a command of the README; it must end with 0."""
    done = subprocess.run(
        shlex.split(command.replace(":8000", f":{PORT}")),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_command_of_the_readme_is_run_here():
    assert set(commands()) > OF_THE_DEVELOPERS | {"make demo", "make run"}


def test_the_two_commands_and_all_others_work_in_a_fresh_copy(newcomer):
    assert "completed" in run("make demo", newcomer)
    for command in commands():
        if command.startswith(".venv/bin/headrace"):
            assert run(command, newcomer)
    with subprocess.Popen(
        ["make", "run"],
        cwd=newcomer,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as running:
        try:
            wait_until_ready(f"http://127.0.0.1:{PORT}/health/ready")
            for command in commands():
                if command.startswith("curl"):
                    assert '"items"' in run(f"{command} --fail --silent", newcomer)
        finally:
            # As Ctrl-C does: to the whole group of the terminal.
            os.killpg(running.pid, signal.SIGINT)
            output = running.communicate(timeout=60)[0].decode()
    assert "Traceback" not in output
    assert "stopped" in output


def wait_until_ready(url: str) -> None:
    give_up = deadline(60)
    while time.monotonic() < give_up:
        with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"{url} did not answer within 60 s")
