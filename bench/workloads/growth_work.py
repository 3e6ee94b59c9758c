"""Jobs per second beside a year of ended runs, some of which are deleted meanwhile, or none."""

import statistics
import threading
import time
from typing import Any

from bench.peers.headrace.adapter import Adapter
from bench.workloads import drain
from bench.workloads.growth_history import fill, prune_oldest

# So many that a deletion lasts as long as the work.
_AT_ONCE = 5000


def run(contender: Adapter, *, runs: int, pruning: bool, **parameters: Any) -> dict[str, Any]:
    fill(contender, runs)
    if not pruning:
        return drain.run(contender, **parameters)
    halt = threading.Event()
    rates: list[float] = []
    beside = threading.Thread(target=_prune, args=(contender, halt, rates), daemon=True)
    beside.start()
    try:
        done = drain.run(contender, **parameters)
    finally:
        halt.set()
        beside.join()
    return {**done, "pruned_per_s": statistics.median(rates)}


def _prune(contender: Adapter, halt: threading.Event, rates: list[float]) -> None:
    while not halt.is_set():
        began = time.monotonic()
        rates.append(prune_oldest(contender, _AT_ONCE) / (time.monotonic() - began))
