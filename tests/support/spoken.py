"""Whether the lines that speaking jobs have said are in the database (I17)."""

from typing import Any

from tests.support.cluster import Cluster

# Each speaking job says a line at least this often, in seconds.
_EVERY_S = 0.2
# No line that was said longer ago than this may be missing, in seconds.
_MAY_BE_LOST_S = 2.0

_ATTEMPTS = """
SELECT a.job_id, a.attempt, a.outcome, a.started_at, a.finished_at
  FROM (SELECT job_id, attempt, outcome, started_at, finished_at FROM headrace.job_attempt
         UNION ALL
        SELECT id, attempt, status, started_at, finished_at FROM headrace.job
         WHERE status = 'completed') a
  JOIN headrace.job j ON j.id = a.job_id
 WHERE j.job_class LIKE '%%SpeakingJob' OR j.job_class LIKE '%%OverdueJob'
"""


def spoken_numbers(cluster: Cluster, job_id: str, attempt: int) -> list[int]:
    """Return the numbers of the lines that an attempt of a speaking job has in the database."""
    rows = cluster.sql(
        "SELECT message FROM headrace.job_log WHERE job_id = %s AND attempt = %s ORDER BY line",
        job_id,
        attempt,
    )
    return [int(row["message"].split()[1]) for row in rows if row["message"].startswith("spoken ")]


def gaps(cluster: Cluster) -> list[str]:
    """Return what is missing of the logs of all speaking jobs' attempts, in words.

    Lines are numbered without a gap from 1, so none in the middle may be missing; of the end,
    none that was said more than two seconds before.
    """
    return [fault for row in cluster.sql(_ATTEMPTS) for fault in _faults(cluster, row)]


def _faults(cluster: Cluster, row: dict[str, Any]) -> list[str]:
    job, attempt = str(row["job_id"]), row["attempt"]
    found = spoken_numbers(cluster, job, attempt)
    who = f"attempt {attempt} of job {job} ({row['outcome']})"
    faults = []
    if sorted(found) != list(range(1, len(found) + 1)):
        faults.append(f"{who}: lines {found}")
    last = cluster.sql(
        "SELECT max(at) AS at FROM headrace.job_log WHERE job_id = %s AND attempt = %s",
        job,
        attempt,
    )[0]["at"]
    lived_s = (row["finished_at"] - (last or row["started_at"])).total_seconds()
    if lived_s > _MAY_BE_LOST_S + _EVERY_S and row["outcome"] not in ("crashed", "released"):
        faults.append(f"{who}: nothing of its last {lived_s:.1f} s")
    return faults
