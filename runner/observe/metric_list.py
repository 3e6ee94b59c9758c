"""Lists the metrics of /metrics: their kinds, labels and meanings."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

PREFIX = "headrace_"


@dataclass(frozen=True, slots=True)
class Described:
    """One family of metrics. A counter's samples bear its name with `_total`."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    labels: tuple[str, ...]
    text: str

    @property
    def samples(self) -> tuple[str, ...]:
        """The names of its samples."""
        full = PREFIX + self.name
        if self.kind == "histogram":
            return (f"{full}_bucket", f"{full}_count", f"{full}_sum")
        return (f"{full}_total",) if self.kind == "counter" else (full,)


def _listed() -> Iterator[Described]:
    yield Described("up", "gauge", ("server",), "Whether a server answers.")
    yield Described("jobs", "gauge", ("queue", "status"), "Jobs that have not ended.")
    yield Described(
        "queue_oldest_seconds", "gauge", ("queue",), "Waiting time of the oldest queued job."
    )
    yield Described("queue_messages", "gauge", ("queue",), "Messages waiting in Redis.")
    yield Described("runs", "gauge", ("status",), "Runs that have not ended.")
    yield Described("workers", "gauge", ("status",), "Workers that are alive.")
    yield Described("leader", "gauge", (), "Whether a daemon is active.")
    yield Described(
        "totals_age_seconds",
        "gauge",
        (),
        "How far counters and histograms are behind; 0 if all that has ended is counted.",
    )
    yield Described(
        "job_duration_seconds",
        "histogram",
        (),
        "Durations of the last attempts of completed and failed jobs.",
    )
    yield Described(
        "run_duration_seconds",
        "histogram",
        (),
        "Durations of completed and failed runs, from their first start.",
    )
    yield Described(
        "queue_wait_seconds",
        "histogram",
        (),
        "Times from queueing to start of the last attempts of ended jobs.",
    )
    yield Described(
        "schedule_lag_seconds",
        "histogram",
        (),
        "How much later than due, jitter included, schedules have started runs.",
    )
    yield Described(
        "job_retries", "counter", (), "Attempts that failed or timed out and were tried again."
    )
    yield Described(
        "worker_crashes",
        "counter",
        (),
        "Attempts whose process died, and workers that died while idle.",
    )
    yield Described(
        "recoveries",
        "counter",
        (),
        "Jobs queued again after a crash, and messages sent again that Redis had lost.",
    )
    yield Described("notices", "counter", (), "Notifications that a receiver has taken.")
    yield Described(
        "jobs_finished",
        "counter",
        ("pipeline", "status"),
        "Jobs that have ended; those of no run have an empty pipeline.",
    )
    yield Described("runs_finished", "counter", ("pipeline", "status"), "Runs that have ended.")
    yield Described(
        "schedule_skipped",
        "counter",
        ("pipeline",),
        "Due instants that were passed over, by `catchup`, `start_deadline` or a pause.",
    )
    yield Described(
        "schedule_overdue_seconds",
        "gauge",
        ("pipeline",),
        "Time since the first due instant whose run has not started.",
    )
    yield Described("schedule_paused", "gauge", ("pipeline",), "Whether a pipeline is paused.")


METRICS = {one.name: one for one in _listed()}
