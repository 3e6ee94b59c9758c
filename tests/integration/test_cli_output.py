"""Standard output that is closed, full or of another encoding gives no traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["validate", "cron '0 1 * * *'", "schema", "--help"]


def headrace(command: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", f"{sys.executable} -m headrace {command}"],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_standard_output_changes_no_exit_code(command: str) -> None:
    done = headrace(f"{command} >&-")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("command", [*COMMANDS, "--version", "jobs --help"])
def test_a_full_disk_under_the_output_is_told_in_a_sentence(command: str, buffered: bool) -> None:
    done = headrace(f"{command} >/dev/full", PYTHONUNBUFFERED="" if buffered else "1")

    assert done.returncode == 1
    assert done.stderr.strip() == "standard output cannot be written: No space left on device"


def test_characters_that_a_terminal_lacks_are_written_as_escapes(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("name: größe€\nsteps: []\n", encoding="utf-8")

    done = headrace(f"validate {file}", PYTHONUTF8="0", PYTHONIOENCODING="ascii")

    assert done.returncode == 1
    assert "gr\\xf6\\xdfe\\u20ac" in done.stdout
    assert "Traceback" not in done.stderr
