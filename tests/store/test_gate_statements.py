"""What waits, what the sweep finds, what a person cancels and runs again: the statements alone."""

import json
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.gating.gate import decide, recount, update_dependants
from headrace.engine.gating.run_completion import cancel_run
from headrace.model.ids import new_id
from headrace.store.attempts import CAN
from tests.support.rows import Rows
from tests.support.run_rows import RunRows

ENDED = ("completed", "failed", "cancelled", "skipped")
OPEN = ("waiting", "queued", "started", "retrying")


@pytest.fixture
def made(rows: Rows) -> RunRows:
    rows.store.raw  # noqa: B018 - the line is opened by the claim elsewhere
    return RunRows(rows)


def found(made: RunRows, statement: str, **values: Any) -> set[UUID]:
    return {row["id"] for row in made.rows.database.rows(statement, **values)}


def attempts(*pairs: tuple[UUID, int]) -> str:
    return json.dumps([{"id": str(job), "attempt": number} for job, number in pairs])


def test_a_condition_is_asked_and_a_slot_is_waited_for_whatever_has_ended_above(
    made: RunRows,
) -> None:
    def below(up: UUID, run: UUID, **columns: Any) -> UUID:
        job = made.job(run, trigger_rule="all_done", deps_left=1, **columns)
        return made.below(job, up)

    for counted_again in (False, True):
        run = made.run()
        up = made.job(run, "failed", step="up")
        unmet = below(up, run, step="unmet", when_expr="false")
        met = below(up, run, step="met", when_expr="true")
        pooled = below(up, run, step="pooled", pool="p", pool_slots=1)
        plain = below(up, run, step="plain")
        with made.rows.database.transaction() as tx:
            jobs = [unmet, met, pooled, plain]
            sent = recount(tx, jobs) if counted_again else update_dependants(tx, [up])

        assert made.of("job", unmet, "status", "skip_reason") == ("skipped", "condition")
        assert made.of("job", met, "status") == "queued"
        assert made.of("job", pooled, "status", "slot_wanted") == ("waiting", True)
        assert made.of("job", plain, "status") == "queued"
        assert {message.job_id for message in sent} == {met, plain}


def test_a_dependant_is_counted_down_by_each_end_above_it_and_never_below_none(
    made: RunRows,
) -> None:
    ups = [made.job(None, "failed", allow_failure=True) for _ in range(2)]
    open_one = made.job(None, "started")
    job = made.below(made.job(None, deps_left=3), *ups, open_one)
    few = made.below(made.job(None, deps_left=1, trigger_rule="one_failed"), *ups, open_one)

    with made.rows.database.transaction() as tx:
        update_dependants(tx, ups)

    assert made.of("job", job, "status", "deps_left") == ("waiting", 1)
    assert made.of("job", few, "deps_left") == 0


def test_only_what_is_queued_has_a_time_of_it(made: RunRows) -> None:
    for counted_again in (False, True):
        up, open_one = made.job(None, "failed"), made.job(None, "started")
        jobs = {
            "queued": made.below(made.job(trigger_rule="all_done", deps_left=1), up),
            "waiting": made.below(made.job(trigger_rule="all_done", deps_left=2), up, open_one),
            "pooled": made.below(
                made.job(trigger_rule="all_done", deps_left=1, pool="p", pool_slots=1), up
            ),
            "skipped": made.below(made.job(deps_left=1), up),
        }
        with made.rows.database.transaction() as tx:
            if counted_again:
                recount(tx, list(jobs.values()))
            else:
                update_dependants(tx, [up])

        queued = {name for name, job in jobs.items() if made.of("job", job, "queued_at")}
        assert queued == {"queued"}
        statuses = [made.of("job", job, "status") for job in jobs.values()]
        assert statuses == ["queued", "waiting", "waiting", "skipped"]


def test_the_sweep_counts_again_what_waits_for_nothing_unfinished(made: RunRows) -> None:
    running, queued_run = made.run(), made.run(status="queued")

    def waiting(up_status: str | None, run: UUID | None = running, **columns: Any) -> UUID:
        job = made.job(run, deps_left=1, **columns)
        return made.below(job, made.job(None, up_status)) if up_status else job

    stuck = {waiting(one) for one in (*ENDED, None)} | {waiting("completed", None)}
    for one in OPEN:
        waiting(one)
    waiting("completed", queued_run)
    for columns in ({"handler": "finally"}, {"slot_wanted": True}, {"child_state": "wanted"}):
        waiting("completed", **columns)
    made.job(running, "queued")
    fresh = waiting("completed")
    made.rows.sql(
        "UPDATE headrace.job SET updated_at = now() - interval '1 h' WHERE id <> %(id)s",
        id=str(fresh),
    )

    waiting_above = {UUID(str(row["id"])) for row in made.rows.sql(
        "SELECT u.id FROM headrace.job u JOIN headrace.job_dependency d ON d.upstream_id = u.id"
        " WHERE u.status = 'waiting'"
    )}  # fmt: skip
    assert found(made, "stuck_jobs", older_than_s=60.0) - waiting_above == stuck
    assert fresh in found(made, "stuck_jobs", older_than_s=0.0)


def test_the_sweep_decides_what_waits_with_nothing_left_and_no_handler_before_its_turn(
    made: RunRows,
) -> None:
    running, queued_run = made.run(), made.run(status="queued")
    undecided = {made.job(running), made.job(None)}
    handler = made.job(running, handler="finally")
    others = [
        made.job(running, deps_left=1),
        made.job(running, slot_wanted=True),
        made.job(running, child_state="wanted"),
        made.job(queued_run),
        made.job(running, "queued"),
        made.job(running, "skipped"),
    ]

    assert found(made, "undecided_jobs", ids=None) == undecided
    asked = [handler, *others, *undecided]
    assert found(made, "undecided_jobs", ids=asked) == {handler, *undecided}
    assert found(made, "undecided_jobs", ids=[handler]) == {handler}
    assert found(made, "undecided_jobs", ids=[]) == set()


def test_a_condition_that_cannot_be_evaluated_fails_its_job_and_the_others_go_on(
    made: RunRows,
) -> None:
    run = made.run()
    broken = made.job(run, step="broken", when_expr="steps.nobody.result == 1")
    fine = made.job(run, step="fine", when_expr="true")
    below = made.below(made.job(run, step="below", deps_left=1), broken)

    with made.rows.database.transaction() as tx:
        sent, runs = decide(tx)

    assert made.of("job", broken, "status") == "failed"
    assert "nobody" in made.of("job", broken, "error")
    assert made.of("job", broken, "finished_at") is not None
    assert made.of("job", below, "status", "skip_reason") == ("skipped", "upstream_failed")
    assert made.of("job", fine, "status") == "queued"
    assert [message.job_id for message in sent] == [fine]
    assert runs == {run}


def test_what_has_passed_the_gate_is_queued_or_waits_for_a_slot_or_for_a_run(
    made: RunRows,
) -> None:
    plain, pooled = made.job(), made.job(pool="p", pool_slots=1)
    calling = made.job(job_class="pipeline other")
    gone = made.job(None, "cancelled")

    made.rows.database.rows("release_jobs", ids=[plain, pooled, calling, gone])

    state = ("status", "slot_wanted", "child_state")
    assert made.of("job", plain, *state) == ("queued", False, None)
    assert made.of("job", pooled, *state) == ("waiting", True, None)
    assert made.of("job", calling, *state) == ("waiting", False, "wanted")
    assert made.of("job", gone, "status") == "cancelled"
    assert [made.of("job", one, "queued_at") is None for one in (plain, pooled, calling)] == [
        False, True, True,
    ]  # fmt: skip


# -- attempts -----------------------------------------------------------------------------------


def test_a_job_is_claimed_by_workers_that_know_all_it_needs(made: RunRows) -> None:
    old, same, newer = (made.job(None, "queued", needs=one) for one in (None, CAN, CAN + 1))
    store = made.rows.store

    assert store.claim(str(newer), 0) is None
    assert found_needs(made, newer) == [{"needs": CAN + 1}]
    assert found_needs(made, same) == []
    assert store.claim(str(same), 0) is not None
    assert store.claim(str(old), 0) is not None
    assert made.of("job", newer, "status", "attempt") == ("queued", 0)
    ended = store.claim(str(made.job(None, "queued")), 0)
    assert ended is not None
    assert store.complete_and_claim(ended, None, str(newer), 0)[1] is None
    assert store.claim_several([(str(newer), 0)], []) == []


def found_needs(made: RunRows, job: UUID) -> list[Any]:
    return made.rows.database.rows("too_new", id=job, attempt=0, can=CAN)


def test_a_worker_learns_which_of_its_attempts_were_ended_from_outside(made: RunRows) -> None:
    jobs = {one: made.job(None, one, attempt=2) for one in (*OPEN, *ENDED)}
    stale, gone = made.job(None, "started", attempt=3), UUID(int=1)
    held = attempts(*((job, 2) for job in (*jobs.values(), stale, gone)))

    told = made.rows.database.rows("lost_attempts", attempts=held)

    assert {row["id"]: row["cancelled"] for row in told} == {
        jobs["queued"]: False,
        jobs["cancelled"]: True,
        stale: False,
        gone: False,
    }


def test_a_job_that_loses_its_worker_spends_its_budget_and_one_given_back_does_not(
    made: RunRows,
) -> None:
    job, below = made.job(None, "started", crash_count=1, error="before"), made.job(deps_left=1)
    made.below(below, job)

    def lose(outcome: str, budget: int) -> Any:
        (row,) = made.rows.database.rows(
            "lose_attempts",
            attempts=attempts((job, 1)),
            outcome=outcome,
            error="its worker died",
            crash_budget=budget,
        )
        state = made.of("job", job, "status", "crash_count", "error")
        made.rows.sql("UPDATE headrace.job SET status = 'started' WHERE id = %(id)s", id=str(job))
        made.rows.sql("DELETE FROM headrace.job_attempt")
        return row["status"], *state

    assert lose("released", 2) == ("queued", "queued", 1, "before")
    assert lose("crashed", 3) == ("queued", "queued", 2, "its worker died")
    assert lose("crashed", 3) == ("failed", "failed", 3, "its worker died")


def test_a_retry_is_counted_and_a_failure_for_good_is_not(made: RunRows) -> None:
    again, over = made.job(None, "started"), made.job(None, "started")

    made.rows.fail(again, 1, 60.0)
    made.rows.fail(over, 1, None)

    assert made.of("job", again, "status", "retry_count") == ("retrying", 1)
    assert made.of("job", again, "next_retry_time") is not None
    assert made.of("job", over, "status", "retry_count", "next_retry_time") == ("failed", 0, None)


# -- workers ------------------------------------------------------------------------------------


def worker(made: RunRows, name: str, *, seen: str = "0 s", status: str = "running", host: str = "h") -> None:  # noqa: E501 # fmt: skip
    made.rows.sql(
        "INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes, status,"
        " seen_at) VALUES (%(name)s, %(host)s, 1, 1, '{medium}', 1, %(status)s,"
        " clock_timestamp() + %(seen)s::interval)",
        name=name, host=host, status=status, seen=seen,
    )  # fmt: skip


def test_workers_are_looked_at_that_are_silent_or_on_this_host(made: RunRows) -> None:
    for host in ("h", "far"):
        for status in ("running", "draining", "stopped", "lost"):
            worker(made, f"{host} {status}", status=status, host=host)
            worker(made, f"{host} {status} silent", status=status, host=host, seen="-1 min")
    worker(made, "ahead", seen="1 h", host="far")

    told = made.rows.database.rows("stale_workers", lease_s=10.0, hostname="h")

    assert {row["name"]: row["expired"] for row in told} == {
        "h running": False,
        "h running silent": True,
        "h draining": False,
        "h draining silent": True,
        "far running silent": True,
        "far draining silent": True,
    }
    (ahead,) = made.rows.sql(
        "SELECT seen_at <= clock_timestamp() AS now FROM headrace.worker WHERE name = 'ahead'"
    )
    assert ahead["now"], "a heartbeat of a clock that was set back counts from now"
    lost = made.rows.database.rows("lose_workers", names=["h running", "far stopped", "h lost"])
    assert [row["name"] for row in lost] == ["h running"]


def test_attempts_are_taken_from_workers_that_are_gone_and_at_length_from_unknown_ones(
    made: RunRows,
) -> None:
    for status in ("running", "draining", "stopped", "lost"):
        worker(made, status, status=status)
    jobs = {
        status: made.job(None, "started", worker=status)
        for status in ("running", "draining", "stopped", "lost")
    }
    unknown, begun = (made.job(None, "started", worker="nobody") for _ in range(2))
    made.job(None, "completed", worker="lost")
    made.rows.sql("UPDATE headrace.job SET started_at = now() - interval '1 min'")
    made.rows.sql("UPDATE headrace.job SET started_at = now() WHERE id = %(id)s", id=str(begun))

    taken = found(made, "attempts_of_workers", lease_s=10.0)

    assert taken == {jobs["stopped"], jobs["lost"], unknown}


# -- interventions ------------------------------------------------------------------------------


def test_a_cancellation_ends_what_has_not_ended_and_notes_what_had_begun(made: RunRows) -> None:
    run = made.run()
    jobs = {one: made.job(run, one) for one in (*OPEN, *ENDED)}
    last = made.job(run, handler="finally")
    other = made.job(made.run(), "queued")

    told = made.rows.database.rows("cancel_jobs", ids=[], run_id=run, keep_finally=True)

    assert {row["id"] for row in told} == {jobs[one] for one in OPEN}
    assert {made.of("job", jobs[one], "status") for one in OPEN} == {"cancelled"}
    assert [made.of("job", jobs[one], "status") for one in ENDED] == list(ENDED)
    assert [made.of("job", one, "status") for one in (last, other)] == ["waiting", "queued"]
    noted = made.rows.sql("SELECT job_id::text AS id, outcome FROM headrace.job_attempt")
    begun = {str(jobs[one]): "cancelled" for one in ("started", "retrying")}
    assert {str(row["id"]): row["outcome"] for row in noted} == begun
    made.rows.database.rows("cancel_jobs", ids=[other], run_id=run, keep_finally=False)
    assert [made.of("job", one, "status") for one in (last, other)] == ["cancelled"] * 2


@pytest.mark.parametrize(
    ("status", "cancelled_before", "handler", "handler_status", "after"),
    [
        ("running", False, "finally", "waiting", "running"),
        ("running", False, "finally", "completed", "cancelled"),
        ("running", False, "success", "waiting", "cancelled"),
        ("running", True, "finally", "waiting", "cancelled"),
        ("queued", False, "finally", "waiting", "cancelled"),
        ("completed", False, "finally", "completed", None),
    ],
)
def test_a_cancelled_run_goes_on_only_for_its_last_handlers_and_only_once(
    made: RunRows,
    status: str,
    cancelled_before: bool,
    handler: str,
    handler_status: str,
    after: str | None,
) -> None:
    made.job(made.run(), handler="finally")  # Another run's says nothing.
    run = made.run(status=status, cancelled_at="2026-07-01" if cancelled_before else None)
    step = made.job(run, "queued" if after else "completed")
    made.job(run, handler_status, handler=handler)

    with made.rows.database.transaction() as tx:
        rows, _ = cancel_run(tx, run, "why")

    assert [row["status"] for row in rows] == ([after] if after else [])
    assert made.of("run", run, "status") == (after or status)
    if after:
        assert made.of("run", run, "error") == "why"
        assert (made.of("run", run, "finished_at") is None) == (after == "running")
        assert made.of("run", run, "cancelled_at") is not None
        assert made.of("job", step, "status") == "cancelled"


def test_what_was_skipped_below_a_job_is_found_however_deep(made: RunRows) -> None:
    top, other = made.job(None, "failed"), made.job(None, "failed")
    first = made.below(made.job(None, "skipped"), top)
    second = made.below(made.job(None, "cancelled"), first, top)
    done = made.below(made.job(None, "completed"), first)
    deep = made.below(made.job(None, "skipped"), done)
    made.below(made.job(None, "skipped"), other)

    assert found(made, "skipped_below", ids=[top]) == {first, second, deep}
    assert found(made, "failed_jobs", runs=[]) == {top, other}


def test_failed_jobs_of_runs_that_are_not_held_are_left(made: RunRows) -> None:
    held, other = made.run(), made.run()
    of = {run: made.job(run, "failed") for run in (held, other)}
    alone, again = made.job(None, "failed"), made.job(held, "failed")
    for status in (*OPEN, "completed", "cancelled", "skipped"):
        made.job(done := made.run(), status)
        made.job(None, status)
        assert found(made, "failed_jobs", runs=[held, done]) == {of[held], again, alone}

    runs = made.rows.database.rows("runs_of_failed_jobs")
    assert sorted(row["run_id"] for row in runs) == sorted((held, other))


def test_handlers_are_at_work_from_their_opening_to_their_end(made: RunRows) -> None:
    run, other = made.run(), made.run()
    busy = [made.job(run, one, handler="finally", step=one) for one in OPEN if one != "waiting"]
    busy.append(made.job(run, "waiting", handler="failure", slot_wanted=True))
    busy.append(made.job(run, "waiting", handler="success", child_state="wanted"))
    for status in (*ENDED, "waiting"):
        made.job(run, status, handler="finally")
    for status in (*OPEN, *ENDED):
        made.job(run, status)
        made.job(run, status, slot_wanted=True)
        made.job(other, status, handler="finally")

    found_rows = made.rows.database.rows("handlers_at_work", runs=[run])

    assert [row["id"] for row in found_rows] == sorted(busy)
    assert {row["run_id"] for row in found_rows} == {run}
    assert {row["step"] for row in found_rows} >= {"queued", "started", "retrying"}


def test_runs_that_are_held_have_no_handlers_opened_and_their_jobs_go_on(made: RunRows) -> None:
    runs = sorted((new_id() for _ in range(2)), reverse=True)
    for run in runs:
        made.run(id=run)
    free = "SELECT id FROM headrace.run WHERE id = ANY (%(ids)s::uuid[]) FOR UPDATE SKIP LOCKED"
    with made.rows.database.transaction() as tx:
        locked = [row["id"] for row in tx.rows("lock_runs", runs=runs)]
        unlocked = made.rows.sql(free, ids=[str(run) for run in runs])
        # A foreach may go on to make its jobs.
        made.job(runs[0], "waiting")

    assert locked == runs[::-1]
    assert unlocked == []


def test_a_run_is_reopened_with_its_failed_jobs_and_their_budgets(made: RunRows) -> None:
    run, open_run = made.run(status="failed", cancelled_at="2026-07-01"), made.run(status="queued")
    spent = {"retry_count": 3, "crash_count": 2, "given_back": 1, "upstream_skipped": True,
             "slot_wanted": True, "child_state": "wanted"}  # fmt: skip
    jobs = {one: made.job(run, one, **spent) for one in (*OPEN, *ENDED)}
    below = made.job(other := made.run(status="failed"), "failed")

    assert found(made, "failed_jobs_of_run", run_id=run) == {jobs["failed"], jobs["cancelled"]}
    reopened = found(made, "reopen_jobs", ids=[*jobs.values()])
    made.rows.database.rows("reopen_runs", ids=[run, open_run])

    assert reopened == {jobs["failed"], jobs["cancelled"], jobs["skipped"]}
    names = (*spent, "next_retry_time", "queued_at", "finished_at", "skip_reason", "status")
    fresh = (0, 0, None, False, False, *[None] * 5, "waiting")
    assert {made.of("job", one, *names) for one in reopened} == {fresh}
    assert made.of("job", jobs["completed"], "retry_count") == 3
    assert made.of("job", below, "status") == "failed"
    assert made.of("run", run, "status", "cancelled_at", "finished_at") == ("running", None, None)
    assert [made.of("run", one, "status") for one in (open_run, other)] == ["queued", "failed"]
