"""A job's transaction may begin with the message that ends the one before: nobody notices."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from headrace.errors import StoreUnavailable
from headrace.model.connection import NamedConnection
from headrace.store import begun_ahead
from headrace.store.attempts import Claimed
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from tests.support.rows import Rows

Pair = tuple[JobSessions, Claimed]


@pytest.fixture
def ended(rows: Rows, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Sessions whose last job has committed, with the next one at hand: its transaction is open."""
    monkeypatch.setattr(begun_ahead, "_FRESH_S", 3600.0)
    rows.sql("CREATE TABLE public.effect (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    made = JobSessions(rows.store, {"target": NamedConnection(empty_database)}, JobGuard(), "w")
    first, following = (claimed(rows) for _ in range(2))
    work(made, first, 1)
    complete(rows, made, first, ahead=True)
    made.begin(following.id, following.attempt)
    yield made, following
    made.roll_back()
    made.dirty = made.used = True
    made.clean()


def claimed(rows: Rows) -> Claimed:
    found = rows.store.claim(str(rows.add("queued")), 0)
    assert found is not None
    return found


def work(sessions: JobSessions, job: Claimed, n: int) -> None:
    sessions.begin(job.id, job.attempt)
    with sessions.session() as session:
        session.execute(text("INSERT INTO public.effect VALUES (:n)"), {"n": n})


def complete(rows: Rows, sessions: JobSessions, job: Claimed, *, ahead: bool = False) -> None:
    sessions.commit_targets()
    rows.store.complete(job, None, xact=sessions.number)
    sessions.commit_control(ahead=ahead)
    sessions.clean()


def is_open(rows: Rows) -> bool:
    """Return whether the worker's line has a transaction open, as the server knows."""
    pid = rows.store.raw.info.backend_pid
    (row,) = rows.sql(f"SELECT state, backend_xid FROM pg_stat_activity WHERE pid = {pid}")
    return bool(row["state"] == "idle in transaction" and row["backend_xid"] is not None)


def found(rows: Rows) -> list[int]:
    return [row["n"] for row in rows.sql("SELECT n FROM public.effect ORDER BY n")]


def test_the_next_job_works_in_the_transaction_that_was_begun_for_it(
    rows: Rows, ended: Pair
) -> None:
    sessions, job = ended
    ahead: Any = sessions._ahead
    assert is_open(rows)

    work(sessions, job, 2)

    assert sessions.number == ahead.number
    complete(rows, sessions, job)
    assert not is_open(rows)
    assert found(rows) == [1, 2]
    assert rows.status(job.id) == "completed"


def test_it_sees_the_search_path_and_the_limits_of_a_job(rows: Rows, ended: Pair) -> None:
    sessions, _ = ended

    with sessions.session() as session:
        wanted = rows.store.raw.base.for_jobs()
        seen = {name: session.scalar(text(f"SHOW {name}")) for name in wanted}

    assert seen == wanted
    assert seen["lock_timeout"] == "5s"


def test_a_job_that_does_not_use_it_is_completed_all_the_same(rows: Rows, ended: Pair) -> None:
    sessions, job = ended

    rows.store.complete(job, None)

    assert not is_open(rows)
    assert rows.status(job.id) == "completed"
    assert sessions.number is None


def test_a_job_that_has_failed_before_it_came_to_use_it_is_recorded(
    rows: Rows, ended: Pair
) -> None:
    sessions, job = ended

    sessions.roll_back()
    with rows.store.transaction() as tx:
        tx.rows(
            "fail_attempt",
            id=job.id,
            attempt=job.attempt,
            outcome="failed",
            error="no",
            traceback="",
            retry_in=None,
        )

    assert not is_open(rows)
    assert rows.status(job.id) == "failed"


def test_it_does_not_stand_open_while_the_job_works_elsewhere(rows: Rows, ended: Pair) -> None:
    sessions, _ = ended

    with sessions.session("target") as session:
        session.execute(text("SELECT 1"))
        assert not is_open(rows)


def test_a_statement_outside_transactions_is_outside_of_this_one(rows: Rows, ended: Pair) -> None:
    sessions, _ = ended

    with sessions.autocommit() as alone:
        alone.execute(text("VACUUM public.effect"))


def test_a_job_with_a_limit_of_its_own_has_a_transaction_of_its_own(
    rows: Rows, ended: Pair
) -> None:
    sessions, _ = ended
    ahead: Any = sessions._ahead
    sessions.lock_timeout_s = 77

    with sessions.session() as session:
        assert session.scalar(text("SHOW lock_timeout")) == "77s"
        assert sessions.number != ahead.number


def test_a_job_that_comes_late_has_a_transaction_and_a_now_of_its_own(
    rows: Rows, ended: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, job = ended
    ahead: Any = sessions._ahead
    monkeypatch.setattr(begun_ahead, "_FRESH_S", 0.0)
    (row,) = rows.sql("SELECT clock_timestamp() AS came")

    with sessions.session() as session:
        assert session.scalar(text("SELECT now()")) > row["came"]

    assert sessions.number != ahead.number
    complete(rows, sessions, job)
    assert not is_open(rows)
    assert rows.status(job.id) == "completed"


def test_none_is_begun_after_a_commit_that_is_refused(rows: Rows, ended: Pair) -> None:
    sessions, job = ended
    work(sessions, job, 1)

    with pytest.raises(psycopg2.IntegrityError):
        complete(rows, sessions, job, ahead=True)

    sessions.roll_back()
    assert not is_open(rows)
    assert rows.status(job.id) == "started"
    assert found(rows) == [1]


def test_a_line_that_breaks_takes_it_along(rows: Rows, ended: Pair) -> None:
    sessions, job = ended
    pid = rows.store.raw.info.backend_pid
    rows.sql(f"SELECT pg_terminate_backend({pid}, 5000)")

    with pytest.raises((StoreUnavailable, DBAPIError)):
        work(sessions, job, 2)
    sessions.roll_back()
    work(sessions, job, 3)

    assert sessions.number is not None
    assert found(rows) == [1]


@pytest.mark.parametrize(("age_s", "serves"), [(-60.0, True), (0.1, False), (0.9, False)])
def test_a_transaction_is_too_old_after_a_tenth_of_a_second(age_s: float, serves: bool) -> None:
    ended: list[float] = []
    store: Any = SimpleNamespace(
        lost=False, raw=SimpleNamespace(ahead=True), end_ahead=lambda: ended.append(age_s)
    )
    ahead = begun_ahead.Ahead("", _began=time.monotonic() - age_s)

    assert ahead.serves(store, "", None) is serves
    assert ended == ([] if serves else [age_s])
