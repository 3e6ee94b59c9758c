"""Seconds for 1 → N → 1: one job, then N at once, then one that waits for all of them.

The workers are up and idle. The clock runs from the call that submits all of it until the last
job runs; `run_s` counts from the first job only.
"""

import time
from typing import Any

from bench.contender import Contender
from bench.workloads.warm import WARM_JOBS, prepare, warm_up


def run(contender: Contender, *, width: int, processes: int) -> dict[str, Any]:
    warm = WARM_JOBS
    marks = prepare(contender, warm + width + 2)
    warm_up(contender, marks, processes, warm)
    began = time.monotonic()
    contender.fan(range(warm, warm + width + 2))
    submitted = time.monotonic()
    times = marks.wait(warm, width + 2, 300.0)
    if times[0] > min(times[1:]) or times[-1] < max(times[:-1]):
        raise RuntimeError("the fan ran out of order")
    return {
        "value": times[-1] - began,
        "submit_s": submitted - began,
        "run_s": times[-1] - times[0],
        "jobs_per_s": (width + 2) / (times[-1] - times[0]),
    }
