"""Measures what a number of pipelines costs: to check, to start with, to have, and to look at.

Seconds from `headrace up` to `/health/ready`, with the servers' data there; beside it `validate`
of files that nobody has seen, and of the same files again; the idle stack once all definitions
are stored, and the answers of `GET /pipelines` and `/metrics`.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from bench.peers.headrace.adapter import Adapter
from bench.workloads.idle import cpu_s, family
from bench.workloads.warm import prepare

_READY_LIMIT_S = 180.0
_ASKED = 5
_PIPELINE = """name: p{n:05}
description: Refresh the totals of shop {n}.
schedule: {{cron: "{minute} {hour} 29 2 *", timezone: Europe/Berlin}}
params:
  day: {{type: date, default: "{{{{ run.logical_date }}}}"}}
steps:
  - {{id: wait, job: SlowQuery, with: {{duration: 1}}}}
  - id: totals
    job: RunSql
    depends_on: [wait]
    with: {{sql: "SELECT :day, {n}", params: {{day: "{{{{ params.day }}}}"}}}}
"""


def run(contender: Adapter, *, count: int, idle_s: float) -> dict[str, Any]:
    prepare(contender, 1)
    folder = contender.place.scratch / "pipelines"
    for n in range(count):
        text = _PIPELINE.format(n=n, minute=n % 60, hour=n % 24)
        (folder / f"p{n:05}.yaml").write_text(text)
    first_s, again_s = (
        _took_s(lambda: subprocess.run(_headrace("validate"), check=True)) for _ in range(2)
    )
    contender.whole = True
    began = time.monotonic()
    contender.start_workers(2)
    url = f"http://127.0.0.1:{contender.port}"
    _wait_until_ready(f"{url}/health/ready", began)
    ready_s = time.monotonic() - began
    listed = [_took_s(lambda: _ask(f"{url}/pipelines?limit=50")) for _ in range(_ASKED)]
    measured = [_took_s(lambda: _ask(f"{url}/metrics")) for _ in range(_ASKED)]
    _wait_until_stored(contender, count)
    time.sleep(min(idle_s, 5.0))
    return {
        "value": ready_s,
        "validate_first_s": first_s,
        "validate_s": again_s,
        "idle_percent": _idle_percent(contender, idle_s),
        "pipelines_first_ms": 1000 * listed[0],
        "pipelines_ms": 1000 * median(listed),
        "metrics_ms": 1000 * median(measured),
    }


def _headrace(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "headrace", *arguments]


def _took_s(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def _ask(url: str) -> bytes:
    # As Prometheus asks; the page's answers are not compressed.
    with urlopen(Request(url, headers={"Accept-Encoding": "gzip"}), timeout=60) as answer:
        body: bytes = answer.read()
        return body


def _wait_until_ready(url: str, began: float) -> None:
    while True:
        try:
            _ask(url)
            return
        except (URLError, ConnectionError):
            if time.monotonic() - began > _READY_LIMIT_S:
                raise
            time.sleep(0.02)


def _wait_until_stored(contender: Adapter, count: int) -> None:
    began = time.monotonic()
    while contender.query("SELECT count(*) FROM headrace.pipeline")[0][0] < count:
        if time.monotonic() - began > _READY_LIMIT_S:
            raise TimeoutError("the daemon has not stored all definitions")
        time.sleep(0.5)


def _idle_percent(contender: Adapter, seconds: float) -> float:
    pids = family(contender.worker_pids())
    before, began = sum(map(cpu_s, pids)), time.monotonic()
    time.sleep(seconds)
    used_s = sum(map(cpu_s, pids)) - before
    return 100 * used_s / (time.monotonic() - began)
