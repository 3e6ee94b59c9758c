"""Jobs per second that one producer enqueues, one call each, or all in the documented bulk way."""

import time
from typing import Any

from bench.contender import Contender
from bench.workloads.warm import prepare


def run(contender: Contender, *, jobs: int, bulk: bool) -> dict[str, Any]:
    prepare(contender, jobs)
    # Connections are opened and caches filled by the first job.
    contender.enqueue(0)
    began = time.monotonic()
    if bulk:
        contender.enqueue_many(range(jobs))
    else:
        for number in range(jobs):
            contender.enqueue(number)
    seconds = time.monotonic() - began
    return {"value": jobs / seconds, "seconds": seconds}
