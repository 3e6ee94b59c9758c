"""The seed's demonstration set: seven jobs on their three queues."""

import re
from typing import Any, NamedTuple

from headrace.engine.application import Headrace
from headrace.errors import NotFound
from headrace.jobapi.folders import Folders, MissingFile
from headrace.store.row_types import JobRow


class _Job(NamedTuple):
    job: str
    queue: str
    with_: dict[str, Any]
    after: str | None = None


_TABLE = "auth.users"
_SCRIPT = "users.sql"
_CREATES_TABLE = re.compile(
    r"\bcreate\s+table\s+(if\s+not\s+exists\s+)?auth\.users\b", re.IGNORECASE
)
_MOST_CHARACTERS = 1_000_000
_JOBS = (
    _Job("PopulateRecords", "high", {"sql_path": _SCRIPT}),
    _Job("SlowQuery", "medium", {"duration": 10}),
    _Job(
        "DataAggregation",
        "medium",
        {
            "table": _TABLE,
            "group_by": "department",
            "sort_by": "total_salary",
            "sort_order": "desc",
        },
        after="PopulateRecords",
    ),
    _Job("TruncateTable", "medium", {"table": _TABLE}, after="DataAggregation"),
    _Job("DropTable", "low", {"table": _TABLE}, after="TruncateTable"),
    _Job("Fibonacci", "low", {"n": 10}),
    _Job("FailedJob", "low", {}),
)


def create_demonstration(headrace: Headrace) -> list[JobRow]:
    """Dispatch the set and return its rows; what needs another's table depends on it.

    Raises:
        NotFound: The project lacks the script that makes the set's table. Nothing is dispatched.
        StoreUnavailable: PostgreSQL does not answer.
    """
    _require_script(headrace.settings.folders())
    rows: dict[str, JobRow] = {}
    for job in _JOBS:
        after = [str(rows[job.after]["id"])] if job.after else []
        rows[job.job] = headrace.dispatcher.dispatch_row(
            job.job, job.with_, queue=job.queue, depends_on=after
        )
    return list(rows.values())


def _require_script(folders: Folders) -> None:
    """Refuse in a project of one's own, where the table may be one that people live by.

    A script of the same name does not make it the set's: it has to create what the set empties
    and drops.
    """
    try:
        with folders.find_sql(_SCRIPT).open(encoding="utf-8-sig", errors="replace") as script:
            found = f"its {_SCRIPT} does not create that table"
            is_ours = _CREATES_TABLE.search(script.read(_MOST_CHARACTERS)) is not None
    except MissingFile:
        found, is_ours = f"it has no {_SCRIPT}", False
    if not is_ours:
        raise NotFound(
            f"this project does not have the demonstration set, whose script {_SCRIPT} creates the"
            f" table {_TABLE}, and whose jobs empty and drop it: {found}. Nothing was dispatched."
            " The set comes with Headrace's own repository; POST /jobs dispatches a job of yours"
        )
