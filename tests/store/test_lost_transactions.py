"""What became of a transaction whose connection was lost, asked of its own server."""

import logging
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from headrace.errors import StoreUnavailable
from headrace.model.connection import NamedConnection
from headrace.store.attempt_transaction import EffectApplied, Held
from headrace.store.attempts import Claimed
from headrace.store.connect import connect_raw
from headrace.store.sessions import JobSessions
from headrace.store.transaction_fate import fate
from headrace.template.guard import JobGuard
from tests.support.rows import Rows
from tests.support.servers import connect

ABORTED = "its SQL ended the transaction; what it did before is undone, what it did after may stand"
COMMITTED = "its SQL ended the transaction; its earlier changes are committed"


@pytest.fixture
def sessions(rows: Rows, empty_database: str) -> Iterator[JobSessions]:
    with closing(connect(empty_database)) as opened, opened.cursor() as cursor:
        cursor.execute("CREATE TABLE effect (n integer)")
    rows.sql("CREATE TABLE public.effect (n integer)")
    made = JobSessions(rows.store, {"target": NamedConnection(empty_database)}, JobGuard(), "w")
    yield made
    made.roll_back()
    made.dirty = made.used = True
    made.clean()


@pytest.fixture
def job(rows: Rows, sessions: JobSessions) -> Claimed:
    """The attempt that has begun."""
    found = rows.store.claim(str(rows.add("queued")), 0)
    assert found is not None
    sessions.begin(found.id, found.attempt)
    return found


def effects(url: str) -> int:
    with closing(connect(url)) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM effect")
        return int(cursor.fetchone()[0])  # type: ignore[index]


def insert(sessions: JobSessions, name: str | None = "target") -> Held:
    """Have the job leave its effect, and return the transaction in which it did."""
    with sessions.session(name) as session:
        session.execute(text("INSERT INTO effect VALUES (1)"))
    return sessions._held[name]


def cut_after_commit(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server commit what is sent, and the connection be lost before it can say so."""
    send = held._send

    def sent(_held: Held, commands: str) -> None:
        send(commands)
        held.raw.close()
        raise psycopg2.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(Held, "_send", sent)


def test_an_effect_that_was_committed_with_its_entry_in_the_ledger_is_no_ended_transaction(
    rows: Rows, sessions: JobSessions, job: Claimed, monkeypatch: pytest.MonkeyPatch,
    empty_database: str,
) -> None:  # fmt: skip
    held = insert(sessions)
    with monkeypatch.context() as patched:
        cut_after_commit(held, patched)
        with pytest.raises(psycopg2.OperationalError):
            sessions.commit_targets()
    sessions.roll_back()

    assert sessions.verdict() is None
    other: Any = connect_raw(empty_database, application_name="headrace:tests")
    with closing(other):
        server = other.server_since
        assert fate(other, held.number, server, ledger_of=job.id) == "entered"
        # Another attempt's entry says nothing of this one.
        with other.plain() as cursor:
            cursor.execute("BEGIN; SELECT pg_current_xact_id()::text")
            (undone,) = cursor.fetchone()
            cursor.execute("ROLLBACK")
        assert fate(other, undone, server, ledger_of=job.id) == "aborted"
    # So it is tried again, and the next attempt finds it done.
    sessions.begin(job.id, 2)
    with pytest.raises(EffectApplied):
        insert(sessions)
    sessions.roll_back()
    assert sessions.verdict() is None
    assert effects(empty_database) == 1


def test_what_a_job_has_committed_itself_before_its_connection_went_is_told(
    sessions: JobSessions, job: Claimed, empty_database: str
) -> None:
    held = insert(sessions)
    with psycopg2.extensions.cursor(held.raw) as cursor:
        cursor.execute("COMMIT")
    held.raw.close()
    sessions.roll_back()

    assert sessions.verdict() == COMMITTED
    assert effects(empty_database) == 1
    sessions.begin(uuid4(), 1)
    assert sessions.verdict() is None, "that was the attempt before"


@pytest.mark.parametrize("name", [None, "target"])
def test_a_connection_that_was_merely_lost_is_no_ended_transaction(
    rows: Rows, sessions: JobSessions, job: Claimed, name: str | None, empty_database: str
) -> None:
    held = insert(sessions, name)
    held.raw.close()
    sessions.roll_back()

    assert sessions.verdict() is None
    assert effects(empty_database if name else rows.url) == 0


@pytest.mark.parametrize("name", [None, "target"])
def test_a_job_that_has_rolled_back_is_told_so(
    sessions: JobSessions, job: Claimed, name: str | None
) -> None:
    held = insert(sessions, name)
    with psycopg2.extensions.cursor(held.raw) as cursor:
        cursor.execute("ROLLBACK; BEGIN")
    sessions.roll_back()

    assert sessions.verdict() == ABORTED


@pytest.mark.parametrize("ended_inside", [True, False])
def test_a_target_that_does_not_answer_leaves_the_question_open(
    sessions: JobSessions,
    job: Claimed,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ended_inside: bool,
) -> None:
    held = insert(sessions)
    if ended_inside:
        with psycopg2.extensions.cursor(held.raw) as cursor:
            cursor.execute("ROLLBACK; BEGIN")
    else:
        held.raw.close()
    sessions.roll_back()
    gone: Any = OperationalError("", {}, psycopg2.OperationalError("no route to host"))
    monkeypatch.setattr(sessions._engines, "of", lambda _name: (_ for _ in ()).throw(gone))
    with caplog.at_level(logging.WARNING, "headrace.worker"):
        told = sessions.verdict()

    # That its SQL has ended it was seen by the mark, whatever became of it.
    assert told == (ABORTED if ended_inside else None)
    (line,) = caplog.messages
    assert line.startswith(f"what became of transaction {held.number} on target is not known: ")
    assert "no route to host" in line


# One that is to come, and one of which nothing is known any more.
@pytest.mark.parametrize("number", [10**9, 2**40])
def test_a_number_that_the_server_does_not_know_is_of_a_lost_transaction(
    rows: Rows, number: int
) -> None:
    raw: Any = rows.store.raw
    assert fate(raw, str(number), raw.server_since) == "aborted"


def test_what_an_earlier_server_has_given_out_proves_nothing(rows: Rows) -> None:
    raw: Any = rows.store.raw
    with raw.plain() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text")
        (number,) = cursor.fetchone()

    assert fate(raw, number, raw.server_since) == "committed"
    assert fate(raw, number, "1") == "aborted"
    # There is no row of the ledger's beside it.
    assert fate(raw, number, raw.server_since, ledger_of=uuid4()) == "committed"


def test_a_backend_that_is_still_at_work_is_ended(rows: Rows) -> None:
    raw: Any = rows.store.raw
    with closing(psycopg2.connect(rows.url)) as left, left.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()::text")
        (number,) = cursor.fetchone()  # type: ignore[misc]

        assert fate(raw, number, raw.server_since) == "aborted"

        with pytest.raises(psycopg2.OperationalError, match="server closed the connection"):
            cursor.execute("SELECT 1")


def test_a_transaction_that_does_not_end_is_an_outage(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw: Any = rows.store.raw
    looked: list[float] = []
    clock = iter([0.0, 60.0, 60.1])
    monkeypatch.setattr("headrace.store.transaction_fate.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("headrace.store.transaction_fate.time.sleep", looked.append)
    with raw.plain() as cursor:
        cursor.execute("BEGIN; SELECT pg_current_xact_id()::text")
        (number,) = cursor.fetchone()

    # It is this connection's own, which is not ended.
    told = rf"^transaction {number} of a lost connection does not end$"
    with pytest.raises(StoreUnavailable, match=told):
        fate(raw, number, raw.server_since)

    assert looked == [0.1]


def test_a_server_that_goes_away_meanwhile_is_an_outage(rows: Rows) -> None:
    raw: Any = rows.store.raw
    raw.close()

    with pytest.raises(StoreUnavailable, match=r"^PostgreSQL does not answer: "):
        fate(raw, "3", raw.server_since)
