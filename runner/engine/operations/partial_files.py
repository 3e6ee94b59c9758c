"""Removes what killed attempts of exports and downloads have left in the output folders."""

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from headrace.store.database import Database

log = logging.getLogger("headrace.daemon")

# As `jobs/files/atomic_files` calls them: the name of the file to be, the job, the attempt.
_PARTIAL = re.compile(r"\..*\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(\d+)\.part")


def remove_partials(database: Database, folders: Iterable[Path]) -> int:
    """Remove hidden files of attempts of our jobs that do not run any more; returns their number.

    What belongs to no job of ours is another installation's and stays. What cannot be removed, in a
    folder that is read-only, say, is told.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    found = list(_partials(folders))
    if not found:
        return 0
    with database.transaction() as tx:
        rows = tx.rows("attempts_of_jobs", ids=sorted({job for _, job, _ in found}))
    running = {str(row["id"]): row["running"] for row in rows}
    removed, refused = 0, list[OSError]()
    for path, job, attempt in found:
        if job in running and running[job] != attempt:
            try:
                path.unlink(missing_ok=True)
                removed += 1
            except OSError as error:
                refused.append(error)
    if refused:
        told = "%d incomplete files of stopped jobs cannot be removed: %s"
        log.warning(told, len(refused), refused[0])
    return removed


def _partials(folders: Iterable[Path]) -> Iterator[tuple[Path, str, int]]:
    for folder in folders:
        for path in folder.rglob(".*.part"):
            match = _PARTIAL.fullmatch(path.name)
            if match is not None and path.is_file():
                yield path, match[1], int(match[2])
