"""Where a job's microseconds go in our worker: `python -m bench.profile [JOBS]`.

One worker child runs in this process, its functions wrapped from outside with two readings of
the clock each. A stage's time is its own: what a wrapped function inside it takes is not counted
twice. The table goes into docs/performance.md by hand, beside what it means.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.contender import Place
from bench.peers.headrace.adapter import Adapter
from bench.servers import running
from bench.workloads.warm import prepare


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

    def table(self, jobs: int, whole_s: float) -> str:
        """Return Markdown: microseconds a job by stage, the rest of the loop at the end."""
        rows = [(stage, took, self.calls[stage]) for stage, took in self.seconds.items()]
        rows.append(("the loop itself", whole_s - sum(self.seconds.values()), jobs))
        lines = ["| stage | µs a job | share | calls a job |", "|---|--:|--:|--:|"]
        for stage, took, calls in rows:
            share = 100 * took / whole_s
            lines.append(
                f"| {stage} | {took / jobs * 1e6:.0f} | {share:.0f} % | {calls / jobs:.2f} |"
            )
        lines.append(f"| **all** | **{whole_s / jobs * 1e6:.0f}** | 100 % | |")
        return "\n".join(lines)


def instrument() -> Stages:
    """Wrap the worker's stages, outermost first."""
    from runner.engine.child import ChildLoop
    from runner.engine.executor import Executor
    from runner.engine.registry import Registry
    from runner.queue.slots import Slot
    from runner.queue.taker import Taker
    from runner.store.attempts import AttemptStore
    from runner.store.sessions import JobSessions

    stages = Stages()
    stages.wrap(Taker, "_exchange", "take: the round trip to Redis")
    stages.wrap(Taker, "take", "take: packing and parsing")
    stages.wrap(AttemptStore, "_run", "PostgreSQL: statements with their commits")
    stages.wrap(AttemptStore, "claim", "claim: reading the row")
    stages.wrap(AttemptStore, "complete_and_claim", "complete and claim: reading the row")
    stages.wrap(AttemptStore, "complete", "complete: reading the row")
    stages.wrap(Registry, "make", "handle: making the job, parameters checked")
    stages.wrap(Executor, "handle", "handle: context, the job's own code")
    stages.wrap(Executor, "settle", "bookkeeping: what was released")
    stages.wrap(Executor, "write_log", "bookkeeping: the job's log")
    stages.wrap(Taker, "done", "bookkeeping: what Redis is told")
    stages.wrap(JobSessions, "clean", "bookkeeping: sessions put in order")
    for name in ("taken", "running", "idle"):
        stages.wrap(Slot, name, "bookkeeping: shared memory for the parent")
    stages.wrap(ChildLoop, "_finished", "bookkeeping: the rest")
    return stages


def profile(adapter: Adapter, jobs: int) -> str:
    """Return the table for draining `jobs` jobs with one process."""
    from runner.engine.worker import WorkerSide
    from runner.queue.slots import Slots

    marks = prepare(adapter, jobs)
    adapter.enqueue_many(range(jobs))
    marks.open()
    headrace = adapter.headrace
    side = WorkerSide(
        replace(headrace.settings, max_jobs_per_child=jobs),
        headrace.database_url,
        headrace.redis_url,
        headrace.registry,
        "profile",
        headrace.settings.queues,
        1,
    )
    stages = instrument()
    slot = Slots(1).slot(0)
    began = time.perf_counter()
    side.run_child(slot)
    whole_s = time.perf_counter() - began
    return stages.table(jobs, whole_s)


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with running() as stand:
        scratch = stand.home / "profile"
        scratch.mkdir()
        os.environ["BENCH_SCRATCH"] = str(scratch)
        place = Place(stand.fresh("bench"), stand.redis_url, Path(scratch))
        adapter = Adapter(place, "")
        try:
            print(f"{jobs:,} no-op jobs, one process, nothing else at work:\n")
            print(profile(adapter, jobs))
        finally:
            adapter.close()


if __name__ == "__main__":
    main()
