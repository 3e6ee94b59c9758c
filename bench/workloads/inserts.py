"""Jobs per second: a full queue of jobs that insert one row each is emptied.

Each row has the time at which it was inserted. The clock runs from the first row until all are
there and, where the system stores statuses, until all of them are final. Jobs that hold a worker
at the gate until all workers are up go before.
"""

import time
from typing import Any

from bench.contender import Contender
from bench.workloads.warm import WARM_JOBS, prepare, start_at_gate, wait_finished

# Of the rows that are measured: a peer's first jobs insert some, too.
MEASURED = f"FROM bench_row WHERE number >= {WARM_JOBS}"


def run(
    contender: Contender, *, jobs: int, processes: int, limit_s: float, work: str
) -> dict[str, Any]:
    """Empty a full queue; returns jobs a second."""
    marks = prepare(contender, WARM_JOBS + jobs)
    begin(contender, work)
    contender.enqueue_many(range(WARM_JOBS))
    contender.work = work
    contender.enqueue_many(range(WARM_JOBS, WARM_JOBS + jobs))
    start_at_gate(contender, marks, processes)
    marks.open()
    wait_rows(contender, jobs, limit_s)
    ended = time_of(contender, "max")
    if contender.durable:
        wait_finished(contender, WARM_JOBS + jobs, 30.0)
        ended = time.time()
    seconds = ended - time_of(contender, "min")
    return {"value": jobs / seconds, "seconds": seconds}


def wait_rows(contender: Contender, count: int, limit_s: float) -> None:
    """Wait until so many rows are there.

    Raises:
        TimeoutError: They are not within `limit_s`.
    """
    give_up = time.monotonic() + limit_s
    while (there := int(contender.scalar(f"SELECT count(*) {MEASURED}"))) < count:
        if time.monotonic() > give_up:
            raise TimeoutError(f"{there} of {count} rows were there after {limit_s:g} s")
        time.sleep(0.02)


def begin(contender: Contender, work: str) -> None:
    """Let workers that start from now on insert rows, and make the database that they go to."""
    contender.inserts = True
    if work == "sql-target":
        contender.make_target()


def time_of(contender: Contender, which: str) -> float:
    """Return when the first (`min`) or the last (`max`) row was inserted, in seconds since 1970."""
    return float(contender.scalar(f"SELECT extract(epoch FROM {which}(at))::float8 {MEASURED}"))
