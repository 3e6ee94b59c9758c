"""How a job's transactions end where something is in the way, and what the next job meets."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any
from uuid import uuid5

import psycopg2
import pytest
from psycopg2 import errors
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from headrace.errors import JobFailure, RefusedSql, TransactionEnded
from headrace.model.connection import NamedConnection
from headrace.store.attempts import Claimed
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from tests.support.rows import Rows
from tests.support.servers import connect

EFFECT = "CREATE TABLE public.effect (n integer)"
# What a constraint that is checked at the end may raise: any code that its author likes.
NOT_NULL = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'no such thing' USING ERRCODE = 'not_null_violation'; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON effect DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION refuse()"""
PID = "SELECT pg_backend_pid()"

OPEN_TRANSACTIONS = (
    "SELECT query FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)


@pytest.fixture
def sessions(rows: Rows, empty_database: str) -> Iterator[JobSessions]:
    rows.sql(EFFECT)
    sql(empty_database, EFFECT)
    made = JobSessions(rows.store, {"target": NamedConnection(empty_database)}, JobGuard(), "w")
    yield made
    made.roll_back()
    made.dirty = made.used = True
    made.clean()


@pytest.fixture
def job(rows: Rows, sessions: JobSessions) -> Claimed:
    return begun(rows, sessions)


def begun(rows: Rows, sessions: JobSessions) -> Claimed:
    found = rows.store.claim(str(rows.add("queued")), 0)
    assert found is not None
    sessions.begin(found.id, found.attempt)
    return found


def sql(url: str, statement: str) -> list[Any]:
    with closing(connect(url)) as opened, opened.cursor() as cursor:
        cursor.execute(statement)
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


def insert(sessions: JobSessions, n: int = 1, name: str | None = "target") -> Any:
    """Leave an effect, and return the driver's connection."""
    with sessions.session(name) as session:
        session.execute(text("INSERT INTO public.effect VALUES (:n)"), {"n": n})
        return session.connection().connection.dbapi_connection


def behind(raw: Any, statement: str) -> None:
    """Send something past every guard."""
    with psycopg2.extensions.cursor(raw) as cursor:
        cursor.execute(statement)


def effects(url: str) -> list[Any]:
    return sql(url, "SELECT n FROM public.effect ORDER BY n")


def end(url: str, pid: int) -> None:
    """End a session, and wait until it has ended."""
    assert sql(url, f"SELECT pg_terminate_backend({pid}, 60000)") == [True]


def test_a_connection_on_which_no_transaction_can_begin_is_closed_at_once(
    sessions: JobSessions, job: Claimed
) -> None:
    sessions._engines.step_role = ("target", "no such role")

    with pytest.raises(psycopg2.Error, match='role "no such role" does not exist') as told:
        insert(sessions)

    pool: Any = sessions._engines.kept("target").pool
    assert pool.checkedout() == 0, told


@pytest.mark.parametrize("name", [None, "target"])
def test_a_statement_outside_transactions_needs_a_step_of_its_own(
    rows: Rows, sessions: JobSessions, job: Claimed, name: str | None, empty_database: str
) -> None:
    insert(sessions, 1, name)

    with pytest.raises(JobFailure) as told, sessions.autocommit(name) as alone:
        alone.execute(text("INSERT INTO public.effect VALUES (2)"))

    assert str(told.value) == (
        "a statement outside transactions cannot run while the job's transaction is open; give the"
        " job a step of its own"
    )
    sessions.roll_back()
    assert effects(empty_database if name else rows.url) == []


def test_what_puts_a_target_s_session_in_order_may_fail_once_the_effect_is_committed(
    rows: Rows, sessions: JobSessions, job: Claimed, empty_database: str
) -> None:
    raw = insert(sessions, 1)
    raw.settings_sql = "SELECT 1/0; "

    sessions.commit_targets()

    assert raw.closed
    assert effects(empty_database) == [1]
    assert sql(empty_database, "SELECT job_id::text FROM headrace.ledger") == [str(job.id)]
    begun(rows, sessions)
    assert insert(sessions, 2) is not raw
    sessions.commit_targets()
    assert effects(empty_database) == [1, 2]


def test_what_puts_the_control_session_in_order_may_fail_once_the_effect_is_committed(
    rows: Rows, sessions: JobSessions, job: Claimed
) -> None:
    raw = insert(sessions, 1, None)

    sessions._held[None].commit("SELECT 1/0; ")

    assert raw.closed
    assert effects(rows.url) == [1]


@pytest.mark.parametrize("commit", [False, True])
def test_a_constraint_with_a_code_of_its_own_is_the_jobs_error(
    sessions: JobSessions, job: Claimed, commit: bool, empty_database: str
) -> None:
    sql(empty_database, NOT_NULL)
    insert(sessions, 1)

    ending = sessions.commit_targets
    if not commit:
        ending = partial(sessions._held["target"]._send, "SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(errors.NotNullViolation, match="no such thing"):
        ending()

    sessions.roll_back()
    assert sessions.verdict() is None
    assert effects(empty_database) == []


def test_a_transaction_that_the_job_has_ended_is_not_completed_in_another(
    rows: Rows, sessions: JobSessions, job: Claimed
) -> None:
    raw = insert(sessions, 1, None)
    assert raw.mark.passed
    behind(raw, "COMMIT; BEGIN")
    sessions.commit_targets()

    with pytest.raises(TransactionEnded):
        rows.store.complete(job, None, xact=sessions.number)

    sessions.roll_back()
    assert rows.status(job.id) == "started"


@pytest.mark.parametrize("name", [None, "target"])
def test_a_part_that_another_attempt_has_committed_meanwhile_is_undone(
    rows: Rows, sessions: JobSessions, job: Claimed, name: str | None, empty_database: str
) -> None:
    url = empty_database if name else rows.url
    entry = f"INSERT INTO headrace.ledger (job_id, attempt) VALUES ('{uuid5(job.id, 'first')}', 1)"

    def first() -> None:
        with sessions.batch("first", name) as session:
            assert session is not None
            session.execute(text("INSERT INTO public.effect VALUES (1)"))
            sql(url, entry)

    with pytest.raises(JobFailure) as told:
        first()
    assert str(told.value) == "another attempt of the job has committed the part first meanwhile"
    assert effects(url) == []
    # At once, not when nobody knows the error any more.
    assert sql(url, OPEN_TRANSACTIONS) == []
    with sessions.batch("first", name) as session:
        assert session is None
    with sessions.batch("second", name) as session:
        assert session is not None
        session.execute(text("INSERT INTO public.effect VALUES (2)"))
    assert effects(url) == [2]


def test_a_reader_s_transaction_may_be_ended_beneath_it(
    rows: Rows, sessions: JobSessions, job: Claimed
) -> None:
    block = sessions.session("target", read_only=True)
    first = block.__enter__().scalar(text(PID))
    sessions.roll_back()
    with pytest.raises(InvalidRequestError, match="is inactive"):
        block.__exit__(None, None, None)
    begun(rows, sessions)

    with sessions.session("target", read_only=True) as session:
        assert session.scalar(text(PID)) == first, "it was given back"


def test_a_reader_s_connection_that_is_lost_is_replaced(
    rows: Rows, sessions: JobSessions, job: Claimed, empty_database: str
) -> None:
    block = sessions.session("target", read_only=True)
    session = block.__enter__()
    first = session.scalar(text(PID))
    end(empty_database, first)
    with pytest.raises(DBAPIError, match="server closed the connection") as told:
        session.execute(text("SELECT 1"))
    block.__exit__(type(told.value), told.value, None)
    sessions.roll_back()
    begun(rows, sessions)

    with sessions.session("target", read_only=True) as session:
        assert session.scalar(text(PID)) != first


def test_a_reader_whose_transaction_cannot_be_undone_gives_no_connection_back(
    rows: Rows, sessions: JobSessions, job: Claimed
) -> None:
    with sessions.session("target", read_only=True) as session:
        first = session.scalar(text(PID))
        raw: Any = session.connection().connection.dbapi_connection
        # An error that says nothing of a lost connection: SQLAlchemy would keep this one.
        raw.rollback = lambda: raw.cursor().execute("no SQL")
        opened: Any = sessions._read_only._readers["target"].opened
    assert opened.invalidated

    with sessions.session("target", read_only=True) as session:
        assert session.scalar(text(PID)) != first


def test_what_brings_the_driver_back_to_its_own_ways_ends_the_session(
    rows: Rows, sessions: JobSessions, job: Claimed, empty_database: str
) -> None:
    raw = insert(sessions, 1)
    psycopg2.extensions.connection.rollback(raw)
    psycopg2.extensions.connection.set_session(raw, autocommit=True)
    sessions.roll_back()

    assert raw.closed
    begun(rows, sessions)
    insert(sessions, 2)
    sessions.commit_targets()
    assert effects(empty_database) == [2]


def test_a_session_that_is_lost_outside_transactions_is_replaced(
    rows: Rows, sessions: JobSessions, job: Claimed, empty_database: str
) -> None:
    with sessions.autocommit("target") as alone:
        first = alone.scalar(text(PID))
        end(empty_database, first)
    begun(rows, sessions)

    with sessions.autocommit("target") as alone:
        assert alone.scalar(text(PID)) != first
        assert alone.scalar(text("SHOW client_connection_check_interval")) == "1s"


def test_a_session_in_which_quotes_mean_something_else_is_not_the_next_job_s(
    rows: Rows, sessions: JobSessions, job: Claimed
) -> None:
    hidden = text("SELECT set_config('standard_' || 'conforming_strings', 'off', false)")
    refusal = "standard_conforming_strings is off and has to stay on"
    with sessions.autocommit() as alone:
        first = alone.scalar(text(PID))
        with pytest.raises(RefusedSql, match=refusal):
            alone.execute(hidden)

    sessions.roll_back()

    assert rows.store.lost
    begun(rows, sessions)
    with sessions.session() as session:
        assert session.scalar(text(PID)) != first
        assert session.scalar(text("SHOW standard_conforming_strings")) == "on"


def test_what_the_control_database_does_not_give_is_no_ledger_that_has_gone(
    sessions: JobSessions, job: Claimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_name: str | None) -> None:
        raise errors.InsufficientPrivilege("permission denied to set role")

    monkeypatch.setattr(sessions, "_begun", refuse)

    with pytest.raises(errors.InsufficientPrivilege, match="to set role"), sessions.session():
        pass
