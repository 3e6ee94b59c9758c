"""Many pipelines: files are loaded, all of them started at once, and run to their ends.

Jobs per second from the first job to the end of the last run. The plans of all runs are made
and inserted as the scheduler does it for schedules that are due together.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.peers.headrace.adapter import NOOP, Adapter
from bench.workloads.warm import START_LIMIT_S, WARM_JOBS, prepare, warm_up
from headrace.model.status import Trigger

STEPS = 5


def run(contender: Adapter, *, count: int, processes: int) -> dict[str, Any]:
    warm = WARM_JOBS
    marks = prepare(contender, warm + count * STEPS)
    write_pipelines(contender.place.scratch / "pipelines", count, first=warm)
    warm_up(contender, marks, processes, warm)
    headrace = contender.headrace
    began = time.monotonic()
    headrace.pipelines.refresh()
    loaded = time.monotonic()
    if len(headrace.pipelines.by_name) != count:
        raise RuntimeError(f"not all are valid: {headrace.pipelines.problems[:1]}")
    now = datetime.now(UTC)
    due = [
        (headrace.planner.plan(pipeline, {}, now, Trigger.MANUAL), Trigger.MANUAL)
        for pipeline in headrace.pipelines.by_name.values()
    ]
    planned = time.monotonic()
    with headrace.database.transaction() as tx:
        _runs, messages = headrace.dispatcher.insert_runs(tx, due)
    headrace.dispatcher.send_soon(messages)
    sent = time.monotonic()
    ended = wait_runs(contender, count)
    times = marks.times(warm, count * STEPS)
    if not all(times):
        raise RuntimeError("runs have ended whose jobs have not run")
    return {
        "value": len(times) / (ended - min(times)),
        "load_s": loaded - began,
        "plan_s": planned - loaded,
        "dispatch_s": sent - planned,
        "run_s": ended - min(times),
    }


def write_pipelines(
    folder: Path, count: int, *, first: int, steps: int = STEPS, head: str = ""
) -> None:
    """Write files of chained steps; jobs are numbered from `first` on."""
    for number in range(count):
        lines = [f"name: p{number}", *([head] if head else []), "steps:"]
        for step in range(steps):
            n = first + number * steps + step
            after = f", depends_on: [s{step - 1}]" if step else ""
            lines.append(f"  - {{id: s{step}, job: {NOOP}{after}, with: {{n: {n}}}}}")
        (folder / f"p{number}.yaml").write_text("\n".join(lines) + "\n")


def wait_runs(contender: Adapter, count: int) -> float:
    """Wait until so many runs have completed; returns the time."""
    give_up = time.monotonic() + START_LIMIT_S * 5
    while True:
        rows = contender.query("SELECT count(*) FROM headrace.run WHERE status = 'completed'")
        if rows[0][0] >= count:
            return time.monotonic()
        if time.monotonic() > give_up:
            raise TimeoutError(f"{rows[0][0]} of {count} runs had completed")
        time.sleep(0.02)
