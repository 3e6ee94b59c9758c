"""Whether the lines that speaking jobs have said are in the database (I17)."""

from collections.abc import Sequence
from pathlib import Path

from tests.support.cluster import Cluster

# No line that was said longer before an attempt's end than this may be missing, in seconds.
_MAY_BE_LOST_S = 2.0


def spoken_numbers(cluster: Cluster, job_id: str, attempt: int) -> list[int]:
    """Return the numbers of the lines that an attempt of a speaking job has in the database."""
    rows = cluster.sql(
        "SELECT message FROM headrace.job_log WHERE job_id = %s AND attempt = %s ORDER BY line",
        job_id,
        attempt,
    )
    return [int(row["message"].split()[1]) for row in rows if row["message"].startswith("spoken ")]


Span = tuple[float, float]


def gaps(cluster: Cluster, journal: Path, outages: Sequence[Span] = ()) -> list[str]:
    """Return what is missing of the logs of speaking jobs that kept a journal there, in words.

    While PostgreSQL did not answer, in `outages`, and for as long as a line may take afterwards,
    lines wait in the worker's parent, and are lost with it.
    """
    excused = [(start - _MAY_BE_LOST_S, end + 2 * _MAY_BE_LOST_S) for start, end in outages]
    return [
        fault for file in sorted(journal.iterdir()) for fault in _faults(cluster, file, excused)
    ]


def _faults(cluster: Cluster, file: Path, excused: Sequence[Span]) -> list[str]:
    job, _, attempt = file.name.rpartition("_")
    # The journal's last line may be cut: its process was killed in the middle.
    noted = [line.split() for line in file.read_text().splitlines(keepends=True) if "\n" in line]
    said = {int(number): float(at) for number, at in noted}
    ended_at = max(said.values(), default=0.0)
    kept = spoken_numbers(cluster, job, int(attempt))
    missing = [
        number
        for number, at in said.items()
        if number not in kept
        and at < ended_at - _MAY_BE_LOST_S
        and not any(start <= at <= end for start, end in excused)
    ]
    faults = [f"job {job}, attempt {attempt}: lines {missing} are missing"] if missing else []
    if len(kept) != len(set(kept)):
        faults.append(f"job {job}, attempt {attempt}: lines are there twice")
    return faults
