"""Milliseconds per hop: jobs that each start when the one before has ended.

The workers are up and idle. The clock runs from the first job to the last.
"""

from typing import Any

from bench.contender import Contender
from bench.workloads.warm import WARM_JOBS, prepare, warm_up


def run(contender: Contender, *, jobs: int, processes: int) -> dict[str, Any]:
    warm = WARM_JOBS
    marks = prepare(contender, warm + jobs)
    warm_up(contender, marks, processes, warm)
    contender.chain(range(warm, warm + jobs))
    times = marks.wait(warm, jobs, 120.0)
    if times != sorted(times):
        raise RuntimeError("the chain ran out of order")
    return {"value": (times[-1] - times[0]) * 1000 / (jobs - 1)}
