"""What the statements of the job log write and delete, and whose log it is."""

import json
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows
from tests.support.servers import connect

NOON = 1_750_000_000.5


def entry(line: int, message: str = "x", level: str = "info", at: float = NOON) -> dict[str, Any]:
    return {"line": line, "at": at, "level": level, "message": message}


def add(made: RunRows, job: UUID, attempt: int, *entries: dict[str, Any], batch: bool = False):
    """Write lines as one attempt does, or as attempts that end in one commit."""
    if batch:
        said = [{"job": str(job), "attempt": attempt, "lines": entries}]
        made.rows.database.rows("add_lines_of_batch", said=json.dumps(said))
    else:
        made.rows.database.rows(
            "add_log_lines", id=job, attempt=attempt, entries=json.dumps(entries)
        )


def lines(made: RunRows, job: UUID, attempt: int = 1) -> list[tuple[int, str]]:
    found = made.rows.sql(
        "SELECT line, message FROM headrace.job_log WHERE job_id = %(id)s AND attempt = %(n)s"
        " ORDER BY line",
        id=str(job), n=attempt,
    )  # fmt: skip
    return [(row["line"], row["message"]) for row in found]


def test_lines_that_are_left_out_are_deleted_of_that_attempt_alone(made: RunRows) -> None:
    one, other = made.job(), made.job()
    for job, attempt in ((one, 1), (one, 2), (other, 1)):
        add(made, job, attempt, *map(entry, range(1, 6)))

    made.rows.database.rows("forget_left_out", id=one, attempt=1, first_left_out=1, last_left_out=3)

    assert [line for line, _ in lines(made, one)] == [1, 4, 5]
    assert len(lines(made, one, 2)) == len(lines(made, other)) == 5


@pytest.mark.parametrize("batch", [False, True])
def test_a_line_is_there_once_and_only_what_differs_is_written(made: RunRows, batch: bool) -> None:
    job, other = made.job(), made.job()
    add(made, other, 1, entry(1, "of another"), batch=batch)
    add(made, job, 1, entry(1, "a"), entry(2, "2 lines were left out", "warning"), batch=batch)
    before = made.rows.sql("SELECT line, xmin::text AS by FROM headrace.job_log ORDER BY 1")

    add(made, job, 1, entry(1, "a"), entry(2, "3 lines were left out", "warning"), batch=batch)
    add(made, job, 2, entry(1, "b", "error", NOON + 1), batch=batch)

    assert lines(made, job) == [(1, "a"), (2, "3 lines were left out")]
    assert lines(made, other) == [(1, "of another")]
    (told,) = made.rows.sql(
        "SELECT level, extract(epoch FROM at)::float8 AS at FROM headrace.job_log WHERE attempt = 2"
    )
    assert (told["level"], told["at"]) == ("error", NOON + 1)
    after = made.rows.sql("SELECT line, xmin::text AS by FROM headrace.job_log WHERE attempt = 1"
                          " ORDER BY 1")  # fmt: skip
    assert [row["by"] for row in after if row["line"] == 1] == [
        row["by"] for row in before if row["line"] == 1
    ], "a line that is there already is not written again"


@pytest.mark.parametrize("changed", [{"at": NOON + 1}, {"level": "error"}, {"message": "y"}])
@pytest.mark.parametrize("batch", [False, True])
def test_a_line_is_written_anew_whatever_of_it_differs(
    made: RunRows, batch: bool, changed: dict[str, Any]
) -> None:
    job = made.job()
    add(made, job, 1, entry(1), batch=batch)

    add(made, job, 1, {**entry(1), **changed}, batch=batch)

    (row,) = made.rows.sql(
        "SELECT level, message, extract(epoch FROM at)::float8 AS at FROM headrace.job_log"
    )
    assert row == {"level": "info", "message": "x", "at": NOON, **changed}


@pytest.mark.parametrize(
    ("status", "attempt", "running", "may"),
    [
        ("started", 2, True, True),
        ("started", 1, True, False),
        ("completed", 2, True, False),
        ("retrying", 2, True, False),
        ("started", 2, False, True),
        ("completed", 2, False, True),
        ("completed", 1, False, True),
        ("completed", 3, False, False),
    ],
)
def test_a_parent_writes_the_log_of_the_attempt_that_runs_or_of_one_that_has_ended(
    made: RunRows, status: str, attempt: int, running: bool, may: bool
) -> None:
    job = made.job(status=status, attempt=2)
    made.job(status="started", attempt=attempt)

    found = made.rows.database.rows("may_keep_log", id=job, attempt=attempt, running=running)

    assert bool(found) is may
    assert not made.rows.database.rows("may_keep_log", id=new_id(), attempt=1, running=False)


def test_only_the_writing_of_that_log_waits_for_no_lock(made: RunRows) -> None:
    job = made.job(status="completed", attempt=1)
    waits = "SELECT pg_catalog.current_setting('lock_timeout'), pg_catalog.pg_backend_pid()"
    with made.rows.database.transaction() as tx:
        (before,) = tx.connection.exec_driver_sql(waits).all()
        tx.rows("may_keep_log", id=job, attempt=1, running=False)
        (within,) = tx.connection.exec_driver_sql(waits).all()
    with made.rows.database.transaction() as tx:
        (after,) = tx.connection.exec_driver_sql(waits).all()

    assert (within[0], within[1]) == ("500ms", before[1])
    assert after == before, "the same session"


@pytest.mark.parametrize(("asked", "waits"), [(1, True), (2, False)])
def test_one_writer_at_a_time_leaves_lines_of_an_attempt_out(
    made: RunRows, asked: int, waits: bool
) -> None:
    job = made.job()
    with connect(made.rows.url) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s || ':1', 0))", (str(job),))
        with made.rows.database.transaction() as tx:
            tx.connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
            tx.rows("hold_log", id=job, attempt=asked, first_left_out=None)
            tx.rows("hold_log", id=new_id(), attempt=1, first_left_out=1)
            if not waits:
                tx.rows("hold_log", id=job, attempt=asked, first_left_out=1)
                return
            with pytest.raises(Exception, match="lock timeout"):
                tx.rows("hold_log", id=job, attempt=asked, first_left_out=1)
