"""Metrics for Prometheus that do not grow with the pipelines.

Nothing here counts the whole history: open work comes from partial indexes, what has ended from
totals (`headrace.total`). `pipeline_series.py` has those that exist for each pipeline.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any, Protocol

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from headrace.errors import QueueUnavailable, StoreUnavailable
from headrace.model.buckets import BOUNDS_S
from headrace.observe.metric_list import METRICS, PREFIX

Row = dict[str, Any]

_HISTOGRAMS = ("job_duration", "run_duration", "queue_wait", "schedule_lag")
_COUNTERS = ("job_retries", "worker_crashes", "recoveries", "notices")
_NOTHING: Row = {"count": 0, "sum": 0.0, "buckets": []}


class Rows(Protocol):
    """Runs named statements."""

    def rows(self, statement: str, **values: Any) -> Sequence[Row]:
        """Run a statement and return its rows."""
        ...


class Queues(Protocol):
    """Queues of messages."""

    def lengths(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many messages wait on each queue."""
        ...


class HeadraceCollector:
    """Reads the servers at every scrape. Those that do not answer show as `headrace_up` 0."""

    def __init__(self, database: Rows, sender: Queues, queues: Sequence[str]) -> None:
        self._database = database
        self._sender = sender
        self._queues = queues

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that the servers which answer can give."""
        up = _gauge("up")
        for server, read in (("postgresql", self._from_database), ("redis", self._from_redis)):
            found, answered = _whole(read)
            up.add_metric([server], float(answered))
            yield from found
        yield up

    def _from_database(self) -> Iterator[Metric]:
        state = self._database.rows("totals_behind")[0]
        yield from self._jobs(state["now"])
        yield self._runs()
        yield from self._processes()
        age = (state["now"] - state["until"]).total_seconds() if state["behind"] else 0.0
        yield _single("totals_age_seconds", max(0.0, age))
        yield from _totals({row["name"]: row for row in self._database.rows("totals")})

    def _jobs(self, now: datetime) -> Iterator[Metric]:
        jobs, oldest = _gauge("jobs"), _gauge("queue_oldest_seconds")
        ages = dict.fromkeys(self._queues, 0.0)
        counts = {(queue, "queued"): 0 for queue in self._queues}
        for row in self._database.rows("open_counts"):
            counts[row["queue"], row["status"]] = row["jobs"]
            if row["status"] == "queued" and row["oldest"]:
                ages[row["queue"]] = max(0.0, (now - row["oldest"]).total_seconds())
        for row in self._database.rows("waiting_counts"):
            counts[row["queue"], "waiting"] = row["jobs"]
        for (queue, status), count in sorted(counts.items()):
            jobs.add_metric([queue, status], count)
        for queue, age in ages.items():
            oldest.add_metric([queue], age)
        yield from (jobs, oldest)

    def _runs(self) -> Metric:
        runs = _gauge("runs")
        counts = {"queued": 0, "running": 0}
        counts |= {row["status"]: row["runs"] for row in self._database.rows("open_run_counts")}
        for status, count in counts.items():
            runs.add_metric([status], count)
        return runs

    def _processes(self) -> Iterator[Metric]:
        workers = _gauge("workers")
        counts = {"running": 0, "draining": 0}
        for row in self._database.rows("workers"):
            if row["status"] in counts:
                counts[row["status"]] += 1
        for status, count in counts.items():
            workers.add_metric([status], count)
        yield workers
        yield _single("leader", any(row["live"] for row in self._database.rows("leader")))

    def _from_redis(self) -> Iterator[Metric]:
        messages = _gauge("queue_messages")
        for queue, length in self._sender.lengths(self._queues).items():
            messages.add_metric([queue], length)
        yield messages


def _totals(rows: Mapping[str, Row]) -> Iterator[Metric]:
    for name in _HISTOGRAMS:
        described = METRICS[f"{name}_seconds"]
        row = rows.get(name, _NOTHING)
        counts = row["buckets"] or [0] * (len(BOUNDS_S) + 1)
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        yield HistogramMetricFamily(
            PREFIX + described.name,
            described.text,
            buckets=list(zip(bounds, accumulate(counts), strict=True)),
            sum_value=row["sum"],
        )
    for name in _COUNTERS:
        count = rows.get(name, _NOTHING)["count"]
        yield CounterMetricFamily(PREFIX + name, METRICS[name].text, value=count)


def _gauge(name: str) -> GaugeMetricFamily:
    described = METRICS[name]
    return GaugeMetricFamily(PREFIX + name, described.text, labels=described.labels)


def _single(name: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, METRICS[name].text, value=float(value))


def _whole(read: Callable[[], Iterator[Metric]]) -> tuple[list[Metric], bool]:
    """Return what a server gives, all of it or nothing, and whether it answered."""
    try:
        return list(read()), True
    except (StoreUnavailable, QueueUnavailable):
        return [], False
