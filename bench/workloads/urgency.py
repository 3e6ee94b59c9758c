"""Measures the wait of a job on `high` while `low` is full and both workers are busy.

Milliseconds from the row's creation to the start of the job, as the rows say.
"""

import time
from typing import Any

from bench.peers.headrace.adapter import NOOP, Adapter
from bench.workloads.warm import prepare, start_at_gate


def run(contender: Adapter, *, low: int, high: int, processes: int) -> dict[str, Any]:
    marks = prepare(contender, low + high)
    contender.enqueue_many(range(low), queue="low")
    start_at_gate(contender, marks, processes)
    marks.open()
    ids = []
    for number in range(low, low + high):
        time.sleep(0.02)
        ids.append(contender.headrace.dispatcher.dispatch(NOOP, {"n": number}, queue="high"))
    left = contender.query("SELECT count(*) FROM headrace.job WHERE status = 'queued'")[0][0]
    if left < processes:
        raise RuntimeError("the low queue was empty before the last urgent job came")
    marks.wait(low, high, 60.0)
    waits = contender.query(
        "SELECT extract(epoch FROM started_at - created_at)::float8 * 1000 FROM headrace.job"
        " WHERE queue = 'high' ORDER BY 1"
    )
    values = [row[0] for row in waits]
    return {"value": values[len(values) // 2], "most_ms": values[-1], "low_left": left}
