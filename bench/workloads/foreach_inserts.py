"""Jobs per second of a pipeline as a user runs it: a RunSql step, one for each item, one after all.

`headrace up` is up and idle; the run is asked for by HTTP. The clock runs from the first row to
the last. `watched` lets a client ask for the run ten times a second, as an open page does.
"""

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from bench.peers.headrace.adapter import Adapter
from bench.rows import INSERT
from bench.workloads.inserts import MEASURED, begin, time_of, wait_rows
from bench.workloads.warm import START_LIMIT_S, WARM_JOBS, prepare, warm_up

_LIMIT_S = 120.0
_LOOK_EVERY_S = 0.1


def run(contender: Adapter, *, items: int, processes: int, watched: bool) -> dict[str, Any]:
    marks = prepare(contender, WARM_JOBS)
    begin(contender, "sql")
    _write_pipeline(contender, items)
    contender.whole = True
    warm_up(contender, marks, processes, WARM_JOBS)
    web = f"http://127.0.0.1:{contender.port}"
    _wait_ready(web)
    started = _call(f"{web}/pipelines/each/runs", b"{}")
    with _watching(f"{web}/runs/{started['id']}") if watched else contextlib.nullcontext():
        wait_rows(contender, items + 2, _LIMIT_S)
    seconds = time_of(contender, "max") - time_of(contender, "min")
    last = f"SELECT number {MEASURED} ORDER BY at DESC LIMIT 1"
    if int(contender.scalar(last)) != WARM_JOBS + items + 1:
        raise RuntimeError("the last step did not come last")
    return {"value": (items + 1) / seconds, "seconds": seconds}


def _write_pipeline(contender: Adapter, items: int) -> None:
    numbers = list(range(WARM_JOBS + 1, WARM_JOBS + 1 + items))
    sql = INSERT.format("{{ params.number }}")

    def step(name: str, number: Any, **more: Any) -> dict[str, Any]:
        return {
            "id": name,
            "job": "RunSql",
            "with": {"sql": sql, "params": {"number": number}},
            **more,
        }

    steps = [
        step("first", WARM_JOBS),
        step("each", "{{ n }}", depends_on=["first"], foreach={"items": numbers, "as": "n"}),
        step("last", WARM_JOBS + items + 1, depends_on=["each"]),
    ]
    # JSON is YAML.
    path = contender.place.scratch / "pipelines" / "each.yaml"
    path.write_text(json.dumps({"name": "each", "steps": steps}))


def _wait_ready(web: str) -> None:
    give_up = time.monotonic() + START_LIMIT_S
    while True:
        try:
            _call(f"{web}/health/ready")
        except OSError:
            # Refused, or 503: not yet.
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return


def _call(url: str, body: bytes | None = None) -> Any:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_LIMIT_S) as answer:
        return json.load(answer)


@contextlib.contextmanager
def _watching(url: str) -> Iterator[None]:
    """Ask for the run, as a page does, until the block ends."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            _call(url)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
