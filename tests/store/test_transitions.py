"""Every pair of statuses, against every statement that changes one: `TRANSITIONS` is the law."""

from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from uuid import UUID

import pytest

from headrace.engine.gating.gate import update_dependants
from headrace.errors import StaleAttempt
from headrace.model.status import FINAL, TRANSITIONS, JobStatus
from tests.support.rows import Rows
from tests.support.servers import connect

S = JobStatus
Change = Callable[[Rows, UUID], object]


def claim(rows: Rows, job: UUID) -> None:
    rows.store.claim(str(job), rows.row(job)["attempt"])


def complete(rows: Rows, job: UUID) -> None:
    with suppress(StaleAttempt):
        rows.store.raw  # noqa: B018 - the line is opened by the claim elsewhere
        rows.store.complete(rows.claimed(job), None)


def complete_ahead(rows: Rows, job: UUID) -> None:
    rows.store.raw  # noqa: B018
    rows.store.complete_and_claim(rows.claimed(job), None, str(UUID(int=1)), 0)


def fail(rows: Rows, job: UUID) -> None:
    rows.fail(job, rows.row(job)["attempt"])


def retry_later(rows: Rows, job: UUID) -> None:
    rows.fail(job, rows.row(job)["attempt"], 1.0)


def release(rows: Rows, job: UUID) -> None:
    rows.lose(job, rows.row(job)["attempt"], "released")


def spend_crashes(rows: Rows, job: UUID) -> None:
    rows.sql("UPDATE headrace.job SET crash_count = 2")
    rows.lose(job, rows.row(job)["attempt"])


def cancel(rows: Rows, job: UUID) -> None:
    rows.database.rows("cancel_jobs", ids=[job], run_id=None, keep_finally=False)


def due(rows: Rows, job: UUID) -> None:
    rows.sql("UPDATE headrace.job SET next_retry_time = clock_timestamp() - interval '1 s'")
    rows.database.rows("due_retries")


def reopen(rows: Rows, job: UUID) -> None:
    rows.database.rows("reopen_jobs", ids=[job])


def below(rows: Rows, job: UUID) -> UUID:
    """Have the job wait for one that runs."""
    upstream = rows.add("started")
    rows.sql(
        "INSERT INTO headrace.job_dependency VALUES (%(up)s, %(id)s);"
        "UPDATE headrace.job SET dependents = 1 WHERE id = %(up)s;"
        "UPDATE headrace.job SET deps_left = 1 WHERE id = %(id)s",
        up=str(upstream),
        id=str(job),
    )
    return upstream


def upstream_completes(rows: Rows, job: UUID) -> None:
    upstream = below(rows, job)
    rows.store.raw  # noqa: B018
    rows.store.complete(rows.claimed(upstream), None)


def upstream_fails(rows: Rows, job: UUID) -> None:
    upstream = below(rows, job)
    with rows.database.transaction() as tx:
        tx.rows(
            "fail_attempt", id=upstream, attempt=1, outcome="failed", error="", traceback="",
            retry_in=None,
        )  # fmt: skip
        update_dependants(tx, [upstream])


def recount(rows: Rows, job: UUID) -> None:
    rows.database.rows("recount_waiting", ids=[job])


def condition_breaks(rows: Rows, job: UUID) -> None:
    rows.database.rows("fail_undecided", id=job, error="no such name")


def skip(rows: Rows, job: UUID) -> None:
    rows.database.rows("skip_jobs", ids=[job], reason="condition")


# What each statement does; to every other status it must do nothing.
CHANGES: dict[Change, dict[JobStatus, JobStatus]] = {
    claim: {S.QUEUED: S.STARTED},
    complete: {S.STARTED: S.COMPLETED},
    complete_ahead: {S.STARTED: S.COMPLETED},
    fail: {S.STARTED: S.FAILED},
    retry_later: {S.STARTED: S.RETRYING},
    release: {S.STARTED: S.QUEUED},
    spend_crashes: {S.STARTED: S.FAILED},
    cancel: dict.fromkeys((S.WAITING, S.QUEUED, S.STARTED, S.RETRYING), S.CANCELLED),
    due: {S.RETRYING: S.QUEUED},
    upstream_completes: {S.WAITING: S.QUEUED},
    upstream_fails: {S.WAITING: S.SKIPPED},
    recount: {S.WAITING: S.QUEUED},
    condition_breaks: {S.WAITING: S.FAILED},
    skip: {S.WAITING: S.SKIPPED},
    reopen: dict.fromkeys((S.FAILED, S.CANCELLED, S.SKIPPED), S.WAITING),
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_statement_changes_the_statuses_it_may_and_no_other(rows: Rows, change: Change) -> None:
    for before in JobStatus:
        job = rows.add(before)
        change(rows, job)
        assert rows.status(job) == CHANGES[change].get(before, before), f"from {before}"
        rows.sql("TRUNCATE headrace.job, headrace.job_dependency, headrace.job_attempt CASCADE")


def test_the_statements_together_make_every_transition_and_none_besides() -> None:
    made = {
        (before, after)
        for change, pairs in CHANGES.items()
        if change is not reopen
        for before, after in pairs.items()
    }

    assert made == {(old, new) for old, following in TRANSITIONS.items() for new in following}


def test_only_a_person_reopens_what_is_final() -> None:
    assert set(CHANGES[reopen]) <= FINAL
    assert S.COMPLETED not in CHANGES[reopen]


def test_a_retry_that_falls_due_while_it_is_being_cancelled_stays_cancelled(rows: Rows) -> None:
    job = rows.add("retrying")
    rows.sql(
        "UPDATE headrace.job SET next_retry_time = clock_timestamp() WHERE id = %(id)s", id=str(job)
    )
    queued: list[object] = []
    sweep = Thread(target=lambda: queued.extend(rows.database.rows("due_retries")))

    cancelling = connect(rows.url)
    with cancelling.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("UPDATE headrace.job SET status = 'cancelled' WHERE id = %s", (str(job),))
        sweep.start()
        sweep.join(20)  # at once: what somebody else is changing is passed over
        waited = sweep.is_alive()
        cursor.execute("COMMIT")
    sweep.join()
    cancelling.close()

    assert (queued, rows.status(job), waited) == ([], S.CANCELLED, False)
