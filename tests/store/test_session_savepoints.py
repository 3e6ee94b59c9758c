"""A job's session costs no savepoint before one is needed, and undoes no more than it would."""

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from headrace.model.connection import NamedConnection
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from tests.support.rows import Rows
from tests.support.servers import connect


@pytest.fixture
def sessions(rows: Rows, empty_database: str) -> Iterator[JobSessions]:
    """Those of an attempt that is under way, on the control database and on `target`."""
    rows.sql("CREATE TABLE public.effect (n integer)")
    target = {"target": NamedConnection(empty_database)}
    made = JobSessions(rows.store, target, JobGuard(), "w")
    made.begin(rows.add("started"), 1)
    yield made
    made.roll_back()
    made.dirty = made.used = True
    made.clean()


_PID = "SELECT pg_backend_pid()"
_LEAVE = """CREATE FUNCTION public.leave() RETURNS text LANGUAGE sql
AS $$ SELECT set_config('work_mem', '77kB', false) $$"""


def insert(session: Session, n: int) -> None:
    session.execute(text("INSERT INTO public.effect VALUES (:n)"), {"n": n})


def found(session: Session) -> list[int]:
    return list(session.scalars(text("SELECT n FROM public.effect ORDER BY n")))


def commands(sessions: JobSessions) -> list[str]:
    """Return a list that gets what jobs' cursors send from now on."""
    sent: list[str] = []
    guard: Any = JobGuard()

    class Heard:
        split = staticmethod(guard.split)

        @staticmethod
        def check(statement: str, *, copy: bool = False) -> bool:
            sent.append(statement.split(" ", maxsplit=1)[0])
            return bool(guard.check(statement, copy=copy))

    with sessions.session() as session:
        raw: Any = session.connection().connection.dbapi_connection
    raw.guard = Heard()
    return sent


def test_the_only_session_of_a_job_sends_nothing_but_its_statements(sessions: JobSessions) -> None:
    sent = commands(sessions)

    with sessions.session() as session:
        insert(session, 1)
        insert(session, 2)
        session.commit()

    assert sent == ["INSERT", "INSERT"]


def test_a_session_that_fails_takes_back_its_own_work_only(sessions: JobSessions) -> None:
    with sessions.session() as session:
        insert(session, 1)
        session.rollback()
        insert(session, 2)
    with suppress(DBAPIError), sessions.session() as session:
        insert(session, 3)
        session.execute(text("SELECT 1/0"))
    with suppress(ZeroDivisionError), sessions.session() as session:
        insert(session, 4)
        raise ZeroDivisionError
    with sessions.session() as session:
        insert(session, 5)
        assert found(session) == [2, 5]


def test_commits_within_a_session_keep_what_came_before(sessions: JobSessions) -> None:
    with sessions.session() as session:
        for n in range(4):
            insert(session, n)
            session.commit()
        insert(session, 9)
        session.rollback()
        assert found(session) == [0, 1, 2, 3]


def test_nested_savepoints_undo_what_is_theirs(sessions: JobSessions) -> None:
    with sessions.session() as session:
        inner = session.begin_nested()
        insert(session, 1)
        inner.rollback()
        insert(session, 2)
        inner = session.begin_nested()
        insert(session, 3)
        innermost = session.begin_nested()
        insert(session, 4)
        innermost.rollback()
        inner.commit()
        insert(session, 5)
        assert found(session) == [2, 3, 5]
        session.rollback()
        assert found(session) == []


def swallowing(sessions: JobSessions) -> None:
    with sessions.session() as session:
        insert(session, 1)
        with pytest.raises(DBAPIError, match="division by zero"):
            session.connection().execute(text("SELECT 1/0"))


def test_an_error_that_a_job_swallows_comes_out_at_its_sessions_end(sessions: JobSessions) -> None:
    with pytest.raises(DBAPIError, match="current transaction is aborted"):
        swallowing(sessions)


def test_a_session_that_made_its_transaction_read_only_did_so_for_itself(
    sessions: JobSessions,
) -> None:
    only_reading = text("SELECT set_config('transaction_read_only', 'on', true)")
    with sessions.session() as session:
        session.execute(only_reading)
    with sessions.session() as session:
        insert(session, 1)
        session.commit()
        session.execute(only_reading)
    with sessions.session(read_only=True) as session:
        assert found(session) == [1]
    with sessions.session() as session:
        insert(session, 2)
        with sessions.session(read_only=True) as within:
            assert found(within) == [1, 2]
        session.rollback()
        assert found(session) == [1]


@pytest.mark.parametrize("wrong", ["SELECT 1 / 0", None], ids=["of-the-database", "of-the-job"])
def test_a_look_that_fails_leaves_a_session_that_writes(
    sessions: JobSessions, wrong: str | None
) -> None:
    def look() -> None:
        with sessions.session(read_only=True) as within:
            assert found(within) == [1]
            if wrong is not None:
                within.execute(text(wrong))
            raise ZeroDivisionError

    with sessions.session() as session:
        insert(session, 1)
        with pytest.raises((DBAPIError, ZeroDivisionError)):
            look()
        insert(session, 2)
        assert found(session) == [1, 2]


def test_a_large_object_stays_when_a_later_savepoint_is_undone(sessions: JobSessions) -> None:
    count = text("SELECT count(*) FROM pg_largeobject_metadata")
    with sessions.session() as session:
        raw: Any = session.connection().connection.dbapi_connection
        raw.lobject(0, "wb").close()
        inner = session.begin_nested()
        insert(session, 1)
        inner.rollback()
        assert session.scalar(count) == 1
        session.rollback()
        assert session.scalar(count) == 0


def test_a_session_that_is_undone_works_as_its_connections_role_still(
    rows: Rows, empty_database: str
) -> None:
    role = f"loader_{uuid4().hex[:12]}"
    outside = connect(empty_database)
    outside.cursor().execute(f"CREATE ROLE {role}")
    target = {"target": NamedConnection(empty_database, role=role)}
    made = JobSessions(rows.store, target, JobGuard(), "w")
    try:
        made.begin(rows.add("started"), 1)
        with made.session("target") as session:
            session.execute(text("SELECT 1"))
            session.rollback()
            assert session.scalar(text("SELECT current_user")) == role
            session.rollback()
        made.roll_back()
        made.dirty = made.used = True
        made.clean()
    finally:
        outside.cursor().execute(f"DROP ROLE {role}")
        outside.close()


def test_a_job_may_take_away_what_was_prepared_on_a_target(sessions: JobSessions) -> None:
    with sessions.session("target") as session:
        session.execute(text("CREATE TABLE public.made (n integer)"))
        session.execute(text("DEALLOCATE ALL"))

    sessions.commit_targets()

    sessions.clean()
    with sessions.session("target", read_only=True) as session:
        assert session.scalar(text("SELECT count(*) FROM public.made")) == 0


def test_the_next_job_on_a_target_finds_nothing_of_the_last_one_in_its_session(
    rows: Rows, sessions: JobSessions, empty_database: str
) -> None:
    with closing(connect(empty_database)) as outside:
        outside.cursor().execute(_LEAVE)
    seen = []
    for _ in range(2):
        with sessions.session("target") as session:
            seen.append((session.scalar(text("SHOW work_mem")), session.scalar(text(_PID))))
            # No word of the statement tells what the function does.
            session.execute(text("SELECT public.leave()"))
        sessions.commit_targets()
        sessions.clean()
        sessions.begin(rows.add("started"), 1)

    assert seen[0] == seen[1]
