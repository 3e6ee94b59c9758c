"""Metrics for Prometheus, counted on request by queries over unfinished work.

Nothing here counts the whole history: open work comes from partial indexes, ended work from
the rows that were made within the last five minutes.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headrace.errors import QueueUnavailable, StoreUnavailable
from headrace.model.ids import first_id_of

RECENT = timedelta(minutes=5)

# What the exposition is called in a Content-Type header.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Row = dict[str, Any]


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


class HeadraceCollector(Collector):
    """Counts at every scrape. Servers that do not answer show as `headrace_up` 0."""

    def __init__(self, database: Rows, sender: Queues, queues: Sequence[str]) -> None:
        self._database = database
        self._sender = sender
        self._queues = queues

    def describe(self) -> list[Metric]:
        """Say nothing in advance, so that registering asks no server."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that the servers which answer can give."""
        up = _gauge("up", "Whether a server answers.", "server")
        for server, read in (("postgresql", self._from_database), ("redis", self._from_redis)):
            found, answered = _whole(read)
            up.add_metric([server], float(answered))
            yield from found
        yield up

    def _from_database(self) -> Iterator[Metric]:
        now = self._database.rows("clock")[0]["now"]
        since = first_id_of((now - RECENT).timestamp())
        yield from self._jobs(now, since)
        yield from self._runs(since)
        yield from self._schedules(now)
        yield from self._processes()

    def _jobs(self, now: datetime, since: UUID) -> Iterator[Metric]:
        jobs = _gauge("jobs", "Jobs that have not ended.", "queue", "status")
        oldest = _gauge("queue_oldest_seconds", "Waiting time of the oldest queued job.", "queue")
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
        recent = _gauge(
            "recent_jobs", "Jobs created in the last 5 minutes that have ended.", "queue", "status"
        )
        for row in self._database.rows("recent_job_counts", since=since):
            recent.add_metric([row["queue"], row["status"]], row["jobs"])
        yield from (jobs, oldest, recent)

    def _runs(self, since: UUID) -> Iterator[Metric]:
        runs = _gauge("runs", "Runs that have not ended.", "status")
        counts = {"queued": 0, "running": 0}
        counts |= {row["status"]: row["runs"] for row in self._database.rows("open_run_counts")}
        for status, count in counts.items():
            runs.add_metric([status], count)
        recent = _gauge(
            "recent_runs", "Runs created in the last 5 minutes that have ended.", "status"
        )
        for row in self._database.rows("recent_run_counts", since=since):
            recent.add_metric([row["status"]], row["runs"])
        yield from (runs, recent)

    def _schedules(self, now: datetime) -> Iterator[Metric]:
        lag = _gauge(
            "schedule_lag_seconds",
            "Time since the first due instant whose run has not started.",
            "pipeline",
        )
        paused = _gauge("schedule_paused", "Whether a pipeline is paused.", "pipeline")
        skipped = _gauge(
            "schedule_skipped", "Schedule instants that have been skipped so far.", "pipeline"
        )
        for row in self._database.rows("schedules"):
            name, at = [row["pipeline"]], row["next_instant"]
            late = (now - at).total_seconds() if at and not row["paused"] else 0.0
            lag.add_metric(name, max(0.0, late))
            paused.add_metric(name, float(row["paused"]))
            skipped.add_metric(name, row["skipped"])
        yield from (lag, paused, skipped)

    def _processes(self) -> Iterator[Metric]:
        workers = _gauge("workers", "Workers that are alive.", "status")
        counts = {"running": 0, "draining": 0}
        for row in self._database.rows("workers"):
            if row["status"] in counts:
                counts[row["status"]] += 1
        for status, count in counts.items():
            workers.add_metric([status], count)
        leading = any(row["live"] for row in self._database.rows("leader"))
        leader = _gauge("leader", "Whether a daemon is active.")
        leader.add_metric([], float(leading))
        yield from (workers, leader)

    def _from_redis(self) -> Iterator[Metric]:
        messages = _gauge("queue_messages", "Messages waiting in Redis.", "queue")
        for queue, length in self._sender.lengths(self._queues).items():
            messages.add_metric([queue], length)
        yield messages


def exposition(collector: Collector) -> bytes:
    """Return everything that a collector yields, as Prometheus reads it."""
    registry = CollectorRegistry()
    registry.register(collector)
    return generate_latest(registry)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"headrace_{name}", text, labels=labels)


def _whole(read: Callable[[], Iterator[Metric]]) -> tuple[list[Metric], bool]:
    """Return what a server gives, all of it or nothing, and whether it answered."""
    try:
        return list(read()), True
    except (StoreUnavailable, QueueUnavailable):
        return [], False
