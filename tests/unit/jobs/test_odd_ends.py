"""What jobs do where a connection breaks, a watcher fails, or a shell knows little."""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import psycopg2
import pytest
from sqlalchemy.exc import OperationalError

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi.folders import Folders
from headrace.jobs import shell_command
from headrace.jobs.copying import rejected_rows
from headrace.jobs.copying.rejected_rows import Rejected, Rejects
from headrace.jobs.files import copy_streams
from headrace.jobs.sql import packaged
from headrace.jobs.tables import server_progress, staged_keys, type_fitting
from headrace.jobs.tables.expectations import Limit
from headrace.jobs.tables.schema_drift import Pair
from headrace.jobs.tables.table_catalog import Column, unquoted
from headrace.template import RenderedSql

NOWHERE: Any = SimpleNamespace(begin_nested=nullcontext)


class Sessions:
    """Sessions aside only: what the test gives."""

    def __init__(self) -> None:
        self.aside: Any = None


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    made = Sessions()
    folders = Folders(tmp_path, tmp_path)
    jobapi.enter(jobapi.Attempt("j", 2, tmp_path, folders, cast("Any", made), run_id="r"))
    yield made
    jobapi.enter(None)


# -- broken connections ---------------------------------------------------------------


def broken(*_given: object) -> Any:
    raise OperationalError("SELECT 1", {}, psycopg2.OperationalError("the server is gone"))


def test_a_broken_connection_says_nothing_against_a_key_or_a_statement(monkeypatch):
    monkeypatch.setattr(staged_keys, "execute", broken)
    monkeypatch.setattr(packaged, "execute", broken)

    with pytest.raises(OperationalError, match="the server is gone"):
        staged_keys.check_keys(NOWHERE, ["id"], "src")
    with pytest.raises(OperationalError, match="the server is gone"):
        packaged.refusal_of(NOWHERE, RenderedSql("SELECT 1", {}))


def test_a_broken_connection_says_nothing_against_a_type(monkeypatch):
    monkeypatch.setattr(type_fitting, "execute", broken)
    pair = Pair(Column("a", "text"), Column("a", "integer"))
    with pytest.raises(OperationalError, match="the server is gone"):
        type_fitting._is_storable(NOWHERE, pair, None)


# -- a server's line while rows are sent ----------------------------------------------


def message(kind: bytes, body: bytes = b"text") -> bytes:
    return kind + (len(body) + 4).to_bytes(4) + body


@pytest.mark.parametrize(
    ("waiting", "stops"),
    [
        (b"", False),
        (message(b"E"), True),
        (message(b"N") + message(b"E"), True),
        (message(b"N", b"x" * 700) + message(b"S") + message(b"A") + message(b"E"), True),
        (message(b"N") + message(b"S"), False),
        (message(b"N") + message(b"E")[:4], False),
        (message(b"Z") + message(b"E"), False),
        (b"E", False),
    ],
)
def test_rows_are_sent_until_the_server_refuses_them(
    sessions: Sessions, waiting: bytes, stops: bool
):
    """Notices, settings and notifications may come before the refusal; nothing is taken away."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(waiting)
        watched = copy_streams._Watched(io.BytesIO(b"1\n"), ours.fileno())
        if stops:
            with pytest.raises(copy_streams._Refused):
                watched.read()
        else:
            assert watched.read() == b"1\n"
        if waiting:
            assert ours.recv(len(waiting) + 1) == waiting


def test_rows_are_counted_as_the_source_knows_them_and_else_by_their_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(jobapi, "meter", lambda: SimpleNamespace(add_rows=counted.append))

    class Binary(io.BytesIO):
        known: ClassVar = iter([0, 2, 2, 5, 6])

        @property
        def rows(self) -> int:
            return next(self.known)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        for source in (Binary(b"abcde"), io.BytesIO(b"1\n2\n3\n4")):
            watched = copy_streams._Watched(source, ours.fileno())
            for _ in range(5):
                watched.read(1)

    assert counted == [2, 3, 1, 0, 1, 0, 1, 0]


def test_a_line_that_holds_nothing_after_all_refuses_no_row(
    monkeypatch, sessions: Sessions
) -> None:
    ours, theirs = socket.socketpair()
    readable = SimpleNamespace(register=lambda _line, _event: None, poll=lambda _ms: [(0, 1)])
    poll = SimpleNamespace(poll=lambda: readable, POLLIN=1)
    monkeypatch.setattr(copy_streams, "select", poll)
    with ours, theirs:
        watched = copy_streams._Watched(io.BytesIO(b"1\n"), ours.fileno())
        assert watched.read() == b"1\n"


# -- rows that are set aside ----------------------------------------------------------


def test_rejected_rows_are_stored_as_they_come_and_not_kept_in_memory(
    monkeypatch, sessions: Sessions, caplog
):
    stored: list[int] = []

    def execute(_session: object, statement: RenderedSql) -> None:
        stored.extend(len(value) for value in statement.binds.values() if isinstance(value, list))

    monkeypatch.setattr(rejected_rows, "execute", execute)
    monkeypatch.setattr(rejected_rows, "_ROWS_KEPT", 3)
    aside = cast("Any", lambda: nullcontext(NOWHERE))
    rejects = Rejects("bad", Limit.read(7, "limit"), aside)
    caplog.set_level("INFO")

    for number in range(1, 8):
        rejects.add(Rejected("a.csv", number, None, "no", "x"))
        assert sum(stored) // 5 == number // 3 * 3
    with pytest.raises(JobFailure, match="8 rows could not be stored"):
        rejects.add(Rejected("a.csv", 8, None, "no", "x"))
    assert sum(stored) // 5 == 8
    assert caplog.messages == ["a.csv:1 is set aside: no"]


# -- progress that a second session would show ----------------------------------------


@pytest.mark.parametrize("ended", [False, True])
def test_a_watcher_that_fails_is_told_while_the_statement_runs(
    monkeypatch, caplog, sessions: Sessions, ended: bool
):
    looking, go_on = threading.Event(), threading.Event()

    def aside(_connection: str | None) -> AbstractContextManager[Any]:
        looking.set()
        go_on.wait(30)
        raise RuntimeError("too many connections\n")

    sessions.aside = aside
    monkeypatch.setattr(server_progress, "_FIRST_S", 0.0)
    caplog.set_level("INFO")
    watch = server_progress.Watch(None, 1, adds_rows=False)
    watch.begin()
    assert looking.wait(30)
    if ended:
        watch._ended.set()
    go_on.set()
    watch._thread.join(30)  # type: ignore[union-attr]
    watch.end()

    told = [one.getMessage() for one in caplog.records]
    known = "How far it has got is not known: too many connections"
    assert told == ([] if ended else [known])


# -- shells ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knows", "shell"),
    [
        ({"/bin/sh": "pipefail ERR"}, ("/bin/sh", "-E", "-eu", "-o", "pipefail", "-c")),
        ({"/bin/bash": "pipefail ERR"},
         ("/bin/bash", "--posix", "-E", "-eu", "-o", "pipefail", "-c")),
        ({"/bin/sh": "pipefail", "/usr/bin/bash": "pipefail ERR"},
         ("/usr/bin/bash", "--posix", "-E", "-eu", "-o", "pipefail", "-c")),
        ({"/bin/sh": "pipefail", "/bin/bash": "pipefail"},
         ("/bin/sh", "-eu", "-o", "pipefail", "-c")),
        ({}, ("/bin/sh", "-eu", "-c")),
    ],
)  # fmt: skip
def test_a_script_is_run_by_the_shell_that_tells_most(monkeypatch, knows, shell):
    def works(called: tuple[str, ...], script: str) -> bool:
        known = knows.get(called[0], "")
        return "pipefail" in known and ("ERR" in known or ("-E" not in called and script == ":"))

    monkeypatch.setattr(shell_command, "_works", works)

    found, told = shell_command._script_shell.__wrapped__()

    assert found == shell
    assert bool(told) == ("-E" in shell)


def test_a_shell_works_where_it_is_there_and_says_nothing():
    assert shell_command._works(("/bin/sh", "-c"), ":")
    assert not shell_command._works(("/bin/sh", "-c"), "exit 1")
    assert not shell_command._works(("/bin/sh", "-c"), "echo no such option >&2")
    assert not shell_command._works(("/nowhere/sh", "-c"), ":")


# -- names ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [("a", "a"), ('"A b"', "A b"), ('"a""b"', 'a"b'), ('"a', '"a'), ('"a"."b"', '"a"."b"')],
)
def test_a_name_that_is_not_quoted_to_its_end_stays_as_it_is(written, name):
    assert unquoted(written) == name
