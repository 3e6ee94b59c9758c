"""Measures the stages of a job in our worker: `python -m bench.profile [JOBS] [--sql] [--write]`.

One worker child runs in this process, its functions wrapped from outside with two readings of
the clock each. A stage's time is its own: what a wrapped function inside it takes is not counted
twice. A second run, whose commits do not wait for the disk, says how much of it is waiting, and
a third one what a job costs that shares its commit with no other.
`--sql` profiles RunSql with one INSERT instead of a no-op. `--write` puts the table into
docs/performance.md, whose words around it are by hand.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bench import machine, report
from bench.contender import ROOT, Place
from bench.peers.headrace.adapter import Adapter
from bench.servers import running
from bench.workloads.warm import prepare

_LOOP = "the loop itself"
_INSERT = "INSERT INTO effect (n) VALUES ({{ params.n }})"

# Microseconds and calls a job, by stage.
Costs = dict[str, tuple[float, float]]


@dataclass
class Stages:
    """Own time and calls by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    _inner: list[float] = field(default_factory=lambda: [0.0])

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        """Time `owner.name` from now on."""
        original: Callable[..., Any] = getattr(owner, name)
        self.seconds.setdefault(stage, 0.0)
        self.calls.setdefault(stage, 0)

        def timed(*positional: Any, **named: Any) -> Any:
            self._inner.append(0.0)
            began = time.perf_counter()
            try:
                return original(*positional, **named)
            finally:
                whole = time.perf_counter() - began
                self.seconds[stage] += whole - self._inner.pop()
                self._inner[-1] += whole
                self.calls[stage] += 1

        setattr(owner, name, timed)

    def take(self, jobs: int, whole_s: float) -> Costs:
        """Return µs and calls a job by stage since the last time; the rest is the loop's."""
        self.seconds[_LOOP] = whole_s - sum(self.seconds.values())
        self.calls[_LOOP] = jobs
        taken = {
            stage: (took / jobs * 1e6, self.calls[stage] / jobs)
            for stage, took in self.seconds.items()
        }
        del self.seconds[_LOOP], self.calls[_LOOP]
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        self.calls = dict.fromkeys(self.calls, 0)
        return taken


def table(default: Costs, hasty: Costs, single: Costs) -> str:
    """Return Markdown: microseconds a job by stage, in three ways of running."""
    lines = [
        "| stage | µs a job | share | calls a job | no wait for the disk | one job a commit |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    whole, whole_hasty, whole_single = (
        sum(took for took, _ in costs.values()) for costs in (default, hasty, single)
    )
    for stage, (took, calls) in default.items():
        alone, alone_calls = single[stage]
        if calls or alone_calls:
            others = f"{hasty[stage][0]:.0f} | {alone:.0f}"
            share = 100 * took / whole
            lines.append(f"| {stage} | {took:.0f} | {share:.0f} % | {calls:.2f} | {others} |")
    lines.append(
        f"| **all** | **{whole:.0f}** | 100 % | | **{whole_hasty:.0f}** | **{whole_single:.0f}** |"
    )
    return "\n".join(lines)


def instrument() -> Stages:
    """Wrap the worker's stages, outermost first."""
    from headrace.engine.attempts.executor import Executor
    from headrace.engine.attempts.run_progress import RunProgress
    from headrace.engine.catalog.job_registry import Registry
    from headrace.engine.workers.child_loop import ChildLoop
    from headrace.engine.workers.group_commit.child_side import GroupCommit
    from headrace.engine.workers.group_commit.shared_batch import SharedBatch
    from headrace.queue.consumer import Consumer
    from headrace.queue.shared_memory import ChildRecord
    from headrace.store.attempts import AttemptStore
    from headrace.store.sessions import JobSessions

    stages = Stages()
    stages.wrap(Consumer, "_exchange", "take: the round trip to Redis")
    _instrument_sql(stages)
    for name in ("take", "take_waiting"):
        stages.wrap(Consumer, name, "take: packing and parsing")
    stages.wrap(AttemptStore, "_run", "PostgreSQL: statements with their commits")
    stages.wrap(AttemptStore, "claim", "claim: reading the row")
    stages.wrap(AttemptStore, "complete_and_claim", "complete and claim: reading the row")
    stages.wrap(AttemptStore, "complete", "complete: reading the row")
    stages.wrap(AttemptStore, "complete_batch", "complete and claim a batch: reading the rows")
    stages.wrap(Registry, "make", "handle: making the job, parameters checked")
    stages.wrap(Executor, "handle", "handle: context, the job's own code")
    stages.wrap(RunProgress, "release_dependants", "bookkeeping: what was released")
    stages.wrap(Executor, "write_log", "bookkeeping: the job's log")
    stages.wrap(Consumer, "done", "bookkeeping: what Redis is told")
    stages.wrap(JobSessions, "clean", "bookkeeping: sessions put in order")
    for name in ("taken", "running", "idle", "holding", "completing"):
        stages.wrap(ChildRecord, name, "bookkeeping: shared memory for the parent")
    for name in ("begin", "add_result", "publish", "withdraw"):
        stages.wrap(SharedBatch, name, "bookkeeping: shared memory for the parent")
    stages.wrap(GroupCommit, "go_on", "bookkeeping: the batch")
    stages.wrap(ChildLoop, "_execute", "bookkeeping: the rest")
    return stages


def _instrument_sql(stages: Stages) -> None:
    from headrace.jobs import run_sql
    from headrace.jobs.statements import user_sql
    from headrace.store.sessions import JobSessions

    stages.wrap(JobSessions, "_begun", "session: begin and mark")
    stages.wrap(JobSessions, "commit_control", "session: commit, and put in order")
    stages.wrap(user_sql, "outcome_of", "handle: the statement and its outcome")
    stages.wrap(run_sql, "render_script", "handle: rendering SQL")


def drain(adapter: Adapter, stages: Stages, jobs: int, **settings: Any) -> Costs:
    """Drain `jobs` jobs as the only child of a worker; returns µs and calls a job by stage."""
    from headrace.engine.workers.rq_callbacks import WorkerSide
    from headrace.queue.shared_memory import ChildRecords

    marks = prepare(adapter, jobs)
    headrace = adapter.headrace
    if "--sql" in sys.argv:
        adapter.query("CREATE TABLE IF NOT EXISTS effect (n integer)")
        payloads = ({"sql": _INSERT, "params": {"n": n}} for n in range(jobs))
        headrace.dispatcher.dispatch_many("RunSql", payloads)
    else:
        adapter.enqueue_many(range(jobs))
    marks.open()
    side = WorkerSide(
        replace(headrace.settings, max_jobs_per_child=jobs, **settings),
        headrace.database_url,
        headrace.redis_url,
        headrace.registry,
        "profile",
        headrace.settings.queues,
        1,
        keys=headrace.keys,
    )
    side.about_to_fork(0)
    record = ChildRecords(1).record(0)
    with _output_given_back():
        began = time.perf_counter()
        side.run_child(record)
        whole_s = time.perf_counter() - began
    return stages.take(jobs, whole_s)


@contextmanager
def _output_given_back() -> Iterator[None]:
    """Put back, at the end, the standard streams that a worker's child makes the log's."""
    streams = sys.stdout, sys.stderr
    kept = os.dup(1), os.dup(2)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        for place, descriptor in enumerate(kept, 1):
            os.dup2(descriptor, place)
            os.close(descriptor)


def main() -> None:
    numbers = [word for word in sys.argv[1:] if word.isdigit()]
    jobs = int(numbers[0]) if numbers else 5000
    with running() as stand:
        scratch = stand.home / "profile"
        scratch.mkdir()
        adapter = Adapter(Place(stand.fresh("bench"), stand.redis_url, scratch), "")
        stages = instrument()
        try:
            default = drain(adapter, stages, jobs)
            single = drain(adapter, stages, jobs, jobs_per_commit=1)
            stand.execute("ALTER DATABASE bench SET synchronous_commit = off")
            text = table(default, drain(adapter, stages, jobs), single)
        finally:
            adapter.close()
        about = machine.describe(stand)
    kind = "RunSql" if "--sql" in sys.argv else "no-op"
    head = (
        f"{jobs:,} {kind} jobs, one worker process: {about['cpu']}, {about['cores']} cores,"
        f" Python {about['python']}, one page flushed in {about['flush']},"
        f" {datetime.now(UTC):%Y-%m-%d}."
    )
    text = f"{head}\n\n{text}"
    print(text)
    if "--write" in sys.argv:
        report.put(ROOT / "docs" / "performance.md", "profile", text)


if __name__ == "__main__":
    main()
