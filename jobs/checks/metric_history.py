"""The values of metrics in completed jobs: `headrace.metric_value` in the control database.

A value is written in the transaction that completes its job. So the history has one value for each
completed job, and none of a job that failed, by this metric or by anything else.
"""

from collections.abc import Iterable
from decimal import Decimal

from headrace import jobapi
from headrace.jobs.checks.check import Check, Judged
from headrace.jobs.sql.packaged import execute, packaged_sql


def earlier_values(check: Check, connection: str | None, runs: int) -> list[Decimal]:
    """Return the newest values of a metric, at most `runs`."""
    attempt = jobapi.current()
    with attempt.session(None, read_only=True) as session:
        statement = packaged_sql("metric_earlier", **_key(check, connection), runs=runs)
        return list(execute(session, statement).scalars())


def keep_values(judged: Iterable[Judged], connection: str | None) -> None:
    """Write the values that metrics have in this job, for those to come."""
    measured = [
        one
        for one in judged
        if one.check.kind == "metric"
        and isinstance(one.measured.value, Decimal)
        and one.measured.value.is_finite()
    ]
    if not measured:
        return
    attempt = jobapi.current()
    with attempt.session(None) as session:
        for one in measured:
            key = _key(one.check, connection)
            values = {**key, "run_id": attempt.run_id, "value": one.measured.value}
            execute(session, packaged_sql("metric_store", **values))
            execute(session, packaged_sql("metric_forget", **key))


def _key(check: Check, connection: str | None) -> dict[str, object]:
    return {
        "connection": connection or "",
        "table": check.table,
        "name": check.name,
        "job_id": jobapi.current().job_id,
    }
