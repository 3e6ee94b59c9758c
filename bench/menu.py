"""The workloads: what is run, with which numbers, by whom."""

from dataclasses import dataclass, field
from typing import Any

QUEUES = (
    "headrace", "rq-fork", "rq-simple", "celery", "celery-pg", "procrastinate",
    "pgqueuer-1", "pgqueuer-10", "dramatiq", "huey", "bare-2", "bare-1",
)  # fmt: skip
# Workers with one job a commit enqueue as all do.
ALL = ("headrace", "headrace-1", *QUEUES[1:])
CHAINED = tuple(key for key in ALL if key != "bare-1")
FANNED = ("headrace", "headrace-1", "rq-fork", "rq-simple", "celery-pg", "dramatiq", "huey")
OURS = ("headrace",)


@dataclass(frozen=True)
class Case:
    """One measurement. `value` is in `unit`; `keep` names a database that outlives the round."""

    key: str
    title: str
    unit: str
    module: str
    parameters: dict[str, Any]
    entries: tuple[str, ...] = ALL
    more_is_better: bool = True
    keep: str = ""
    limit_s: float = 400.0


@dataclass(frozen=True)
class Workload:
    """What WORKLOADS=… names: one or several cases that are run in alternation."""

    key: str
    title: str
    cases: tuple[Case, ...] = field(default=())


def drain(jobs: int, processes: int = 2, **options: Any) -> Case:
    """Return a case that empties a queue."""
    key = options.pop("key", f"drain-{jobs}")
    title = options.pop("title", f"drain of {jobs:,}")
    limit_s = max(60.0, jobs / 50)
    parameters = {"jobs": jobs, "processes": processes, "limit_s": limit_s}
    module = options.pop("module", "drain")
    extra = options.pop("extra", {})
    return Case(key, title, "jobs/s", module, parameters | extra, limit_s=limit_s + 600, **options)


def menu(*, quick: bool) -> list[Workload]:
    """Return all workloads; `quick` is for trying whether they run, not for numbers."""
    few, many, wide = (200, 1000, 500) if quick else (2000, 20_000, 10_000)
    old, idle_s, schedules = (20_000, 10, 50) if quick else (5_000_000, 60, 500)
    pipelines, producers = (50, 200) if quick else (1000, 2000)
    hops, fan = (20, 50) if quick else (100, 200)
    one, two, four = (
        drain(many, count, key=f"processes-{count}", title=f"{count} processes",
              entries=("headrace", "bare-2"))
        for count in (1, 2, 4)
    )  # fmt: skip
    history = [
        drain(many, key=f"history-{rows}", title=f"{rows:,} finished jobs", module="history",
              extra={"rows": rows}, entries=OURS, keep=f"bench_history_{rows}")
        for rows in (0, old)
    ]  # fmt: skip
    two_p = {"processes": 2}
    rows = 20_000 if quick else 1_000_000
    copied = [
        Case(f"data-{key}", f"{title}, {rows:,} rows", "times psql", "copies",
             {"rows": rows, **parameters}, OURS)
        for key, title, parameters in (
            ("mirror", "MirrorTable between databases", {"job": "MirrorTable"}),
            ("sync-first", "SyncTable, first copy", {"job": "SyncTable"}),
            ("sync-changed", "SyncTable, a tenth changed", {"job": "SyncTable", "changed": True}),
        )
    ]  # fmt: skip
    return [
        Workload("drain", "Drain, two processes", (drain(few), drain(many))),
        Workload("enqueue", "Enqueue, one producer", (
            Case("enqueue-one", "one by one", "jobs/s", "enqueue",
                 {"jobs": producers, "bulk": False}, QUEUES),
            Case("enqueue-bulk", "bulk", "jobs/s", "enqueue",
                 {"jobs": producers * 5, "bulk": True}, QUEUES),
        )),
        Workload("chain", "Chain", (
            Case("chain", f"chain of {hops}", "ms/hop", "chain", {"jobs": hops, **two_p},
                 CHAINED, more_is_better=False),
        )),
        Workload("fan", "Fan-out and fan-in", (
            Case("fan-200", f"1 → {fan} → 1", "s", "fan", {"width": fan, **two_p},
                 FANNED, more_is_better=False),
            Case("fan-10000", f"1 → {wide:,} → 1", "s", "fan", {"width": wide, **two_p},
                 OURS, more_is_better=False),
        )),
        Workload("idle", "Idle", (
            Case("idle", f"{idle_s} s idle", "% of a core", "idle", {"seconds": idle_s}, OURS,
                 more_is_better=False),
        )),
        Workload("pipelines", "Many pipelines", (
            Case("pipelines", f"{pipelines:,} pipelines of 5 steps", "jobs/s", "pipelines",
                 {"count": pipelines, **two_p}, OURS),
        )),
        Workload("processes", "Worker processes", (one, two, four)),
        Workload("history", "History", tuple(history)),
        Workload("urgency", "Urgent job behind a full queue", (
            Case("urgency", f"`high` behind {wide:,} `low`", "ms", "urgency",
                 {"low": wide, "high": 10 if quick else 20, **two_p}, OURS,
                 more_is_better=False),
        )),
        Workload("schedules", "Schedules due together", (
            Case("schedules", f"{schedules} schedules in one second", "ms", "schedules",
                 {"count": schedules, **two_p}, OURS, more_is_better=False),
        )),
        Workload("data", "Data jobs beside psql", tuple(copied)),
    ]  # fmt: skip
