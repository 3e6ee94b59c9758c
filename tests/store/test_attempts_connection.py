"""The worker keeps one connection of SQLAlchemy's; what a job does to it is its own."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import ResourceClosedError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, object_session

from headrace.errors import HeadraceError
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from tests.support.rows import Rows

Job = Callable[[Session], Any]


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = "effect"
    __table_args__ = {"schema": "public"}  # noqa: RUF012 - SQLAlchemy's own name
    n: Mapped[int] = mapped_column(primary_key=True)
    told: Mapped[str]


@pytest.fixture
def sessions(rows: Rows) -> Iterator[JobSessions]:
    yield JobSessions(rows.store, {}, JobGuard(), "w")
    rows.store.drop()


@pytest.fixture
def run(rows: Rows, sessions: JobSessions) -> Callable[[Job], Any]:
    """Run a job's code as a worker's child does, and complete it; returns what it has returned."""
    rows.sql("CREATE TABLE public.effect (n integer PRIMARY KEY, told text)")

    def completed(job: Job) -> Any:
        claimed = rows.store.claim(str(rows.add("queued")), 0)
        assert claimed is not None
        sessions.begin(claimed.id, claimed.attempt)
        try:
            with sessions.session() as session:
                found = job(session)
            sessions.commit_targets()
            rows.store.complete(claimed, None, xact=sessions.number)
            sessions.commit_control()
        finally:
            sessions.roll_back()
            sessions.clean()
        return found

    return completed


def test_a_job_meets_no_option_and_no_listener_of_the_job_before(
    run: Callable[[Job], Any],
) -> None:
    heard: list[str] = []

    def first(session: Session) -> None:
        connection = session.connection(execution_options={"mine": True})
        event.listen(connection, "before_cursor_execute", lambda *told: heard.append(told[2]))
        session.execute(text("SELECT 1"))

    def second(session: Session) -> Any:
        session.execute(text("SELECT 2"))
        return session.connection().get_execution_options()

    run(first)

    assert "mine" not in run(second)
    assert heard == ["SELECT 1"]


def test_a_connection_that_a_job_has_kept_is_closed_for_the_next_one(
    run: Callable[[Job], Any],
) -> None:
    kept: Connection = run(lambda session: session.connection())

    def second(session: Session) -> None:
        session.execute(text("SELECT 1"))
        with pytest.raises(ResourceClosedError):
            kept.execute(text("INSERT INTO public.effect VALUES (1, 'in another job')"))

    assert kept.closed
    run(second)


def test_a_job_meets_no_object_of_the_job_before(run: Callable[[Job], Any]) -> None:
    def first(session: Session) -> Effect:
        session.add(one := Effect(n=1, told="first"))
        session.flush()
        return one

    left: Effect = run(first)

    def second(session: Session) -> Effect | None:
        assert not list(session)
        found = session.get(Effect, 1)
        left.told = "changed outside"
        return found

    found = run(second)
    assert found is not left
    assert object_session(left) is None
    assert run(lambda session: session.scalar(text("SELECT told FROM effect"))) == "first"


@pytest.mark.parametrize("end", ["close", "detach", "invalidate"])
def test_after_a_job_that_has_ended_its_connection_the_next_one_works(
    run: Callable[[Job], Any], rows: Rows, end: str
) -> None:
    def insert(n: int) -> Job:
        return lambda session: session.execute(
            text("INSERT INTO public.effect VALUES (:n, '')"), {"n": n}
        )

    run(insert(1))
    with suppress(SQLAlchemyError, HeadraceError):
        run(lambda session: getattr(session.connection(), end)())
    run(insert(2))
    run(insert(3))

    assert len(rows.sql("SELECT n FROM public.effect")) == 3


def test_who_listens_where_connections_are_taken_out_hears_of_each_job(
    run: Callable[[Job], Any],
) -> None:
    heard: list[str] = []

    def first(session: Session) -> None:
        pool = session.get_bind().engine.pool
        event.listen(pool, "checkout", lambda *_: heard.append("out"))

    run(lambda session: session.execute(text("SELECT 1")))
    run(first)
    run(lambda session: session.execute(text("SELECT 1")))
    run(lambda session: session.execute(text("SELECT 1")))

    assert heard == ["out", "out"]


def test_a_statement_outside_transactions_takes_the_same_connection_out(
    run: Callable[[Job], Any], rows: Rows, sessions: JobSessions
) -> None:
    run(lambda session: session.execute(text("SELECT 1")))
    claimed = rows.store.claim(str(rows.add("queued")), 0)
    assert claimed is not None
    sessions.begin(claimed.id, claimed.attempt)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with sessions.autocommit() as alone:
            alone.execute(text("VACUUM public.effect"))
        with sessions.session() as session:
            session.execute(text("SELECT 1"))
        sessions.roll_back()
        run(lambda session: session.execute(text("SELECT 1")))


def test_a_session_that_cannot_be_made_as_it_was_is_given_up(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows.store.raw
    rows.store.reset()
    assert rows.store.raw is before

    monkeypatch.setattr(type(rows.store), "reset_commands", "SELECT 1 / 0")
    rows.store.reset()

    assert before.closed
    assert rows.store.raw is not before
