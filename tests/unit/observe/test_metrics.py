"""What /metrics makes of rows: counts that are 0 where there is none, ages that are never less."""

from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.errors import QueueUnavailable
from headrace.model.buckets import BOUNDS_S
from headrace.observe.metrics import HeadraceCollector

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


class Servers:
    def __init__(self, **found: Any) -> None:
        self.found = {
            "totals_behind": [{"now": NOW, "until": ago(7), "behind": False}],
            **found,
        }
        self.away = False

    def rows(self, statement: str, **_values: Any) -> Any:
        return self.found.get(statement, [])

    def lengths(self, queues: Any) -> dict[str, int]:
        if self.away:
            raise QueueUnavailable("away")
        return {name: len(name) for name in queues}


def collected(servers: Servers) -> dict[tuple[str, ...], float]:
    collector = HeadraceCollector(servers, servers, ("high", "low"))
    return {
        (sample.name.removeprefix("headrace_"), *sample.labels.values()): sample.value
        for metric in collector.collect()
        for sample in metric.samples
    }


def test_without_any_row_each_count_is_0():
    found = collected(Servers())

    for key in (
        ("jobs", "high", "queued"), ("jobs", "low", "queued"), ("queue_oldest_seconds", "high"),
        ("runs", "queued"), ("runs", "running"), ("workers", "running"), ("workers", "draining"),
        ("leader",), ("totals_age_seconds",), ("job_retries_total",), ("notices_total",),
        ("worker_crashes_total",), ("recoveries_total",), ("queue_wait_seconds_count",),
        ("job_duration_seconds_sum",), ("run_duration_seconds_bucket", "+Inf"),
        ("schedule_lag_seconds_bucket", "+Inf"),
    ):  # fmt: skip
        assert found[key] == 0, key
    assert found["up", "postgresql"] == found["up", "redis"] == 1
    assert (found["queue_messages", "high"], found["queue_messages", "low"]) == (4, 3)


def test_rows_are_counted_by_what_they_are():
    buckets = [1, 2, *[0] * (len(BOUNDS_S) - 1)]
    found = collected(
        Servers(
            totals_behind=[{"now": NOW, "until": ago(7), "behind": True}],
            open_counts=[
                {"queue": "high", "status": "queued", "jobs": 3, "oldest": ago(42)},
                {"queue": "high", "status": "started", "jobs": 2, "oldest": ago(99)},
                {"queue": "old", "status": "queued", "jobs": 1, "oldest": ago(-5)},
            ],
            waiting_counts=[{"queue": "low", "jobs": 4}],
            open_run_counts=[{"status": "running", "runs": 5}],
            workers=[{"status": one} for one in ("running", "running", "draining", "stopped")],
            leader=[{"live": True}],
            totals=[
                {"name": "job_duration", "count": 3, "sum": 1.5, "buckets": buckets},
                {"name": "job_retries", "count": 6, "sum": 0, "buckets": []},
            ],
        )
    )

    expected = {
        ("jobs", "high", "queued"): 3, ("jobs", "high", "started"): 2, ("jobs", "old", "queued"): 1,
        ("jobs", "low", "waiting"): 4, ("jobs", "low", "queued"): 0, ("runs", "running"): 5,
        ("runs", "queued"): 0, ("queue_oldest_seconds", "high"): 42,
        ("queue_oldest_seconds", "low"): 0, ("queue_oldest_seconds", "old"): 0,
        ("workers", "running"): 2, ("workers", "draining"): 1, ("leader",): 1,
        ("totals_age_seconds",): 7, ("job_retries_total",): 6, ("job_duration_seconds_sum",): 1.5,
        ("job_duration_seconds_count",): 3,
        ("job_duration_seconds_bucket", str(BOUNDS_S[0])): 1,
        ("job_duration_seconds_bucket", str(BOUNDS_S[1])): 3,
        ("job_duration_seconds_bucket", "+Inf"): 3,
    }  # fmt: skip
    assert {key: found[key] for key in expected} == expected


def test_where_redis_is_away_postgresql_is_told():
    servers = Servers()
    servers.away = True
    found = collected(servers)

    assert (found["up", "postgresql"], found["up", "redis"]) == (1, 0)
    assert ("queue_messages", "high") not in found
