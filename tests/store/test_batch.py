"""Several attempts closed and several jobs claimed in one commit."""

from uuid import UUID

from headrace.store.attempts import CAN, Claimed, array
from tests.support.rows import Rows
from tests.support.run_rows import RunRows

NOOP = "tests.support.jobs_effects.NoopJob"


def test_all_of_a_batch_are_completed_with_their_own_results(rows: Rows) -> None:
    jobs = [rows.add("started") for _ in range(3)]
    results = ["1", '{"text": "it\'s \\"so\\""}', None]

    completed, claimed = rows.store.complete_batch(_ended(rows, jobs, results), [], [])

    assert completed.ids == set(jobs)
    assert claimed == []
    assert [rows.status(job) for job in jobs] == ["completed"] * 3
    assert [rows.row(job)["result"] for job in jobs] == [1, {"text": 'it\'s "so"'}, None]


def test_a_common_dependant_is_lowered_by_all_of_a_batch(rows: Rows) -> None:
    above = [rows.add("started") for _ in range(3)]
    below, one_more = rows.add("waiting", upstream=above), rows.add("started")
    held_up = rows.add("waiting", upstream=[above[0], one_more])

    completed, _ = rows.store.complete_batch(_ended(rows, above), [], [])

    assert [row[0] for row in completed.released] == [str(below)]
    assert (rows.status(below), rows.row(below)["deps_left"]) == ("queued", 0)
    assert (rows.status(held_up), rows.row(held_up)["deps_left"]) == ("waiting", 1)


def test_a_dependant_that_came_late_has_its_batch_recounted(rows: Rows) -> None:
    job = rows.add("started")
    seen_before = _ended(rows, [job])
    rows.add("waiting", upstream=[job])
    rows.sql(f"DELETE FROM headrace.job_dependency WHERE upstream_id = '{job}'")

    completed, _ = rows.store.complete_batch(seen_before, [], [])

    assert completed.recount


def test_what_is_released_is_told_once_however_many_are_claimed(rows: Rows) -> None:
    job = rows.add("started")
    below = rows.add("waiting", upstream=[job])
    following = [rows.add("queued") for _ in range(3)]

    completed, claimed = rows.store.complete_batch(
        _ended(rows, [job]), [(str(one), 0) for one in following], [NOOP]
    )

    assert [row[0] for row in completed.released] == [str(below)]
    assert [one.id for one in claimed] == following


def test_of_jobs_that_may_take_long_only_the_first_is_claimed(rows: Rows) -> None:
    long = [rows.add("queued", job_class="Long") for _ in range(3)]
    short = rows.add("queued", job_class="Short")
    messages = [(str(one), 0) for one in (*long, short)]
    rows.store.raw  # noqa: B018 - opens the line

    _, claimed = rows.store.complete_batch([], messages, ["Short"])

    assert [one.id for one in claimed] == [long[0], short]
    assert [rows.status(one) for one in long[1:]] == ["queued", "queued"]


def test_what_a_batch_leaves_to_be_decided_is_told_apart_from_what_waits_for_others(
    rows: Rows,
) -> None:
    made = RunRows(rows)
    run, other = made.run(), made.run()
    above, last = made.job(run, "started"), made.job(run, "started")
    lone, failed = made.job(other, "started"), made.job(other, "failed")
    held_up = made.job(run, "started")
    asking, pooled = made.job(run, deps_left=1, when_expr="x"), made.job(run, deps_left=1, pool="p")
    for job in (asking, pooled):
        made.below(job, above)
    released = [made.below(made.job(run, deps_left=1, queue="low"), above) for _ in range(2)]
    made.below(made.job(run, deps_left=2), above, held_up)
    skipped = made.below(made.job(run, "skipped", deps_left=1), above)
    ended = _ended(rows, [above, last, lone])
    values = {
        "ids": array(one.id for one, _ in ended),
        "attempts": array(one.attempt for one, _ in ended),
        "results": [None] * 3,
    }

    with rows.database.transaction() as tx:
        (told,) = tx.rows("complete_ended", **values)
        tx.connection.exec_driver_sql("ROLLBACK; BEGIN")
    completed, _ = rows.store.complete_batch(ended, [], [])

    assert {UUID(one) for one in told["ids"]} == completed.ids == {above, last, lone}
    for undecided, freed in (
        (told["undecided"], told["released"]),
        (completed.undecided, completed.released),
    ):
        assert {UUID(one) for one in undecided} == {asking, pooled}
        assert freed == [[str(job), 0, "low", 60] for job in sorted(released)]
    assert not told["recount"]
    assert not completed.recount
    # Of `run` something is left: what it has released.
    assert {UUID(one) for one in told["runs"]} == {run, other}
    assert [rows.status(one) for one in (failed, held_up, skipped)] == [
        "failed", "started", "skipped",
    ]  # fmt: skip


def test_jobs_are_claimed_in_the_order_of_their_messages(rows: Rows) -> None:
    jobs = [rows.add("queued") for _ in range(4)]
    messages = [(str(jobs[number]), 0) for number in (2, 0, 3, 1)]
    rows.store.raw  # noqa: B018 - opens the line

    _, claimed = rows.store.complete_batch([], messages, [NOOP])

    assert [one.id for one in claimed] == [jobs[number] for number in (2, 0, 3, 1)]
    again = [rows.add("queued") for _ in range(4)]
    messages = [(str(again[number]), 0) for number in (2, 0, 3, 1)]
    several = rows.store.claim_several(messages, [NOOP])
    assert [one.id for one in several] == [again[number] for number in (2, 0, 3, 1)]


def test_of_what_follows_in_a_batch_each_is_claimed_that_is_short_takes_no_slot_and_is_ours(
    rows: Rows,
) -> None:
    made = RunRows(rows)
    rows.store.raw  # noqa: B018 - opens the line
    first = made.job(None, "queued")
    wrong = [
        made.job(None, "queued", pool="p", pool_slots=1),
        made.job(None, "queued", needs=CAN + 1),
        made.job(None, "queued", attempt=1),
        made.job(None, "started", attempt=0),
        made.job(None, "cancelled"),
    ]
    fine = made.job(None, "queued", needs=CAN)
    not_asked = made.job(None, "queued")
    before = [made.of("job", one, "status", "attempt") for one in (*wrong, not_asked)]

    claimed = rows.store.claim_several(
        [(str(job), 0) for job in (first, *wrong, fine)], [NOOP, "Other"]
    )

    assert [one.id for one in claimed] == [first, fine]
    assert [(one.attempt, one.queue) for one in claimed] == [(1, "medium")] * 2
    assert made.of("job", fine, "status", "attempt", "worker") == ("started", 1, "tests")
    assert [made.of("job", one, "status", "attempt") for one in (*wrong, not_asked)] == before
    pooled = rows.store.claim_several([(str(wrong[0]), 0)], [])
    assert [one.id for one in pooled] == [wrong[0]], "the first one may take long"


def _ended(rows: Rows, jobs, results=None) -> list[tuple[Claimed, str | None]]:
    rows.store.raw  # noqa: B018 - opens the line
    return [
        (rows.claimed(job), result)
        for job, result in zip(jobs, results or [None] * len(jobs), strict=True)
    ]
