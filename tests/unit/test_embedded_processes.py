"""The processes of the embedded servers: launched, awaited, ended, and under whom they run."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.store.embedded import process
from headrace.store.embedded.place import Place
from tests.support.processes import wait_until
from tests.unit.test_embedded_refusals import NOBODY, as_root, refusal


@pytest.fixture
def here(tmp_path: Path) -> Place:
    (tmp_path / "log").mkdir()
    return Place(tmp_path, tmp_path / "run")


def test_a_server_that_cannot_be_launched_says_why(here: Place) -> None:
    first, *log = refusal(
        process.Starting, here, "postgres", "setuid:x:y", ["/bin/true"], here.home
    )

    assert first == f"{here.home}: postgres could not be launched"
    assert "invalid literal for int()" in "\n".join(log)


def test_a_server_that_takes_too_long_is_told(here: Place) -> None:
    starting = process.Starting.__new__(process.Starting)
    starting._place, starting._server = here, "postgres"
    starting._gone, writer = os.pipe()

    assert refusal(starting.wait, lambda: False, limit_s=0.0) == [
        f"{here.home}: postgres is not ready after 0 s"
    ]

    os.close(writer)
    assert not starting.wait(lambda: False, limit_s=60.0), "it is gone"
    starting.close()


def test_under_whom_the_server_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, nobody = tmp_path / "data", process._nobody()
    monkeypatch.setattr(process, "_check", lambda identity, _paths: f"no {identity[:6]}")
    monkeypatch.setattr("headrace.store.embedded.process.os.geteuid", lambda: 0)
    gid = process._user(nobody)
    (told,) = refusal(process.acceptable_identity, data, [])
    assert told == (
        f"{tmp_path}: PostgreSQL does not run as root, and no alternative works here"
        f" (userns:{nobody}: no userns; {gid}: no setuid). Running as an ordinary user also helps."
    )
    assert process._user(54321) == "setuid:54321:54321"

    monkeypatch.setattr("headrace.store.embedded.process.os.geteuid", lambda: 54321)
    assert process.acceptable_identity(data, []) == f"userns:{nobody}"
    data.mkdir()
    assert process.acceptable_identity(data, []) == process.SELF
    monkeypatch.setattr("headrace.store.embedded.process.os.geteuid", lambda: nobody)
    data.rmdir()
    assert process.acceptable_identity(data, []) == process.SELF


@as_root
def test_data_of_another_user_is_worked_on_as_that_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 54321, -1)
    assert process.acceptable_identity(tmp_path, []) == "setuid:54321:54321"


def test_a_path_that_cannot_be_entered_is_named(tmp_path: Path) -> None:
    paths = [tmp_path, tmp_path / "gone"]

    assert process._check(process.SELF, [tmp_path]) is None
    assert process._check(process.SELF, paths) == f"cannot enter {paths[0]} or {paths[1]}"
    # Nobody has this number, whoever asks.
    told = process._check("userns:4294967295", [])
    assert told is not None
    assert re.fullmatch(r"cannot become userns:4294967295: [\w ()]+", told)


def test_a_socket_that_cannot_be_looked_at_may_be_a_server_s(tmp_path: Path) -> None:
    assert not process.listens(tmp_path / "none")
    assert process.listens(tmp_path / ("x" * 200))


def test_whether_a_process_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process.alive(os.getpid())
    assert not process.alive(NOBODY)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", lambda _path: (_ for _ in ()).throw(OSError))
        assert not process.alive(os.getpid()), "it has gone meanwhile"

    def refused(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr("headrace.store.embedded.process.os.kill", refused)
    assert process.alive(os.getpid())


def test_a_process_that_does_not_hear_is_killed() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
    popen = subprocess.Popen(
        [sys.executable, "-S", "-c", f"{deaf}; signal.pause()"], stdout=subprocess.PIPE
    )
    assert popen.stdout is not None
    assert popen.stdout.readline() == b"1\n"

    process.end(popen.pid, [(signal.SIGTERM, 0.0), (signal.SIGKILL, 30.0)])

    wait_until(lambda: not process.alive(popen.pid), what="its end")
    popen.stdout.close()
    popen.returncode = -signal.SIGKILL
