"""The seed's demonstration set: seven jobs on their three queues."""

from typing import Any, NamedTuple

from headrace.engine.dispatch.dispatcher import Dispatcher
from headrace.store.row_types import JobRow


class _Job(NamedTuple):
    job: str
    queue: str
    with_: dict[str, Any]
    after: str | None = None


_TABLE = "auth.users"
_JOBS = (
    _Job("PopulateRecords", "high", {"sql_path": "users.sql"}),
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


def create_demonstration(dispatcher: Dispatcher) -> list[JobRow]:
    """Dispatch the set and return its rows; what needs another's table depends on it.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    rows: dict[str, JobRow] = {}
    for job in _JOBS:
        after = [str(rows[job.after]["id"])] if job.after else []
        rows[job.job] = dispatcher.dispatch_row(
            job.job, job.with_, queue=job.queue, depends_on=after
        )
    return list(rows.values())
