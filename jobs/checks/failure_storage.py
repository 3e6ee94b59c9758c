"""Keeps failing keys in a table of the user's, whatever becomes of the job.

They are written in a transaction of their own, with the job's id and the attempt's number, so that
a retry replaces what the attempt before has left.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace import jobapi
from headrace.jobs.checks.check import FailureTable, Judged
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.staging_table import create_schema, lock_name
from headrace.jobs.tables.table_catalog import find_table
from headrace.model import exact_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def keep_failures(
    judged: Sequence[Judged],
    keys: Mapping[str, Sequence[str]],
    into: FailureTable,
    connection: str | None,
) -> int:
    """Write the rows of what did not pass, and return how many there are.

    `keys` has the primary keys of the tables: of a row they are kept, or all of it where the table
    has none.
    """
    attempt = jobapi.current()
    rows = [row for one in judged if not one.passed for row in _rows(one, keys)]
    if not rows and attempt.attempt == 1:
        return 0
    key = {"table": into.table, "job_id": attempt.job_id, "attempt": attempt.attempt}
    with attempt.aside(connection) as session:
        _make(session, into.table)
        execute(session, packaged_sql("failures_replace", **key))
        about = {
            "run_id": attempt.run_id,
            "pipeline": attempt.pipeline,
            "step": attempt.step,
            "rows": exact_json.dumps(rows),
        }
        execute(session, packaged_sql("failures_store", **key, **about))
    return len(rows)


def _make(session: "Session", table: str) -> None:
    if find_table(session, table) is None:
        lock_name(session, table)
        create_schema(session, table)
        execute(session, packaged_sql("failures_create", table=table))


def _rows(one: Judged, keys: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    check = one.check
    about = {
        "table_name": check.table,
        "check_name": check.name,
        "level": check.level,
    }
    if not one.measured.sample:
        yield {**about, "reason": one.told, "key": None}
    primary = keys.get(check.table or "", ())
    for row in one.measured.sample:
        named = {name: row[name] for name in primary if name in row}
        whole = len(named) == len(primary) and primary
        yield {**about, "reason": one.reason, "key": named if whole else dict(row)}
