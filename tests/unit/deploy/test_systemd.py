"""The units in deploy/systemd, judged by systemd itself where it is there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from headrace.cli.arguments import parser

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "systemd"
UNITS = ("headrace-daemon.service", "headrace-web.service", "headrace-worker@.service")
PROGRAM = "/opt/headrace/.venv/bin/headrace"


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze here")
    # It asks for the program, which stands elsewhere until it is deployed.
    for name in UNITS:
        text = (FOLDER / name).read_text()
        (tmp_path / name).write_text(text.replace(PROGRAM, "/bin/true"))
    units = [tmp_path / name.replace("@", "@1") for name in UNITS]
    (tmp_path / "headrace-worker@.service").rename(tmp_path / "headrace-worker@1.service")
    done = subprocess.run(
        [program, "verify", "--man=no", "--recursive-errors=one", *units],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "headrace" in line]
    assert (done.returncode, said) == (0, []), done.stderr


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_its_program_as_an_ordinary_user_and_lets_it_drain(name: str) -> None:
    text = (FOLDER / name).read_text()
    started = re.search(rf"^ExecStart={re.escape(PROGRAM)} (.*)$", text, re.MULTILINE)
    assert started is not None
    given = parser().parse_args(started[1].split())
    assert name.startswith(f"headrace-{given.command.partition(':')[2]}")
    for line in ("User=headrace", "NoNewPrivileges=yes", "KillMode=mixed", "TimeoutStopSec=60"):
        assert line in text.splitlines(), line
    assert "PASSWORD" not in text
    assert "EnvironmentFile=/etc/headrace/environment" in text
