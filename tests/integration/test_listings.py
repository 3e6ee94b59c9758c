"""Listings and metrics stay cheap as the history grows, whichever rows match."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from headrace.cli.finding import bounds
from headrace.engine.application import Headrace
from headrace.model.status import JobStatus, RunStatus
from headrace.store.listings import list_jobs, list_runs
from headrace.store.statements import STATEMENTS
from tests.support.servers import connect
from tests.support.web import installation

RUNS = 1500
# The rare ones are the oldest: a look from the newest on meets them last.
HISTORY = f"""
INSERT INTO headrace.run (id, pipeline, version, status, trigger, logical_date, plan, created_at,
                          started_at, finished_at)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       CASE WHEN n <= 3 THEN 'rare' ELSE 'p' || n % 9 END, '1',
       CASE WHEN n <= 2 THEN 'cancelled' WHEN n > {RUNS} - 2 THEN 'running'
            WHEN n % 400 = 0 THEN 'failed' ELSE 'completed' END, 'manual', now(), '{{}}',
       now() - interval '40 days', now(), now() - interval '40 days'
  FROM generate_series(1, {RUNS}) AS n;
INSERT INTO headrace.job (id, job_class, status, queue, timeout_s, retry, run_id, pipeline, step,
                          created_at, finished_at)
SELECT ('00000000-0000-7000-9000-' || lpad(to_hex(n * 8 + s), 12, '0'))::uuid,
       CASE WHEN n <= 3 AND s = 1 THEN 'VacuumTable' WHEN s = 2 THEN 'LoadFile' ELSE 'RunSql' END,
       CASE WHEN n <= 3 AND s = 2 THEN 'skipped' WHEN n <= 3 AND s = 3 THEN 'failed'
            WHEN r.status = 'running'
                THEN (ARRAY['waiting', 'queued', 'started', 'retrying', 'queued'])[s]
            ELSE 'completed' END,
       CASE WHEN n <= 3 THEN 'high' WHEN s = 4 THEN 'low' ELSE 'medium' END,
       1, '{{}}', CASE WHEN s < 5 THEN r.id END, CASE WHEN s < 5 THEN r.pipeline END,
       's' || s, r.created_at, CASE WHEN r.status <> 'running' THEN r.finished_at END
  FROM generate_series(1, {RUNS}) AS n
  JOIN headrace.run r ON r.id = ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
 CROSS JOIN generate_series(1, 5) AS s;
ANALYZE headrace.run, headrace.job;
"""


# A page of the table for each four: what is read is counted in pages.
QUEUED = f"""
INSERT INTO headrace.job (id, job_class, payload, status, queue, timeout_s, retry, run_id, pipeline,
                          step, queued_at)
SELECT ('00000000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
       CASE WHEN n % 1500 = 7 THEN 'VacuumTable' WHEN n % 3 = 0 THEN 'LoadFile' ELSE 'RunSql' END,
       to_json(repeat('x', 1200)), 'queued',
       CASE WHEN n < 40 THEN 'high' WHEN n % 5 = 0 THEN 'low' ELSE 'medium' END, 1, '{{}}',
       CASE WHEN n % 2 = 0 THEN '{UUID(int=1)}'::uuid END,
       CASE WHEN n % 2 = 0 THEN CASE WHEN n < 9 THEN 'rare' ELSE 'p1' END END, 's' || n, now()
  FROM generate_series(1, 5000) AS n
"""
LOG_LINES = """
INSERT INTO headrace.job_log (job_id, attempt, line, at, level, message)
SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(job), 12, '0'))::uuid, 1, line, now(), 'info',
       'said'
  FROM generate_series(1, 400) AS job
 CROSS JOIN generate_series(1, 60) AS line;
ANALYZE headrace.job_log;
"""


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path) as found:
        yield found


def sql(headrace: Headrace, text: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(connect(headrace.database_url)) as line, line.cursor() as cursor:
        cursor.execute(text, values or None)
        rows = cursor.fetchall() if cursor.description else []
        line.commit()
        return rows


JOB_FILTERS: list[dict[str, str]] = [
    {},
    *({"status": str(status)} for status in JobStatus),
    {"queue": "high"}, {"queue": "low"}, {"queue": "no"},
    {"job_class": "VacuumTable"}, {"job_class": "RunSql"}, {"job_class": "No"},
    {"pipeline": "rare"}, {"pipeline": "p4"}, {"pipeline": "no"},
    {"job_class": "RunSql", "status": "failed"}, {"job_class": "LoadFile", "queue": "high"},
    {"pipeline": "p4", "queue": "low"}, {"pipeline": "rare", "status": "skipped"},
    {"pipeline": "p4", "job_class": "LoadFile", "status": "completed", "queue": "medium"},
]  # fmt: skip
RUN_FILTERS: list[dict[str, str]] = [
    {},
    *({"status": str(status)} for status in RunStatus),
    {"pipeline": "rare"}, {"pipeline": "p4"}, {"pipeline": "no"},
    {"pipeline": "rare", "status": "cancelled"}, {"pipeline": "p4", "status": "completed"},
]  # fmt: skip


def test_each_listing_gives_all_that_match_newest_first_in_pages(headrace: Headrace):
    sql(headrace, HISTORY)
    listings: tuple[tuple[str, Any, Any], ...] = (
        ("job", list_jobs, JOB_FILTERS),
        ("run", list_runs, RUN_FILTERS),
    )
    for table, listed, filters in listings:
        for wanted in filters:
            where = " AND ".join(f"{name} = '{value}'" for name, value in wanted.items())
            query = f"SELECT id FROM headrace.{table} WHERE {where or 'true'} ORDER BY id DESC"
            expected = [UUID(str(row[0])) for row in sql(headrace, f"{query} LIMIT 75")]

            first = listed(headrace.database, limit=25, **wanted)
            found = [row["id"] for row in first]
            while len(first) == 25 and len(found) < 75:
                first = listed(headrace.database, limit=25, before=found[-1], **wanted)
                found += [row["id"] for row in first]

            assert found == expected, wanted


def test_a_listing_reads_little_whichever_rows_match(headrace: Headrace):
    sql(headrace, HISTORY)
    whole = pages_read(headrace, "SELECT * FROM headrace.job")

    listings: tuple[tuple[str, Any, Any], ...] = (
        ("job", list_jobs, JOB_FILTERS),
        ("run", list_runs, RUN_FILTERS),
    )
    for table, listed, filters in listings:
        for wanted in filters:
            watched = Watched(headrace)
            listed(watched, limit=25, **wanted)
            # Reading the rows of the page is up to a page of the table for each.
            assert watched.pages < min(whole, 400), (table, wanted, watched.pages, whole)


def test_a_filter_reads_little_however_many_jobs_are_queued(headrace: Headrace):
    # The rare ones are the oldest again; and the planner has never seen a queued job.
    sql(headrace, "ANALYZE headrace.job")
    sql(headrace, QUEUED)
    listed: Any = list_jobs
    filters: tuple[dict[str, str], ...] = (
        {"status": "queued"}, {"queue": "high"}, {"job_class": "VacuumTable"},
        {"status": "queued", "queue": "low"}, {"status": "queued", "queue": "no"},
        {"pipeline": "rare"}, {"pipeline": "p1"}, {"pipeline": "no", "status": "queued"},
        {"pipeline": "p1", "queue": "high"}, {"pipeline": "p1", "job_class": "VacuumTable"},
    )  # fmt: skip
    for wanted in filters:
        where = " AND ".join(f"{name} = '{value}'" for name, value in wanted.items())
        query = f"SELECT id FROM headrace.job WHERE {where} ORDER BY id DESC LIMIT 20"
        watched = Watched(headrace)
        listed(watched, limit=20, **wanted)

        found = listed(headrace.database, limit=20, **wanted)

        assert [row["id"] for row in found] == [UUID(str(row[0])) for row in sql(headrace, query)]
        # Of more than a thousand.
        assert watched.pages < 250, (wanted, watched.pages)


def test_an_id_is_found_by_its_beginning_without_a_look_at_all_rows(headrace: Headrace):
    sql(headrace, HISTORY)
    for beginning in ("0000", "00000000-0000-7000-9", "00000000-0000-7000-8000-000000000007"):
        ends = bounds(beginning)
        assert ends is not None
        first, last = ends
        watched = Watched(headrace)
        watched.rows("rows_by_beginning", first=first, last=last, limit=9)
        watched.rows("run_with_own_jobs", first=first, last=last)
        assert watched.pages < 60, (beginning, watched.pages)

    lines = [{"job": str(UUID(int=n)), "attempt": 1, "line": 5} for n in range(1, 100)]
    sql(headrace, LOG_LINES)
    watched = Watched(headrace)
    watched.rows("logs_of_attempts", seen=json.dumps(lines))
    assert watched.pages < 500


class Watched:
    """Counts the pages that statements read, instead of running them."""

    def __init__(self, headrace: Headrace) -> None:
        self._headrace = headrace
        self.pages = 0

    def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        self.pages += pages_read(self._headrace, STATEMENTS[statement].pyformat, values)
        return []


def pages_read(headrace: Headrace, text: str, values: dict[str, Any] | None = None) -> int:
    with closing(connect(headrace.database_url)) as line, line.cursor() as cursor:
        given = {**(values or {})}
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {text}", given)
        told = next(row[0] for row in cursor.fetchall() if "Buffers: shared" in row[0])
        return sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", told))


def test_the_metrics_count_open_jobs_without_reading_ended_ones(headrace: Headrace):
    sql(headrace, HISTORY)
    watched = Watched(headrace)
    for statement in ("open_counts", "waiting_counts", "open_run_counts"):
        watched.rows(statement)

    counts = headrace.database.rows("open_counts")

    assert {(row["queue"], row["status"], row["jobs"]) for row in counts} == {
        ("medium", "queued", 4), ("medium", "started", 2), ("low", "retrying", 2),
    }  # fmt: skip
    assert watched.pages < 60
