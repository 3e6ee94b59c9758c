"""What listings, metrics and retention cost beside a year of ended runs.

Runs of five jobs each are made in a few statements, then vacuumed and analysed as autovacuum would
have done over the year. What matches a filter seldom is the oldest, so that a look from the newest
on would meet it last. A listing counts with the median of its looks; `value` is the slowest one.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.peers.headrace.adapter import Adapter
from bench.workloads.warm import prepare
from headrace.engine.operations.retention import prune
from headrace.observe.exposition import Metrics
from headrace.store.listings import list_jobs, list_runs

_YEAR_S = 365 * 86400
_LOOKS = 11
_PAGE = 51
_RUNS = """
INSERT INTO headrace.run (id, pipeline, version, status, trigger, logical_date, plan, created_at,
                          started_at, finished_at, updated_at)
SELECT uuidv7(at - clock_timestamp()), CASE WHEN n <= 20 THEN 'rare' ELSE 'p' || n % 100 END, '1',
       CASE WHEN n <= 10 THEN 'cancelled' WHEN n % 997 = 0 THEN 'failed' ELSE 'completed' END,
       'manual', at, '{{"timezone": "UTC"}}', at, at, at, at
  FROM generate_series(1, {runs}) AS n,
       LATERAL (SELECT clock_timestamp() - make_interval(secs =>
                   ({runs} - n + 1) * ({year} / {runs}::float8))) AS made (at)
"""
_JOBS = """
INSERT INTO headrace.job (id, job_class, payload, status, queue, timeout_s, retry, attempt, worker,
                          run_id, pipeline, step, dependents, created_at, queued_at, started_at,
                          finished_at, updated_at)
SELECT uuidv7(r.created_at - clock_timestamp()),
       CASE WHEN r.pipeline = 'rare' AND s = 3 THEN 'VacuumTable'
            ELSE (ARRAY['RunSql', 'LoadFile', 'DataAggregation', 'SyncTable', 'CheckData'])[s] END,
       '{"sql": "SELECT 1"}', CASE WHEN s = 5 THEN r.status ELSE 'completed' END,
       CASE WHEN r.pipeline = 'rare' THEN 'high' WHEN s = 5 THEN 'low' ELSE 'medium' END,
       300, '{"limit": 3}', 1, 'worker.1.abcdef', r.id, r.pipeline, 's' || s,
       CASE WHEN s < 5 THEN 1 ELSE 0 END, r.created_at, r.created_at, r.created_at, r.created_at,
       r.created_at
  FROM headrace.run r CROSS JOIN generate_series(1, 5) AS s
 ORDER BY r.id, s
"""
_EDGES = """
INSERT INTO headrace.job_dependency (upstream_id, job_id)
SELECT upstream, id
  FROM (SELECT id, lag(id) OVER (PARTITION BY run_id ORDER BY step) AS upstream
          FROM headrace.job WHERE run_id IS NOT NULL) AS pair
 WHERE upstream IS NOT NULL
"""
_JOB_FILTERS: tuple[dict[str, str], ...] = (
    {}, {"status": "failed"}, {"status": "cancelled"}, {"status": "skipped"},
    {"status": "completed"}, {"status": "queued"}, {"queue": "high"}, {"queue": "none"},
    {"pipeline": "rare"}, {"pipeline": "p7"}, {"job_class": "VacuumTable"},
    {"job_class": "RunSql"}, {"pipeline": "p7", "queue": "high"},
    {"job_class": "RunSql", "status": "failed"},
)  # fmt: skip
_RUN_FILTERS: tuple[dict[str, str], ...] = (
    {}, {"status": "failed"}, {"status": "skipped"}, {"status": "running"}, {"pipeline": "rare"},
    {"pipeline": "p7", "status": "failed"}, {"pipeline": "p97", "status": "skipped"},
)  # fmt: skip


def run(contender: Adapter, *, runs: int, pruned: int) -> dict[str, Any]:
    fill(contender, runs)
    looks = _listings(contender)
    began = time.monotonic()
    deleted = prune_oldest(contender, pruned)
    return {
        "value": max(looks.values()),
        **looks,
        "pruned_per_s": deleted / (time.monotonic() - began),
    }


def fill(contender: Adapter, runs: int) -> None:
    """Make the year's runs where the database does not have them yet."""
    prepare(contender, 1)
    if contender.query("SELECT EXISTS (SELECT FROM headrace.run WHERE pipeline = 'p1')")[0][0]:
        return
    contender.query(_RUNS.format(runs=runs, year=_YEAR_S))
    contender.query(_JOBS)
    contender.query(_EDGES)
    for table in ("run", "job", "job_dependency"):
        contender.query(f"VACUUM (ANALYZE) headrace.{table}")
    contender.query("CHECKPOINT")


def _listings(contender: Adapter) -> dict[str, float]:
    headrace = contender.headrace
    metrics = Metrics(headrace.database, headrace.sender, headrace.settings.queues)
    return {
        "jobs_ms": max(
            _median_ms(lambda wanted=wanted: list_jobs(headrace.database, limit=_PAGE, **wanted))
            for wanted in _JOB_FILTERS
        ),
        "runs_ms": max(
            _median_ms(lambda wanted=wanted: list_runs(headrace.database, limit=_PAGE, **wanted))
            for wanted in _RUN_FILTERS
        ),
        "metrics_ms": _median_ms(metrics.exposition),
    }


def _median_ms(look: Callable[[], object]) -> float:
    times = []
    for _ in range(_LOOKS):
        began = time.perf_counter()
        look()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def prune_oldest(contender: Adapter, count: int) -> int:
    """Delete about that many of the oldest runs; returns how many it were."""
    older_than_s = contender.query(
        "SELECT extract(epoch FROM clock_timestamp() - finished_at)::float8 FROM headrace.run"
        f" WHERE finished_at IS NOT NULL ORDER BY id OFFSET {count} LIMIT 1"
    )[0][0]
    return prune(contender.headrace.database, older_than_s).runs
