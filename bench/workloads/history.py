"""Jobs per second where many jobs have finished before.

The database outlives the rounds: rows are made once, in one statement, then vacuumed and
analysed as autovacuum would have done over the months that they stand for.
"""

from typing import Any

from bench.contender import Contender
from bench.peers.headrace.adapter import NOOP, Adapter
from bench.workloads import drain
from bench.workloads.warm import prepare

_FILL = """
INSERT INTO headrace.job (id, job_class, payload, status, queue, timeout_s, retry, attempt, worker,
                          created_at, queued_at, started_at, finished_at, updated_at)
SELECT uuidv7(at - clock_timestamp()), '{job}', jsonb_build_object('n', number), 'completed',
       'medium', 300, '{{"limit": 3, "intervals_s": [60, 300, 900]}}', 1, 'worker.1.abcdef',
       at, at, at, at, at
  FROM generate_series(1, {rows}) AS number,
       LATERAL (SELECT clock_timestamp() - make_interval(secs => {rows} - number + 60) AS at)
"""


def run(contender: Contender, *, rows: int, **parameters: Any) -> dict[str, Any]:
    assert isinstance(contender, Adapter)
    prepare(contender, 1)
    if contender.query("SELECT count(*) FROM headrace.job")[0][0] < rows:
        contender.query(_FILL.format(job=NOOP, rows=rows))
    # What earlier rounds have left behind is put in order as well, in both tables.
    contender.query("VACUUM (ANALYZE) headrace.job")
    contender.query("CHECKPOINT")
    return drain.run(contender, **parameters)
