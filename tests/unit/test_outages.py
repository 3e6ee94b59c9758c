"""Which errors of PostgreSQL are outages, poolers that answer oddly, and what sessions are sent."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError

from headrace.errors import ConfigError, StoreUnavailable
from headrace.store import poolers
from headrace.store.connect import connect_raw
from headrace.store.error_reasons import Reasons
from headrace.store.outages import (
    lacks_means,
    refuses_writes,
    reported,
    tells_of_a_break,
    transient,
)
from headrace.store.session_settings import Use, Wanted
from headrace.store.statements import load


def of_code(
    code: str | None, kind: type[psycopg2.Error] = psycopg2.DatabaseError
) -> psycopg2.Error:
    made: psycopg2.Error = type("E", (kind,), {"pgcode": code})("the words")
    return made


@pytest.mark.parametrize(
    ("code", "means", "writes", "again"),
    [
        ("53100", True, False, False),
        ("53300", True, False, False),
        ("58030", True, False, False),
        ("25006", False, True, False),
        ("40P01", False, False, True),
        ("40001", False, False, True),
        ("42P01", False, False, False),
        ("22012", False, False, False),
        (None, False, False, False),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_a_server_lacks_is_told_by_its_code(
    code: str | None, means: bool, writes: bool, again: bool, wrapped: bool
) -> None:
    error: Any = of_code(code)
    if wrapped:
        error = DBAPIError("SELECT 1", {}, error)

    assert (lacks_means(error), refuses_writes(error), transient(error)) == (means, writes, again)


@pytest.mark.parametrize(
    ("code", "breaks"),
    [
        (None, True),
        ("57P01", True),
        ("57P05", True),
        ("08006", True),
        ("25P03", True),
        ("25P04", True),
        ("57014", False),
        ("25P02", False),
        ("25006", False),
        ("40001", False),
    ],
)
def test_what_a_server_says_as_it_ends_a_session_tells_of_a_break(
    code: str | None, breaks: bool
) -> None:
    error: Any = of_code(code)

    assert tells_of_a_break(error) is breaks
    assert tells_of_a_break(DBAPIError("SELECT 1", {}, error)) is breaks
    assert not tells_of_a_break(OSError("the words"))


def passed(error: BaseException) -> BaseException:
    """What comes out of a block in which an error is raised."""
    with pytest.raises(BaseException) as told, reported():  # noqa: PT011 - each case says which
        raise error
    return told.value


@pytest.mark.parametrize(
    "error",
    [
        of_code("42P01", psycopg2.ProgrammingError),
        ProgrammingError("SELECT", {}, of_code("42P01")),
        ValueError("the caller's own"),
        KeyboardInterrupt(),
    ],
)
def test_what_is_no_outage_passes(error: BaseException) -> None:
    assert passed(error) is error


def invalidated() -> DBAPIError:
    error = DBAPIError("SELECT", {}, of_code("57P01"))
    error.connection_invalidated = True
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (psycopg2.OperationalError("no route\n"), "PostgreSQL does not answer: no route"),
        (psycopg2.InterfaceError("closed"), "PostgreSQL does not answer: closed"),
        (of_code("57P01"), "PostgreSQL does not answer: the words"),
        (
            of_code("25006"),
            "PostgreSQL takes no writes: it is a standby, or read-only for now (the words)",
        ),
        (
            OperationalError("SELECT", {}, of_code("53100")),
            "PostgreSQL's disk is full (the words)",
        ),
        (invalidated(), "PostgreSQL does not answer: the words"),
    ],
)
def test_an_outage_is_a_sentence(error: BaseException, said: str) -> None:
    told = passed(error)

    assert (type(told), str(told)) == (StoreUnavailable, said)
    assert told.__cause__ is error


def test_a_lost_connection_of_sqlalchemy_s_is_none_where_it_says_nothing_of_it() -> None:
    error = InterfaceError("SELECT", {}, of_code(None))
    assert passed(error) is error


# -- reasons --------------------------------------------------------------------------


def test_a_right_that_is_missing_where_nobody_knows_on_which_connection_is_not_explained() -> None:
    def url_of(_name: str | None) -> str:
        raise ConfigError("no URL here")

    error = type("E", (errors.InsufficientPrivilege,), {"pgcode": "42501", "cursor": None})("no")
    Reasons(url_of, {}, lambda _name: "etl").add_to(error)

    assert not hasattr(error, "__notes__")


# -- poolers --------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[dict[str, Any]]:
    """Where something listens that says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        yield {"host": "127.0.0.1", "port": listening.getsockname()[1], "dbname": "x", "user": "x"}


def test_a_second_client_that_is_not_served_says_nothing(
    silent: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poolers, "_PATIENCE_S", 0.05)
    assert poolers._in_transaction(silent) is None
    with closing(psycopg2.connect(**silent, async_=1)) as second:
        assert not poolers._answered(second, time.monotonic() + 0.05)

    gone = {**silent, "sslmode": "no such mode"}
    assert poolers._in_transaction(gone) is None


def test_a_second_client_that_is_refused_says_nothing(silent: dict[str, Any]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    assert poolers._in_transaction({**silent, "port": port}) is None


def shares(monkeypatch: pytest.MonkeyPatch, pids: list[int], second: int | None) -> bool:
    found = iter(pids)
    monkeypatch.setattr(poolers, "_in_transaction", lambda _arguments: second)
    monkeypatch.setattr(poolers, "_pid", lambda _raw: next(found))
    return poolers._shared(None, {})


def test_sessions_are_shared_where_the_second_client_has_or_displaces_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not shares(monkeypatch, [1, 1], 2)
    assert not shares(monkeypatch, [1, 1], None)
    assert shares(monkeypatch, [1, 1], 1)
    assert shares(monkeypatch, [1, 3], 2)


class Opened:
    """A session whose texts have backslashes that are no plain characters."""

    def __init__(self) -> None:
        self.info = SimpleNamespace(parameter_status=lambda _name: "off")
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


_NO_OPTIONS = (
    "the database or role sets standard_conforming_strings = off, and the pooler takes no"
    " options: ALTER DATABASE … RESET standard_conforming_strings"
)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("FATAL:  unsupported startup parameter: options", _NO_OPTIONS),
        ("FATAL:  too many connections", "PostgreSQL does not answer: FATAL: too many connections"),
    ],
)
def test_a_session_with_other_backslashes_is_opened_anew_or_refused_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    first, asked = Opened(), []

    def connected(**arguments: Any) -> Any:
        asked.append(arguments.get("options"))
        if len(asked) == 1:
            return first
        raise psycopg2.OperationalError(said)

    monkeypatch.setattr(psycopg2, "connect", connected)
    kind = ConfigError if told.startswith("the database") else StoreUnavailable
    with pytest.raises(kind) as refused:
        connect_raw("postgresql://h/db?options=-c%20work_mem%3D9MB", application_name="a")

    assert str(refused.value) == told
    assert asked == ["-c work_mem=9MB", "-c work_mem=9MB -c standard_conforming_strings=on"]
    assert first.closed == 1


# -- settings -------------------------------------------------------------------------


@pytest.mark.parametrize("use", list(Use))
def test_what_a_url_says_is_not_sent_but_how_long_our_own_transactions_may_idle(use: Use) -> None:
    names = {
        "extra_float_digits",
        "client_connection_check_interval",
        "idle_session_timeout",
        "idle_in_transaction_session_timeout",
        "statement_timeout",
        "client_encoding",
    }
    wanted = Wanted(use, "a")

    plain, said = wanted.settings((), 180000), wanted.settings(names, 180000)

    left_out = {"extra_float_digits", "client_connection_check_interval", "idle_session_timeout"}
    if use is Use.TARGET:
        left_out.add("idle_in_transaction_session_timeout")
    assert said == {name: value for name, value in plain.items() if name not in left_out}
    assert ("idle_in_transaction_session_timeout" in said) is (use in (Use.SHORT, Use.WORKER))


def test_a_setting_that_an_older_server_does_not_know_is_not_sent() -> None:
    wanted = Wanted(Use.OWN, "a")
    assert "transaction_timeout" in wanted.settings((), 170000)
    assert "transaction_timeout" not in wanted.settings((), 160009)


# -- statements -----------------------------------------------------------------------


def test_two_statements_do_not_share_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("-- name: one\nSELECT 1\n")
    (tmp_path / "b.sql").write_text("-- name: two\nSELECT 2\n\n-- name: one\nSELECT 3\n")

    with pytest.raises(ValueError, match=r"b\.sql: the statement one exists already$"):
        load(tmp_path)

    (tmp_path / "b.sql").write_text("-- name: two\n-- include: one\n, 2 -- and more\n")
    assert {name: one.sql for name, one in load(tmp_path).items()} == {
        "one": "SELECT 1",
        "two": "SELECT 1\n\n, 2",
    }
