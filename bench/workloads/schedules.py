"""Measures the delay of runs when many schedules are due in the same second.

Milliseconds from the instant to the last run's row. The whole stack is up; each run has one job.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from bench.peers.headrace.adapter import Adapter
from bench.workloads.pipelines import wait_runs, write_pipelines
from bench.workloads.warm import WARM_JOBS, prepare, warm_up

_LAG = """
SELECT count(*), count(DISTINCT (r.pipeline, r.logical_date)), min(r.logical_date),
       max(extract(epoch FROM r.created_at - r.logical_date))::float8 * 1000,
       max(extract(epoch FROM j.started_at - r.logical_date))::float8 * 1000,
       max(extract(epoch FROM r.finished_at - r.logical_date))::float8 * 1000
  FROM headrace.run r JOIN headrace.job j ON j.run_id = r.id
"""


def run(contender: Adapter, *, count: int, processes: int) -> dict[str, Any]:
    warm = WARM_JOBS
    marks = prepare(contender, warm + count)
    # The next full minute that is at least 25 s away: the stack has to come up before.
    due = datetime.now(UTC) + timedelta(seconds=25 + 60)
    write_pipelines(
        contender.place.scratch / "pipelines",
        count,
        first=warm,
        steps=1,
        head=f'schedule: {{cron: "{due.minute} {due.hour} * * *", timezone: UTC}}',
    )
    contender.whole = True
    warm_up(contender, marks, processes, warm)
    wait_runs(contender, count)
    runs, distinct, _first, created, started, finished = contender.query(_LAG)[0]
    if (runs, distinct) != (count, count):
        raise RuntimeError(f"{runs} runs of {distinct} schedules; {count} were due, each once")
    return {"value": created, "last_started_ms": started, "last_finished_ms": finished}
