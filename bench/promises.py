"""Checks the promised speed, mostly as ratios within one run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Cases = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Promise:
    """A number of ours, over the others' best where `others` are named, and its bound."""

    text: str
    case: str
    bound: float
    at_least: bool = False
    number: str = "value"
    others: tuple[str, ...] = ()
    over_case: str = ""
    best: Callable[[Iterable[float]], float] = min
    ours: str = "headrace"

    def measured(self, cases: Cases) -> float | None:
        """Return the number, None where something of it was not measured."""
        ours = _value(cases, self.case, self.ours, self.number)
        if ours is None or not self.others:
            return ours
        case = self.over_case or self.case
        theirs = [_value(cases, case, entry, "value") for entry in self.others]
        found = [value for value in theirs if value is not None]
        return ours / self.best(found) if found else None

    def holds(self, value: float) -> bool:
        """Return whether a measured number keeps the promise."""
        return value >= self.bound if self.at_least else value <= self.bound


def _value(cases: Cases, case: str, entry: str, number: str) -> float | None:
    value = cases.get(case, {}).get("results", {}).get(entry, {}).get(number)
    return None if value is None else float(value)


# A status for each job, committed by itself: the systems to compare a durable job with.
_DURABLE = ("celery-pg", "procrastinate", "pgqueuer-1")
_FANNED = ("rq-fork", "rq-simple", "celery-pg", "dramatiq")


def _drain(jobs: int) -> list[Promise]:
    case, text = f"drain-{jobs}", f"drain of {jobs:,}"
    return [
        Promise(f"{text} ÷ the best durable peer's", case, 2, True, others=_DURABLE, best=max),
        Promise(
            f"{text}, one job a commit ÷ the best durable peer's", case, 2, True,
            others=_DURABLE, best=max, ours="headrace-1",
        ),
        Promise(f"{text} ÷ Celery's with PostgreSQL", case, 5, True, others=("celery-pg",)),
        Promise(f"{text} ÷ RQ's Worker's", case, 10, True, others=("rq-fork",)),
        Promise(f"{text} ÷ the bare loop's, two commits", case, 0.7, True, others=("bare-2",)),
    ]  # fmt: skip


# Over what psql does, by the key of the case.
_BESIDE_PSQL = {
    "load": ("LoadFile of CSV: `\\copy`'s time ÷ ours", 1.3),
    "mirror": ("MirrorTable: the time of `psql \\| psql` in binary ÷ ours", 0.9),
    "sync-first": ("SyncTable, first copy: the time of `psql \\| psql` in binary ÷ ours", 0.8),
    "sync-changed": ("SyncTable, a tenth changed: a hand-written upsert's time ÷ ours", 1.0),
    "export": ("ExportQuery to CSV: `\\copy`'s time ÷ ours", 1.0),
}
_OTHER_LOADERS = {
    "load": ("dlt", "sling"),
    "mirror": ("dlt", "sling"),
    "sync-first": ("dlt", "sling"),
    "export": ("sling",),
}
_PEAK_MB = 300


def _data() -> list[Promise]:
    cases = [
        f"{prefix}-{key}"
        for prefix in ("data", "data-large")
        for key in (*_BESIDE_PSQL, "load-parquet")
    ]
    return [
        *(
            Promise(text, f"data-{key}", bound, at_least=True)
            for key, (text, bound) in _BESIDE_PSQL.items()
        ),
        *(
            Promise(f"data, {key}: {tool}'s time ÷ ours", f"data-{key}", 7, at_least=True,
                    number=f"{tool}_times")
            for key, tools in _OTHER_LOADERS.items() for tool in tools
        ),
        Promise(
            "LoadFile of Parquet: its rate ÷ that of CSV", "data-load-parquet", 1, at_least=True,
            others=("headrace",), over_case="data-load",
        ),
        *(
            Promise(f"{case}: peak memory, MB", case, _PEAK_MB, number="peak_mb")
            for case in cases
        ),
    ]  # fmt: skip


def _growth() -> list[Promise]:
    many = "growth-pipelines-10000"
    return [
        Promise("10,000 pipelines: start to ready, s", many, 12),
        Promise("10,000 pipelines: `validate` again, s", many, 10, number="validate_s"),
        Promise("10,000 pipelines: idle, % of a core", many, 2, number="idle_percent"),
        Promise("1,000 pipelines: `validate` again, s", "growth-pipelines-1000", 1.5,
                number="validate_s"),
    ] + [
        promise
        for runs in (200_000, 2_000_000)
        for promise in (
            Promise(f"{runs:,} runs: slowest listing or metrics, ms", f"growth-{runs}", 30),
            Promise(f"{runs:,} runs: deleted a second", f"growth-{runs}", 5000, at_least=True,
                    number="pruned_per_s"),
            Promise(
                f"{runs:,} runs: drain while old ones are deleted ÷ while none are",
                f"growth-{runs}-pruned", 0.9, at_least=True,
                others=("headrace",), over_case=f"growth-{runs}-kept",
            ),
        )
    ]  # fmt: skip


def _real() -> list[Promise]:
    """Return those of jobs that write a row or say something."""
    rates = [
        Promise(f"{text} ÷ {other}", case, bound, True, others=(entry,))
        for case, text in (("sql", "RunSql, one INSERT"), ("python", "`get_db()`, one INSERT"))
        for entry, other, bound in (
            ("bare-2", "the bare loop's, two commits", 1.0),
            ("pgqueuer-1", "PgQueuer's, one job a query", 1.5),
        )
    ]
    return [
        *rates,
        Promise("RunSql on another database ÷ the bare loop's", "sql-target", 0.6, True,
                others=("bare-2",), over_case="sql-target-beside"),
        Promise("three lines in the log ÷ the silent job's", "log", 0.6, True,
                others=("headrace",), over_case="log-silent"),
        Promise("chain of INSERTs: hop ÷ the bare loop's", "chain-sql", 1.5, others=("bare-2",)),
        Promise("foreach under `headrace up` ÷ a queue of RunSql", "foreach-sql", 0.9, True,
                others=("headrace",), over_case="foreach-sql-beside"),
    ]  # fmt: skip


PROMISES = [
    *_real(),
    *_drain(2000),
    *_drain(20_000),
    Promise("chain: hop ÷ the best durable peer's", "chain", 0.7, others=_DURABLE),
    Promise("chain: hop ÷ the bare loop's", "chain", 2.5, others=("bare-2",)),
    Promise("1 → 200 → 1: time ÷ Huey's", "fan-200", 1.5, others=("huey",)),
    Promise("1 → 200 → 1: time ÷ the quickest other's", "fan-200", 1, others=_FANNED),
    Promise(
        "1 → 10,000 → 1: rate ÷ the drain's", "fan-10000", 0.7, True,
        number="jobs_per_s", others=("headrace",), over_case="drain-20000",
    ),
    Promise("bulk enqueue, jobs/s", "enqueue-bulk", 40_000, True),
    Promise("enqueue one by one ÷ the bare loop's", "enqueue-one", 0.8, True, others=("bare-2",)),
    Promise(
        "drain beside 5,000,000 finished jobs ÷ beside none", "history-5000000", 0.9, True,
        others=("headrace",), over_case="history-0",
    ),
    Promise("`high` behind 10,000 `low`: longest wait, ms", "urgency", 50, number="most_ms"),
    Promise("idle: % of a core", "idle", 1),
    Promise("idle: PSS, MB", "idle", 200, number="pss_mb"),
    Promise("idle: transactions a second", "idle", 2, number="transactions_per_s"),
    Promise("500 schedules in one second: last run dispatched after, ms", "schedules", 1000),
    *_growth(),
    *_data(),
]  # fmt: skip


def table(cases: Cases) -> str:
    """Return the promises whose numbers are there, as Markdown."""
    lines = []
    for promise in PROMISES:
        value = promise.measured(cases)
        if value is not None:
            bound = f"{'≥' if promise.at_least else '≤'} {promise.bound:,g}"
            holds = "yes" if promise.holds(value) else "**no**"
            lines.append(f"| {promise.text} | {bound} | {value:,.4g} | {holds} |")
    head = "| promised | bound | measured | holds |\n|---|--:|--:|---|\n"
    return head + "\n".join(lines) if lines else ""
