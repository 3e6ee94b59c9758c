"""What people and the page are shown of runs, jobs and their logs: the statements alone."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
BEFORE = (NOW - timedelta(hours=1)).isoformat()
OPEN = ("waiting", "queued", "started", "retrying")
ENDED = ("completed", "failed", "cancelled", "skipped")


def rows_of(made: RunRows, statement: str, **values: Any) -> list[Any]:
    """Run a statement where only itself can bring rows into an order."""
    with made.rows.database.transaction() as tx:
        for way in ("mergejoin", "hashjoin"):
            tx.connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        return list(tx.rows(statement, **values))


def ids(found: list[Any]) -> list[UUID]:
    return [row["id"] for row in found]


def falling(count: int) -> list[UUID]:
    return sorted((new_id() for _ in range(count)), reverse=True)


def test_the_jobs_of_a_run_are_read_in_their_order_a_page_at_a_time(made: RunRows) -> None:
    run, child = made.run(), made.run(started_at=NOW.isoformat())
    jobs = [made.job(run, id=one) for one in falling(4)][::-1]
    made.rows.sql(
        "UPDATE headrace.job SET child_run = %(child)s WHERE id = %(id)s",
        child=str(child), id=str(jobs[0]),
    )  # fmt: skip
    made.job(made.run(), id=new_id())
    made.job()

    whole = rows_of(made, "jobs_of_run", run_id=run)
    page = {"run_id": run, "since": None}

    assert ids(whole) == jobs
    assert [row["child_started_at"] for row in whole] == [NOW, None, None, None]
    assert ids(rows_of(made, "page_of_run", after=None, limit=2, **page)) == jobs[:2]
    assert ids(rows_of(made, "page_of_run", after=jobs[1], limit=9, **page)) == jobs[2:]
    first = rows_of(made, "page_of_run", after=None, limit=1, **page)
    assert first[0]["child_started_at"] == NOW


def test_what_has_changed_is_read_with_what_runs_and_what_has_changed_below(made: RunRows) -> None:
    run = made.run()
    changed, at_once = (made.job(run, updated_at=at) for at in (datetime.now(UTC).isoformat(), NOW.isoformat()))  # noqa: E501 # fmt: skip
    running = made.job(run, "started", updated_at=BEFORE)
    children = [made.run(updated_at=at) for at in (NOW.isoformat(), BEFORE)]
    below, not_below = (
        made.job(run, updated_at=BEFORE, child_run=str(child)) for child in children
    )
    old = [made.job(run, one, updated_at=BEFORE) for one in (*OPEN, *ENDED) if one != "started"]
    made.job(made.run(), "started")
    old.append(made.job(run, updated_at=BEFORE, id=UUID(int=1)))
    expected = [changed, at_once, running, below]

    page = rows_of(made, "page_of_run", run_id=run, since=NOW, after=None, limit=99)
    (told,) = rows_of(made, "run_progress", id=run, since=NOW)
    (whole,) = rows_of(made, "run_progress", id=run, since=None)

    assert set(ids(page)) == set(expected)
    assert [UUID(job["id"]) for job in told["jobs"]] == sorted(expected)
    every = sorted([*expected, not_below, *old])
    assert [UUID(job["id"]) for job in whole["jobs"]] == every
    counts = {"waiting": 6, "started": 1} | dict.fromkeys(("queued", "retrying", *ENDED), 1)
    assert told["counts"] == counts
    assert {row["status"]: row["jobs"] for row in rows_of(made, "counts_of_run", run_id=run)} == (
        counts
    )
    empty = made.run()
    (told,) = rows_of(made, "run_progress", id=empty, since=None)
    assert (told["counts"], told["jobs"]) == ({}, [])


def test_a_job_is_read_with_what_it_waits_for_though_that_is_gone(made: RunRows) -> None:
    ups = [made.job(step=f"up {one}", id=one) for one in falling(2)]
    gone, other = made.job(), made.job()
    job = made.below(made.job(), *ups, gone)
    made.below(made.job(), other)
    made.rows.sql("DELETE FROM headrace.job WHERE id = %(id)s", id=str(gone))

    told = rows_of(made, "upstream_of_job", id=job)
    edges = rows_of(made, "dependencies_of_jobs", ids=[job])

    assert [(row["upstream_id"], row["step"]) for row in told] == sorted(
        [*((one, f"up {one}") for one in ups), (gone, None)]
    )
    assert {row["upstream_id"] for row in edges} == {*ups, gone}


def test_the_attempts_of_a_job_end_with_the_one_that_runs_or_has_completed(made: RunRows) -> None:
    for status in (*OPEN, *ENDED):
        job, other = (made.job(None, status, attempt=3) for _ in range(2))
        for one, number in ((job, 2), (job, 1), (other, 1)):
            made.rows.sql(
                "INSERT INTO headrace.job_attempt (job_id, attempt, outcome)"
                " VALUES (%(id)s, %(number)s, 'failed')",
                id=str(one), number=number,
            )  # fmt: skip
        told = rows_of(made, "attempts_of_job", id=job)

        last = [(3, status)] if status in ("started", "completed") else []
        assert [(row["attempt"], row["outcome"]) for row in told] == [
            (1, "failed"), (2, "failed"), *last,
        ]  # fmt: skip


def test_log_lines_are_read_in_the_order_in_which_they_were_said(made: RunRows) -> None:
    a, b, other = sorted(made.job() for _ in range(3))
    said = [
        (b, 1, 1, NOW), (a, 2, 1, NOW), (a, 1, 2, NOW), (a, 1, 1, NOW),
        (a, 2, 2, NOW - timedelta(seconds=1)), (other, 1, 1, NOW),
    ]  # fmt: skip
    for job, attempt, line, at in said:
        made.rows.sql(
            "INSERT INTO headrace.job_log VALUES (%(job)s, %(attempt)s, %(line)s, %(at)s, 'info',"
            " 'm')",
            job=str(job), attempt=attempt, line=line, at=at.isoformat(),
        )  # fmt: skip

    def told(statement: str, **values: Any) -> list[tuple[Any, ...]]:
        found = rows_of(made, statement, **values)
        return [(row.get("job_id", a), row["attempt"], row["line"]) for row in map(dict, found)]

    seen = [
        {"job": str(job), "attempt": attempt, "line": line}
        for job, attempt, line in ((b, 1, 0), (a, 1, 1), (a, 2, 0))
    ]
    by_time = [(a, 2, 2), (a, 1, 1), (a, 1, 2), (a, 2, 1), (b, 1, 1)]
    assert told("logs_of_job", id=a) == [(a, 1, 1), (a, 1, 2), (a, 2, 1), (a, 2, 2)]
    assert told("logs_of_jobs", ids=[a, b]) == by_time
    by_time.remove((a, 1, 1))
    assert told("logs_of_attempts", seen=json.dumps(seen)) == by_time


def test_a_beginning_of_an_id_finds_what_lies_between_its_bounds(made: RunRows) -> None:
    def between(first: int, last: int, limit: int = 9) -> list[tuple[str, int, str]]:
        bounds = {"first": UUID(int=first), "last": UUID(int=last)}
        found = rows_of(made, "rows_by_beginning", limit=limit, **bounds)
        return [(row["kind"], row["id"].int, row["name"]) for row in found]

    for number in (10, 20, 15, 9, 21):
        made.run(id=UUID(int=number))
        made.job(id=UUID(int=number + 100), pipeline="p", step=f"s{number}")

    assert between(10, 20) == [("run", one, "p") for one in (20, 15, 10)]
    assert between(110, 120) == [("job", one, f"p.s{one - 100}") for one in (120, 115, 110)]
    assert between(10, 120, limit=2) == [("run", 21, "p"), ("run", 20, "p")]
    alone = made.job(id=UUID(int=500), job_class="C")
    assert between(500, 500) == [("job", alone.int, "C")]


def test_one_run_among_its_own_jobs_is_found_by_their_common_beginning(made: RunRows) -> None:
    run = made.run(id=UUID(int=10))
    for number in (11, 12):
        made.job(run, id=UUID(int=number))
    made.job(id=UUID(int=13))
    made.run(id=UUID(int=20))
    made.run(id=UUID(int=21))
    made.job(run, id=UUID(int=22))

    def found(first: int, last: int) -> list[UUID]:
        return ids(rows_of(made, "run_with_own_jobs", first=UUID(int=first), last=UUID(int=last)))

    assert found(10, 12) == found(9, 10) == [run]
    assert found(10, 13) == found(9, 9) == found(20, 21) == found(20, 22) == []
    assert found(21, 22) == [], "a job of another run lies there"


def test_the_newest_run_of_each_pipeline_is_told(made: RunRows) -> None:
    for pipeline in ("a", "b", "c"):
        high, middle, low = falling(3)
        for one in (middle, high, low):
            made.run(id=one, pipeline=pipeline)
    newest = {
        row["pipeline"]: UUID(str(row["id"]))
        for row in made.rows.sql("SELECT DISTINCT ON (pipeline) pipeline, id FROM headrace.run"
                                 " ORDER BY pipeline, id DESC")
    }  # fmt: skip

    told = rows_of(made, "last_runs", pipelines=["a", "b", "none"])

    assert {row["pipeline"]: row["id"] for row in told} == {one: newest[one] for one in "ab"}


def test_instants_that_a_schedule_or_a_backfill_has_served_are_told(made: RunRows) -> None:
    instants = [NOW + timedelta(days=one) for one in range(6)]
    triggers = ("schedule", "backfill", "manual", "api", "pipeline")
    for at, trigger in zip(instants, triggers, strict=False):
        made.run(logical_date=at.isoformat(), trigger=trigger)
    made.run(logical_date=instants[5].isoformat(), trigger="schedule", pipeline="other")
    not_asked = NOW - timedelta(days=1)
    made.run(logical_date=not_asked.isoformat(), trigger="schedule")

    told = rows_of(made, "instants_with_runs", pipeline="p", instants=instants)

    assert {row["logical_date"]: row["trigger"] for row in told} == {
        instants[0]: "schedule", instants[1]: "backfill",
    }  # fmt: skip


def test_open_work_is_counted_by_its_state_and_queue(made: RunRows) -> None:
    statuses = ("queued", "running", "completed", "failed", "cancelled", "skipped")
    runs = {one: made.run(status=one) for one in statuses}
    for run in (*runs.values(), None):
        for status in (*OPEN, *ENDED):
            made.job(run, status, queue="high" if run else "low", queued_at=BEFORE)
    made.job(None, "queued", queue="high", queued_at=NOW.isoformat())
    made.job(runs["running"], "waiting", queue="high")
    for _ in range(2):
        made.job(None, "started", queue="high")

    waiting = rows_of(made, "waiting_counts")
    open_runs = rows_of(made, "open_run_counts")
    open_jobs = rows_of(made, "open_counts")

    assert [(row["queue"], row["jobs"]) for row in waiting] == [("high", 3)]
    assert {row["status"]: row["runs"] for row in open_runs} == {"queued": 1, "running": 1}
    oldest = datetime.fromisoformat(BEFORE)
    assert {(row["queue"], row["status"]): (row["jobs"], row["oldest"]) for row in open_jobs} == {
        ("high", "queued"): (7, oldest), ("low", "queued"): (1, oldest),
        ("high", "started"): (8, None), ("low", "started"): (1, None),
        ("high", "retrying"): (6, None), ("low", "retrying"): (1, None),
    }  # fmt: skip
