"""Jobs per second beside a year of ended runs, some of which are deleted meanwhile, or none."""

import statistics
import threading
import time
from typing import Any

from bench.peers.headrace.adapter import Adapter
from bench.workloads import drain
from bench.workloads.growth_history import fill, prune_oldest

# Each time so many that retention finds its pace; a few where there are few, lest they run out.
_MANY, _FEW = 5000, 5


def run(contender: Adapter, *, runs: int, pruning: bool, **parameters: Any) -> dict[str, Any]:
    fill(contender, runs)
    if not pruning:
        return drain.run(contender, **parameters)
    count = _MANY if runs > 20 * _MANY else _FEW
    halt, rates = threading.Event(), [_prune(contender, count)]

    def prune_on() -> None:
        while not halt.is_set():
            rates.append(_prune(contender, count))

    beside = threading.Thread(target=prune_on, daemon=True)
    beside.start()
    try:
        done = drain.run(contender, **parameters)
        if not beside.is_alive():
            raise RuntimeError("the deletion of runs ended before the work did")
    finally:
        halt.set()
        beside.join()
    return {**done, "pruned_per_s": statistics.median(rates[1:] or rates)}


def _prune(contender: Adapter, count: int) -> float:
    """Delete some of the oldest runs; returns how many a second."""
    began = time.monotonic()
    return prune_oldest(contender, count) / (time.monotonic() - began)
