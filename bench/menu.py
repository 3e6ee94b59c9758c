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
_TWO = {"processes": 2}
OURS = ("headrace",)
# Those that store each job's status, and can write a row beside it.
DURABLE = (
    "headrace",
    "celery-pg",
    "procrastinate",
    "pgqueuer-1",
    "pgqueuer-10",
    "bare-2",
    "bare-1",
)
_BESIDE = ("pgqueuer-1", "bare-2")


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
    """One workload of WORKLOADS=…: one or several cases that are run in alternation."""

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


@dataclass(frozen=True)
class Sizes:
    """Sizes of the workloads."""

    few: int = 2000
    many: int = 20_000
    wide: int = 10_000
    old: int = 5_000_000
    idle_s: int = 60
    schedules: int = 500
    pipelines: int = 1000
    producers: int = 2000
    hops: int = 100
    fan: int = 200
    items: int = 1000
    urgent: int = 20
    rows: int = 1_000_000
    runs: int = 200_000


QUICK = Sizes(
    few=200, many=1000, wide=500, old=20_000, idle_s=10, schedules=50, pipelines=50,
    producers=200, hops=20, fan=50, items=50, urgent=10, rows=20_000,
    runs=2000,
)  # fmt: skip


def menu(*, quick: bool) -> list[Workload]:
    """Return all workloads; `quick` is for trying whether they run, not for numbers."""
    of = QUICK if quick else Sizes()
    return [
        *real_workloads(of),
        *queue_workloads(of),
        *run_workloads(of),
        *large_workloads(of),
        *growth_workloads(of),
        *data_workloads(of),
    ]


def real_workloads(of: Sizes) -> list[Workload]:
    """Return those whose jobs do what a queue is used for: write a row, or say something."""
    return [
        Workload("sql", "SQL jobs, one row each", (
            inserts(of.few, "sql", "RunSql, one INSERT", ("headrace", "headrace-1", *DURABLE[1:])),
        )),
        Workload("python", "Python jobs with a session, one row each", (
            inserts(of.few, "python", "get_db() and one INSERT", ("headrace", *_BESIDE)),
        )),
        Workload("sql-target", "SQL jobs on a named connection", (
            inserts(of.few, "sql-target", "one INSERT on another database", OURS),
            inserts(of.few, "sql", "beside it: one INSERT", _BESIDE, key="sql-target-beside"),
        )),
        Workload("log", "Jobs that log three lines", tuple(
            drain(of.few * 2, key=key, title=title, entries=OURS, extra={"work": work})
            for key, title, work in (
                ("log", "three lines in the log", "log"), ("log-silent", "beside it: silent", "")
            )
        )),
        Workload("chain-sql", "Chain of SQL jobs", (
            Case("chain-sql", f"chain of {of.hops} INSERTs", "ms/hop", "insert_chain",
                 {"jobs": of.hops, "work": "sql", **_TWO}, DURABLE[:-1], more_is_better=False),
        )),
        Workload("foreach-sql", "A foreach of SQL jobs under `headrace up`", (
            *(Case(key, f"1 → {of.items:,} → 1{title}", "jobs/s", "foreach_inserts",
                   {"items": of.items, "watched": watched, **_TWO}, OURS)
              for key, title, watched in (
                  ("foreach-sql", "", False), ("foreach-sql-watched", ", watched", True))),
            inserts(of.few, "sql", "beside it: RunSql, one INSERT", ("headrace", *_BESIDE),
                    key="foreach-sql-beside"),
        )),
    ]  # fmt: skip


def inserts(jobs: int, work: str, title: str, entries: tuple[str, ...], key: str = "") -> Case:
    """Return a case that empties a queue of jobs that insert a row each."""
    parameters = {"jobs": jobs, "work": work, "limit_s": 120.0, **_TWO}
    return Case(key or work, title, "jobs/s", "inserts", parameters, entries, limit_s=300)


def queue_workloads(of: Sizes) -> list[Workload]:
    """Return those that other queues can do as well, and what it costs to do nothing."""
    return [
        Workload("drain", "Drain, two processes", (drain(of.few), drain(of.many))),
        Workload("enqueue", "Enqueue, one producer", (
            Case("enqueue-one", "one by one", "jobs/s", "enqueue",
                 {"jobs": of.producers, "bulk": False}, QUEUES),
            Case("enqueue-bulk", "bulk", "jobs/s", "enqueue",
                 {"jobs": of.producers * 5, "bulk": True}, QUEUES),
        )),
        Workload("chain", "Chain", (
            Case("chain", f"chain of {of.hops}", "ms/hop", "chain", {"jobs": of.hops, **_TWO},
                 CHAINED, more_is_better=False),
        )),
        Workload("fan", "Fan-out and fan-in", (
            Case("fan-200", f"1 → {of.fan} → 1", "s", "fan", {"width": of.fan, **_TWO},
                 FANNED, more_is_better=False),
            Case("fan-10000", f"1 → {of.wide:,} → 1", "s", "fan", {"width": of.wide, **_TWO},
                 OURS, more_is_better=False),
        )),
        Workload("idle", "Idle", (
            Case("idle", f"{of.idle_s} s idle", "% of a core", "idle", {"seconds": of.idle_s},
                 OURS, more_is_better=False),
        )),
    ]  # fmt: skip


def run_workloads(of: Sizes) -> list[Workload]:
    """Return those of pipelines and of workers with several processes."""
    counts = tuple(
        drain(of.many, count, key=f"processes-{count}", title=f"{count} processes",
              entries=("headrace", "bare-2"))
        for count in (1, 2, 4)
    )  # fmt: skip
    return [
        Workload("pipelines", "Many pipelines", (
            Case("pipelines", f"{of.pipelines:,} pipelines of 5 steps", "jobs/s", "pipelines",
                 {"count": of.pipelines, **_TWO}, OURS),
        )),
        Workload("growth-pipelines", "As the number of pipelines grows", tuple(
            Case(f"growth-pipelines-{count}", f"{count:,} pipelines, start to ready", "s",
                 "growth_pipelines", {"count": count, "idle_s": of.idle_s / 3}, OURS,
                 more_is_better=False, limit_s=1200)
            for count in (of.pipelines, of.pipelines * 10)
        )),
        Workload("processes", "Worker processes", counts),
    ]  # fmt: skip


def large_workloads(of: Sizes) -> list[Workload]:
    """Return those in which much is there already, or comes at once."""
    history = tuple(
        drain(of.many, key=f"history-{rows}", title=f"{rows:,} finished jobs", module="history",
              extra={"rows": rows}, entries=OURS, keep=f"bench_history_{rows}")
        for rows in (0, of.old)
    )  # fmt: skip
    return [
        Workload("history", "History", history),
        Workload("urgency", "Urgent job behind a full queue", (
            Case("urgency", f"`high` behind {of.wide:,} `low`", "ms", "urgency",
                 {"low": of.wide, "high": of.urgent, **_TWO}, OURS, more_is_better=False),
        )),
        Workload("schedules", "Schedules due together", (
            Case("schedules", f"{of.schedules} schedules in one second", "ms", "schedules",
                 {"count": of.schedules, **_TWO}, OURS, more_is_better=False),
        )),
    ]  # fmt: skip


def growth_workloads(of: Sizes) -> list[Workload]:
    """Return what grows with the number of runs and of workers; ten times the runs is by itself."""
    return [
        Workload("growth-history", "Growth of the history", _growth_cases(of, of.runs)),
        Workload("growth-history-large", "Growth of the history, ten times the runs",
                 _growth_cases(of, of.runs * 10)),
        Workload("growth-workers", "Growth of the workers", tuple(
            Case(f"workers-{workers}", f"{workers} workers, idle", "% of a core", "idle",
                 {"seconds": of.idle_s, "workers": workers}, OURS, more_is_better=False)
            for workers in (1, 8, 32)
        )),
    ]  # fmt: skip


def _growth_cases(of: Sizes, runs: int) -> tuple[Case, ...]:
    """Return the cases of one history; they share its database."""
    of_it: dict[str, Any] = {"keep": f"bench_growth_{runs}", "entries": OURS}
    title = f"{runs * 5:,} ended jobs in {runs:,} runs"
    return (
        Case(f"growth-{runs}", f"{title}: slowest listing", "ms", "growth_history",
             {"runs": runs, "pruned": runs // 10}, more_is_better=False, limit_s=3600, **of_it),
        *(
            drain(of.many, key=f"growth-{runs}-{'pruned' if pruning else 'kept'}",
                  title=f"{title}, {'old ones being deleted' if pruning else 'kept'}",
                  module="growth_work", extra={"runs": runs, "pruning": pruning}, **of_it)
            for pruning in (False, True)
        ),
    )  # fmt: skip


def data_workloads(of: Sizes) -> list[Workload]:
    """Return what data jobs make beside psql, dlt and sling; ten times the rows for the memory."""
    return [
        Workload("data", "Data jobs beside psql", _data_cases(of.rows, "data")),
        Workload("data-large", "Data jobs, ten times the rows",
                 _data_cases(of.rows * 10, "data-large", {"alone": True})),
    ]  # fmt: skip


def _data_cases(rows: int, prefix: str, extra: dict[str, Any] | None = None) -> tuple[Case, ...]:
    cases = (
        ("copies", "mirror", "MirrorTable between databases", {"job": "MirrorTable"}),
        ("copies", "sync-first", "SyncTable, first copy", {"job": "SyncTable"}),
        ("copies", "sync-changed", "SyncTable, a tenth changed",
         {"job": "SyncTable", "changed": True}),
        ("files", "load", "LoadFile, CSV", {"direction": "in"}),
        ("files", "load-parquet", "LoadFile, Parquet", {"direction": "in", "kind": "parquet"}),
        ("files", "export", "ExportQuery, CSV", {"direction": "out"}),
    )  # fmt: skip
    return tuple(
        Case(f"{prefix}-{key}", f"{title}, {rows:,} rows", "times psql", module,
             {"rows": rows, **parameters, **(extra or {})}, OURS, limit_s=1200)
        for module, key, title, parameters in cases
    )  # fmt: skip
