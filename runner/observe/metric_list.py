"""Lists the metrics of /metrics: their kinds, labels and meanings."""

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


_LISTED = (
    Described("up", "gauge", ("server",), "Whether a server answers."),
    Described("jobs", "gauge", ("queue", "status"), "Jobs that have not ended."),
    Described(
        "queue_oldest_seconds", "gauge", ("queue",), "Waiting time of the oldest queued job."
    ),
    Described("queue_messages", "gauge", ("queue",), "Messages waiting in Redis."),
    Described("runs", "gauge", ("status",), "Runs that have not ended."),
    Described("workers", "gauge", ("status",), "Workers that are alive."),
    Described("leader", "gauge", (), "Whether a daemon is active."),
    Described(
        "totals_age_seconds",
        "gauge",
        (),
        "How far counters and histograms are behind; 0 if all that has ended is counted.",
    ),
    Described(
        "job_duration_seconds",
        "histogram",
        (),
        "Durations of the last attempts of completed and failed jobs.",
    ),
    Described(
        "run_duration_seconds",
        "histogram",
        (),
        "Durations of completed and failed runs, from their first start.",
    ),
    Described(
        "queue_wait_seconds",
        "histogram",
        (),
        "Times from queueing to start of the last attempts of ended jobs.",
    ),
    Described(
        "schedule_lag_seconds",
        "histogram",
        (),
        "How much later than due, jitter included, schedules have started runs.",
    ),
    Described(
        "job_retries", "counter", (), "Attempts that failed or timed out and were tried again."
    ),
    Described(
        "worker_crashes",
        "counter",
        (),
        "Attempts whose process died, and workers that died while idle.",
    ),
    Described(
        "recoveries",
        "counter",
        (),
        "Jobs queued again after a crash, and messages sent again that Redis had lost.",
    ),
    Described("notices", "counter", (), "Notifications that a receiver has taken."),
    Described(
        "jobs_finished",
        "counter",
        ("pipeline", "status"),
        "Jobs that have ended; those of no run have an empty pipeline.",
    ),
    Described("runs_finished", "counter", ("pipeline", "status"), "Runs that have ended."),
    Described(
        "schedule_skipped",
        "counter",
        ("pipeline",),
        "Due instants that were passed over, by `catchup`, `start_deadline` or a pause.",
    ),
    Described(
        "schedule_overdue_seconds",
        "gauge",
        ("pipeline",),
        "Time since the first due instant whose run has not started.",
    ),
    Described("schedule_paused", "gauge", ("pipeline",), "Whether a pipeline is paused."),
)

METRICS = {one.name: one for one in _LISTED}
