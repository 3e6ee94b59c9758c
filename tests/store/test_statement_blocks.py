"""Blocks of statements that go to the driver at once, beside sessions of the same attempt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from headrace.model.connection import NamedConnection
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from tests.store.test_session_ends import EFFECT, PID, behind, effects, end, insert, sql
from tests.support.rows import Rows


@pytest.fixture
def sessions(rows: Rows, empty_database: str) -> Iterator[JobSessions]:
    """Those of an attempt that is under way."""
    sql(empty_database, EFFECT)
    made = JobSessions(rows.store, {"target": NamedConnection(empty_database)}, JobGuard(), "w")
    made.begin(rows.add("started"), 1)
    yield made
    made.roll_back()
    made.dirty = made.used = True
    made.clean()


def test_statements_sent_at_once_undo_their_own_work_only(
    sessions: JobSessions, empty_database: str
) -> None:
    insert(sessions, 1)

    def failing() -> None:
        with sessions.statements("target") as target:
            target.run("INSERT INTO public.effect VALUES (2)", None)
            target.run("SELECT 1/0", None)

    with pytest.raises(DBAPIError, match="division by zero"):
        failing()
    with sessions.statements("target") as target:
        target.run("INSERT INTO public.effect VALUES (3)", None)
    insert(sessions, 4)
    sessions.commit_targets()

    assert effects(empty_database) == [1, 3, 4]


def test_a_connection_that_goes_before_the_block_ends_is_the_block_s_error(
    sessions: JobSessions, empty_database: str
) -> None:
    raw = insert(sessions, 1)
    raw.mark.fresh = raw.mark.passed = False
    block = sessions.statements("target")
    ((pid,),) = list(block.__enter__().run(PID, None))
    end(empty_database, pid)
    with pytest.raises(psycopg2.OperationalError, match="server closed the connection"):
        block.__exit__(None, None, None)
    sessions.roll_back()

    assert sessions.verdict() is None
    assert effects(empty_database) == []


@pytest.mark.parametrize("of", [JobSessions.session, JobSessions.statements])
def test_what_a_block_works_on_hears_of_an_error_at_the_block_s_end(
    sessions: JobSessions, of: Callable[..., Any]
) -> None:
    block, heard = of(sessions, "target"), []
    bound = block._bound

    @contextmanager
    def listening() -> Iterator[Any]:
        with bound() as line:
            try:
                yield line
            except BaseException as error:
                heard.append(error)
                raise

    def failing() -> None:
        with block as target, suppress(DBAPIError):
            if isinstance(target, Session):
                target.execute(text("SELECT 1/0"))
            target.run("SELECT 1/0", None)

    block._bound = listening
    with pytest.raises(Exception, match="current transaction is aborted") as raised:
        failing()

    assert heard == [raised.value]


def test_an_error_is_told_also_where_the_transaction_has_ended_before_it(
    sessions: JobSessions,
) -> None:
    def failing() -> None:
        with sessions.statements("target") as target:
            target.run("INSERT INTO public.effect VALUES (1)", None)
            behind(sessions._held["target"].raw, "ROLLBACK; BEGIN")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    sessions.roll_back()

    told = sessions.verdict()
    assert told is not None
    assert told.startswith("its SQL ended the transaction")


def test_what_a_session_made_read_only_before_is_written_by_the_block_at_no_cost(
    sessions: JobSessions, empty_database: str
) -> None:
    with sessions.session("target") as session:
        session.execute(text("SELECT set_config('transaction_read_only', 'on', true)"))
    mark = sessions._held["target"].raw.mark
    assert mark is not None
    assert mark.passed

    with sessions.statements("target") as target:
        assert mark.names == ["headrace_statements"], "it needs no savepoint of its own"
        target.run("INSERT INTO public.effect VALUES (1)", None)
    sessions.commit_targets()

    assert effects(empty_database) == [1]
