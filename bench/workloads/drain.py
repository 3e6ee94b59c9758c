"""Jobs per second: a full queue is emptied.

The jobs are queued while no worker runs. The workers start, and the first job of each worker
process waits at a gate until all have one. The clock runs from the opening of the gate until
the last job has run and, where the system stores statuses, until all of them are final.
"""

from typing import Any

from bench.contender import Contender
from bench.workloads.warm import prepare, start_at_gate, wait_finished


def run(
    contender: Contender, *, jobs: int, processes: int, limit_s: float, work: str = ""
) -> dict[str, Any]:
    marks = prepare(contender, jobs)
    contender.work = work
    contender.enqueue_many(range(jobs))
    start_at_gate(contender, marks, processes)
    began = marks.open()
    ended = max(marks.wait(0, jobs, limit_s))
    if contender.durable:
        ended = max(ended, wait_finished(contender, jobs, 30.0))
    return {"value": jobs / (ended - began), "seconds": ended - began}
