"""Several attempts closed and several jobs claimed in one commit."""

from headrace.store.attempts import Claimed
from tests.support.rows import Rows

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


def _ended(rows: Rows, jobs, results=None) -> list[tuple[Claimed, str | None]]:
    rows.store.raw  # noqa: B018 - opens the line
    return [
        (rows.claimed(job), result)
        for job, result in zip(jobs, results or [None] * len(jobs), strict=True)
    ]
