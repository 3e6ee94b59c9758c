"""Milliseconds per hop: jobs that insert a row each, and each start when the one before has ended.

The workers are up and idle. The clock runs from the first row to the last.
"""

from typing import Any

from bench.contender import Contender
from bench.workloads.inserts import MEASURED, begin, time_of, wait_rows
from bench.workloads.warm import WARM_JOBS, prepare, warm_up

_IN_ORDER = f"""
SELECT bool_and(before IS NULL OR at > before)
  FROM (SELECT at, lag(at) OVER (ORDER BY number) AS before {MEASURED}) AS one
"""


def run(contender: Contender, *, jobs: int, processes: int, work: str) -> dict[str, Any]:
    marks = prepare(contender, WARM_JOBS + jobs)
    begin(contender, work)
    warm_up(contender, marks, processes, WARM_JOBS)
    contender.work = work
    contender.chain(range(WARM_JOBS, WARM_JOBS + jobs))
    wait_rows(contender, jobs, 120.0)
    if not contender.scalar(_IN_ORDER):
        raise RuntimeError("the chain ran out of order")
    return {"value": (time_of(contender, "max") - time_of(contender, "min")) * 1000 / (jobs - 1)}
