"""The fence: an attempt that is over changes no row, whatever it tries."""

import threading
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from headrace.engine.gating.gate import recount_stuck
from headrace.errors import StaleAttempt, StoreUnavailable, TransactionEnded
from headrace.model.connection import NamedConnection
from headrace.store.attempt_transaction import EffectApplied
from headrace.store.attempts import Claimed
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from tests.support.processes import wait_until
from tests.support.rows import Rows
from tests.support.servers import connect


def test_a_reaped_attempt_cannot_record_its_late_success(rows: Rows) -> None:
    job = rows.add("queued")
    first = rows.store.claim(str(job), 0)
    assert first is not None
    rows.lose(job, 1)
    second = rows.store.claim(str(job), 1)
    assert second is not None
    before = rows.row(job)

    with pytest.raises(StaleAttempt):
        rows.store.complete(first, '"late"')

    assert rows.row(job) == before
    rows.store.complete(second, '"right"')
    assert rows.row(job)["result"] == "right"


def test_a_reaped_attempt_cannot_complete_while_it_takes_the_next_job(rows: Rows) -> None:
    job, following = rows.add("queued"), rows.add("queued")
    first = rows.store.claim(str(job), 0)
    assert first is not None
    rows.lose(job, 1)
    rows.store.claim(str(job), 1)

    completed, claimed = rows.store.complete_and_claim(first, '"late"', str(following), 0)

    assert completed is None
    assert claimed is not None
    assert (rows.status(job), rows.row(job)["result"]) == ("started", None)


def test_a_reaped_attempt_cannot_complete_in_a_batch(rows: Rows) -> None:
    reaped, other = rows.add("queued"), rows.add("queued")
    claims = [rows.store.claim(str(job), 0) for job in (reaped, other)]
    rows.lose(reaped, 1)
    rows.store.claim(str(reaped), 1)
    ended = [(claim, '"late"') for claim in claims if claim is not None]

    completed, _ = rows.store.complete_batch(ended, [], [])

    assert completed.ids == {other}
    assert (rows.status(reaped), rows.row(reaped)["result"]) == ("started", None)
    assert (rows.status(other), rows.row(other)["result"]) == ("completed", "late")


def test_an_old_message_claims_nothing_in_a_batch(rows: Rows) -> None:
    old, new = rows.add("queued"), rows.add("queued")
    rows.store.claim(str(old), 0)
    rows.lose(old, 1, "released")
    short = [rows.row(new)["job_class"]]

    _, claimed = rows.store.complete_batch([], [(str(old), 0), (str(new), 0)], short)

    assert [one.id for one in claimed] == [new]
    assert (rows.status(old), rows.row(old)["attempt"]) == ("queued", 1)


def test_a_reaped_attempt_cannot_fail_or_lose_its_successor(rows: Rows) -> None:
    job = rows.add("queued")
    rows.store.claim(str(job), 0)
    rows.lose(job, 1)
    rows.store.claim(str(job), 1)
    before = rows.row(job)

    assert rows.fail(job, 1) == []
    assert rows.lose(job, 1) == []
    assert rows.row(job) == before


def test_an_old_message_claims_nothing(rows: Rows) -> None:
    job = rows.add("queued")
    rows.store.claim(str(job), 0)
    rows.lose(job, 1, "released")

    assert rows.store.claim(str(job), 0) is None
    assert rows.store.claim(str(job), 2) is None
    assert rows.store.claim(str(job), 1) is not None


def test_an_attempt_cannot_complete_over_another_line_than_its_claims(rows: Rows) -> None:
    job = rows.add("queued")
    claimed = rows.store.claim(str(job), 0)
    assert claimed is not None
    rows.store.drop()

    with pytest.raises(StoreUnavailable):
        rows.store.complete(claimed, None)
    assert rows.status(job) == "started"


def test_of_two_attempts_on_one_target_the_second_finds_the_first_ones_effect(
    rows: Rows, empty_database: str
) -> None:
    outside = connect(empty_database)
    with outside.cursor() as cursor:
        cursor.execute("CREATE TABLE effect (attempt integer)")
    job = rows.add("started")
    target = {"target": NamedConnection(empty_database)}
    sides = [JobSessions(rows.store, target, JobGuard(), f"w{n}") for n in (1, 2)]
    for attempt, side in enumerate(sides, 1):
        side.begin(job, attempt)
        with side.session("target") as session:
            session.execute(text("INSERT INTO effect VALUES (:n)"), {"n": attempt})

    sides[0].commit_targets()
    with pytest.raises(EffectApplied):
        sides[1].commit_targets()
    sides[1].roll_back()

    sides[1].begin(job, 3)
    with pytest.raises(EffectApplied), sides[1].session("target"):
        pass
    sides[1].roll_back()
    with outside.cursor() as cursor:
        cursor.execute("SELECT attempt FROM effect")
        assert cursor.fetchall() == [(1,)]
    outside.close()
    for side in sides:
        side.dirty = side.used = True
        side.clean()


def worked(rows: Rows, job: UUID) -> tuple[Claimed, JobSessions]:
    """The first attempt of a job that has used its session."""
    sessions = JobSessions(rows.store, {}, JobGuard(), "w")
    claimed = rows.store.claim(str(job), 0)
    assert claimed is not None
    sessions.begin(job, 1)
    with sessions.session():
        pass
    return claimed, sessions


def test_a_job_cannot_complete_in_another_transaction_than_its_own(rows: Rows) -> None:
    job = rows.add("queued")
    claimed, sessions = worked(rows, job)
    number = sessions.number
    assert number is not None
    with rows.store.raw.plain() as cursor:
        cursor.execute("COMMIT; BEGIN; SELECT pg_current_xact_id()")

    for dependents in (0, 1):
        with pytest.raises(TransactionEnded):
            rows.store.complete(claimed._replace(dependents=dependents), None, xact=number)

    sessions.roll_back()
    assert rows.status(job) == "started"
    assert sessions.verdict() == "its SQL ended the transaction; its earlier changes are committed"


@pytest.mark.parametrize("begin", ["", "; BEGIN; SELECT pg_current_xact_id()"])
def test_a_job_claims_none_in_another_transaction_than_its_own(rows: Rows, begin: str) -> None:
    job, following = rows.add("queued"), rows.add("queued")
    claimed, sessions = worked(rows, job)
    with rows.store.raw.plain() as cursor:
        cursor.execute(f"COMMIT{begin}")

    with pytest.raises(TransactionEnded):
        rows.store.complete_and_claim(claimed, None, str(following), 0, xact=sessions.number)
    with rows.store.raw.plain() as cursor:
        cursor.execute("COMMIT")

    sessions.roll_back()
    assert [rows.status(one) for one in (job, following)] == ["started", "queued"]


def test_an_attempt_that_is_over_claims_none_in_its_own_transaction_and_is_told(
    rows: Rows,
) -> None:
    job, following = rows.add("queued"), rows.add("queued")
    claimed, sessions = worked(rows, job)
    rows.lose(job, 1)

    with pytest.raises(StaleAttempt, match=f"^attempt 1 of job {job} is over$"):
        rows.store.complete_and_claim(claimed, None, str(following), 0, xact=sessions.number)

    sessions.roll_back()
    assert rows.status(following) == "queued"


def test_a_job_cannot_sign_in_another_transaction_than_its_own(
    rows: Rows, empty_database: str
) -> None:
    job = rows.add("started")
    sessions = JobSessions(rows.store, {"target": NamedConnection(empty_database)}, JobGuard(), "w")
    sessions.begin(job, 1)
    with sessions.session("target"):
        # No statement: then nothing but the number tells the transactions apart.
        raw: Any = sessions._held["target"].raw
    with raw.plain() as cursor:
        cursor.execute("COMMIT; BEGIN; SELECT pg_current_xact_id()")

    with pytest.raises(TransactionEnded):
        sessions.commit_targets()

    sessions.roll_back()
    assert sessions.verdict() == "its SQL ended the transaction; its earlier changes are committed"
    sessions.dirty = sessions.used = True
    sessions.clean()


def test_a_job_added_below_one_that_completes_is_counted_again_even_after_a_crash(
    rows: Rows,
) -> None:
    """The completing statement saw fewer dependants than there are, and its worker died."""
    upstream = rows.add("queued")
    claimed = rows.store.claim(str(upstream), 0)
    assert claimed is not None
    outcome = []
    dispatching = connect(rows.url)
    dispatching.autocommit = False
    with dispatching.cursor() as cursor:
        cursor.execute("SELECT FROM headrace.job WHERE id = %s FOR UPDATE", (str(upstream),))
        completing = threading.Thread(
            target=lambda: outcome.append(rows.store.complete(claimed, None))
        )
        completing.start()
        wait_until(
            lambda: rows.sql(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            )
        )
        cursor.execute(
            "INSERT INTO headrace.job (id, job_class, status, queue, timeout_s, retry, deps_left)"
            " VALUES (gen_random_uuid(), 'x', 'waiting', 'low', 1, '{}', 1) RETURNING id"
        )
        (below,) = cursor.fetchone() or (None,)
        cursor.execute(
            "INSERT INTO headrace.job_dependency VALUES (%s, %s)", (str(upstream), str(below))
        )
        cursor.execute("UPDATE headrace.job SET dependents = 1 WHERE id = %s", (str(upstream),))
    dispatching.commit()
    dispatching.close()
    completing.join()
    assert outcome[0].recount
    assert rows.status(below) == "waiting"

    with rows.database.transaction() as tx:
        released = recount_stuck(tx, 0)

    assert [message.job_id for message in released] == [below]
    assert rows.status(below) == "queued"
