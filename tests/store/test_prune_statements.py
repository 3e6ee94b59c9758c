"""What retention deletes and what it keeps: the statements alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows
from tests.support.servers import connect

ENDED = ("completed", "failed", "cancelled", "skipped")
OPEN = ("waiting", "queued", "started", "retrying")
_DAY_S = 86400.0
_BETWEEN = {"after": UUID(int=0), "until": UUID(int=(1 << 128) - 1)}


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def run_of(made: RunRows, status: str = "completed", days: float = 3, **columns: Any) -> UUID:
    """Insert a run that ended so many days ago."""
    return made.run(status=status, finished_at=ago(days), **columns)


def job_of(
    made: RunRows,
    run: UUID | None = None,
    status: str = "completed",
    days: float = 3,
    **columns: Any,
) -> UUID:
    """Insert a job that ended so many days ago."""
    return made.job(run, status, finished_at=ago(days), **columns)


def pruned(made: RunRows, of: str, limit: int = 100, **between: UUID) -> dict[str, Any]:
    """Delete what ended more than a day ago; return what is told of it."""
    given = {**_BETWEEN, **between, "older_than_s": _DAY_S, "limit": limit}
    (told,) = impatiently(made, f"prune_{of}", **given)
    return dict(told)


def impatiently(made: RunRows, statement: str, **values: Any) -> list[Any]:
    """Run a statement that is not to wait for what another one holds."""
    with made.rows.database.transaction() as tx:
        # DISTINCT sorts, too, where it is not hindered.
        tx.connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'; SET LOCAL enable_sort = off")
        return tx.rows(statement, **values)


def left(made: RunRows, table: str, column: str = "id") -> set[UUID]:
    return {UUID(str(row["id"])) for row in
            made.rows.sql(f"SELECT {column} AS id FROM headrace.{table}")}  # fmt: skip


@contextmanager
def held(made: RunRows, table: str, row: UUID) -> Iterator[None]:
    """Lock a row from outside."""
    holder = connect(made.rows.url)
    with holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT FROM headrace.{table} WHERE id = %s FOR UPDATE", (str(row),))
        yield
        cursor.execute("ROLLBACK")
    holder.close()


@pytest.mark.parametrize("of", ["runs", "jobs"])
def test_what_ended_long_ago_is_deleted_however_it_ended(made: RunRows, of: str) -> None:
    make: Any = run_of if of == "runs" else lambda made, status, **how: job_of(
        made, None, status, **how
    )  # fmt: skip
    for status in ENDED:
        make(made, status)
    kept = {make(made, status, days=0.5) for status in ENDED}
    kept |= {make(made, one) for one in (("queued", "running") if of == "runs" else OPEN)}

    told = pruned(made, of)

    assert (told["found"], told[of]) == (4, 4)
    assert left(made, of.removesuffix("s")) == kept
    if of == "jobs":
        run = made.run()
        assert pruned(made, of)["found"] == 0
        assert job_of(made, run) in left(made, "job")
        assert pruned(made, of)["found"] == 0, "jobs of runs go with their runs"


@pytest.mark.parametrize("of", ["runs", "jobs"])
def test_what_the_totals_have_not_counted_is_kept(made: RunRows, of: str) -> None:
    mark = ago(2.5)
    made.rows.sql("UPDATE headrace.total_mark SET until = %(mark)s", mark=mark)
    if of == "runs":
        counted, late, of_late = run_of(made), run_of(made, days=2), run_of(made)
        job_of(made, counted)
        job_of(made, of_late, days=2)
        kept = {late, of_late}
    else:
        job_of(made)
        kept = {job_of(made, days=2)}

    assert pruned(made, of)[of] == 1
    assert left(made, of.removesuffix("s")) == kept


def test_a_run_goes_with_its_ended_jobs_and_stays_with_an_open_one(made: RunRows) -> None:
    for status in ENDED:
        job_of(made, run_of(made), status)
    kept = set()
    for status in OPEN:
        run = run_of(made)
        job_of(made, run)
        made.job(run, status)
        kept.add(run)

    told = pruned(made, "runs")

    assert (told["found"], told["runs"], told["jobs"]) == (8, 4, 4)
    assert left(made, "run") == left(made, "job", "run_id") == kept
    assert len(left(made, "job")) == 8


def test_a_run_or_job_that_somebody_holds_is_passed_over(made: RunRows) -> None:
    run = run_of(made)
    run_of(made)
    job_of(made, run, "failed")
    with held(made, "run", run):
        told = pruned(made, "runs")
        assert (told["found"], told["runs"]) == (1, 1)
    assert left(made, "run") == {run}
    (job,) = left(made, "job")
    with held(made, "job", job):
        told = pruned(made, "runs")
        assert (told["found"], told["runs"], told["jobs"]) == (1, 0, 0)
    alone = job_of(made)
    with held(made, "job", alone):
        assert pruned(made, "jobs")["found"] == 0
    assert pruned(made, "jobs")["jobs"] == 1


def test_a_run_is_kept_for_its_parent_until_that_has_read_its_outcome(made: RunRows) -> None:
    kept, parents = set(), made.run()
    for status in (*OPEN, *ENDED):
        parent = made.job(parents, status)
        latest = run_of(made, parent_job=str(parent))
        run_of(made, parent_job=str(parent))  # Of an earlier start.
        made.rows.sql(
            "UPDATE headrace.job SET child_run = %(run)s WHERE id = %(id)s",
            run=str(latest),
            id=str(parent),
        )
        kept |= {latest} if status in OPEN else set()

    assert pruned(made, "runs")["runs"] == 12
    assert left(made, "run") == {*kept, parents}


@pytest.mark.parametrize("of", ["runs", "jobs"])
def test_what_a_waiting_job_without_a_run_depends_on_is_kept(made: RunRows, of: str) -> None:
    def upstream() -> UUID:
        return job_of(made, run_of(made) if of == "runs" else None)

    free = upstream()
    for status in ("queued", "started", "retrying", "cancelled"):
        made.below(made.job(None, status), upstream())
    awaited = upstream()
    below = made.below(made.job(None), awaited)

    assert pruned(made, of)[of] == 5
    assert awaited in left(made, "job")
    assert free not in left(made, "job")
    assert left(made, "job_dependency", "upstream_id") == {awaited}
    made.rows.sql("UPDATE headrace.job SET status = 'queued' WHERE id = %(id)s", id=str(below))
    assert pruned(made, of)[of] == 1


def test_no_dependency_of_a_deleted_job_is_left_on_either_side(made: RunRows) -> None:
    run = run_of(made, days=0.5)
    made.below(job_of(made), job_of(made, run, days=0.5))
    made.below(job_of(made, days=0.5), job_of(made))

    assert pruned(made, "jobs")["jobs"] == 2
    assert left(made, "job_dependency", "job_id") == set()


@pytest.mark.parametrize("of", ["runs", "jobs", "logs"])
def test_a_batch_is_of_the_first_ids_and_tells_the_last_of_them(made: RunRows, of: str) -> None:
    table, column = ("job_log", "job_id") if of == "logs" else (of.removesuffix("s"), "id")
    counted = "jobs" if of == "logs" else of
    ids = sorted(new_id() for _ in range(5))
    for one in reversed(ids):
        if of == "runs":
            run_of(made, id=one)
        else:
            job_of(made, id=one)
        if of == "logs":
            log(made, one)
    if of == "runs":
        made.job(ids[0])  # It is kept, and counts as found.
    elif of == "jobs":
        made.below(made.job(None), ids[0])
    else:
        made.rows.sql("UPDATE headrace.job SET status = 'started', finished_at = NULL"
                      " WHERE id = %(id)s", id=str(ids[0]))  # fmt: skip

    told = pruned(made, of, limit=2)

    assert (told["found"], told["last"], told[counted]) == (2, ids[1], 1)
    told = pruned(made, of, limit=2, after=ids[1], until=ids[3])
    assert (told["found"], told["last"], told[counted]) == (1, ids[2], 1)
    assert left(made, table, column) >= {ids[0], *ids[3:]}
    assert not left(made, table, column) & set(ids[1:3])
    told = pruned(made, of, limit=2, after=ids[4])
    assert (told["found"], told["last"], told[counted]) == (0, None, 0)


def log(made: RunRows, job: UUID) -> None:
    """Give a job several lines of its log."""
    made.rows.sql(
        "INSERT INTO headrace.job_log SELECT %(id)s::uuid, 1, n, now(), 'info', 'x'"
        "  FROM generate_series(1, 3) AS n",
        id=str(job),
    )


def test_logs_go_of_what_ended_long_ago_or_is_gone(made: RunRows) -> None:
    kept = {made.job(None, status) for status in OPEN}
    kept |= {job_of(made, None, status, days=0.5) for status in ENDED}
    for job in (*kept, *(job_of(made, None, status) for status in ENDED), new_id()):
        log(made, job)

    assert pruned(made, "logs")["jobs"] == 5
    assert left(made, "job_log", "job_id") == kept


def test_plans_of_no_run_are_deleted_and_those_held_or_young_are_kept(made: RunRows) -> None:
    def plan(days: float) -> UUID:
        one = new_id()
        made.rows.sql("INSERT INTO headrace.plan VALUES (%(id)s, '[]', %(at)s)",
                      id=str(one), at=ago(days))  # fmt: skip
        return one

    old, taken, young, used = plan(3), plan(3), plan(0.5), plan(3)
    made.run(plan_id=str(used))

    with held(made, "plan", taken):
        impatiently(made, "prune_plans", older_than_s=_DAY_S)

    assert left(made, "plan") == {taken, young, used}
    made.rows.database.rows("prune_plans", older_than_s=_DAY_S)
    assert left(made, "plan") == {young, used}
    assert old not in left(made, "plan")


@pytest.mark.parametrize(
    ("of", "table", "column", "insert"),
    [
        ("attempts", "job_attempt", "job_id",
         "(job_id, attempt, outcome, finished_at) VALUES (%(id)s, 1, 'failed', %(at)s)"),
        ("triggered", "triggered", "upstream_run",
         "(pipeline, upstream_run, outcome, used_at) VALUES ('p', %(id)s, 'failed', %(at)s)"),
    ],
)  # fmt: skip
def test_notes_of_what_is_gone_are_deleted_once_they_are_old(
    made: RunRows, of: str, table: str, column: str, insert: str
) -> None:
    def note(row: UUID, days: float) -> UUID:
        made.rows.sql(f"INSERT INTO headrace.{table} {insert}", id=str(row), at=ago(days))
        return row

    first, gone, last = sorted(new_id() for _ in range(3))
    there = job_of(made) if of == "attempts" else run_of(made)
    kept = {note(new_id(), 0.5), note(there, 3)}
    for one in (first, gone, last):
        note(one, 3)

    between = {"after": first, "until": last, "older_than_s": _DAY_S}
    made.rows.database.rows(f"prune_{of}", **between)

    assert left(made, table, column) == {*kept, first, last}
    made.rows.database.rows(f"prune_{of}", **{**between, **_BETWEEN})
    assert left(made, table, column) == kept


def test_a_job_has_a_running_attempt_only_while_it_is_started(made: RunRows) -> None:
    jobs = {status: made.job(None, status, attempt=2) for status in (*OPEN, *ENDED)}
    made.job(None, "started")

    told = made.rows.database.rows("attempts_of_jobs", ids=[*jobs.values(), new_id()])

    assert {row["id"]: row["running"] for row in told} == {
        job: 2 if status == "started" else None for status, job in jobs.items()
    }
