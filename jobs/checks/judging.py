"""Judges data: each check is measured, told, recorded, and a broken one fails the job."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.checks.check import ROWS_TOLD, Check, FailureTable, Judged
from headrace.jobs.checks.comparison import OpenReader
from headrace.jobs.checks.failure_storage import keep_failures
from headrace.jobs.checks.measuring import measured
from headrace.jobs.checks.metric_history import keep_values
from headrace.jobs.tables.table_catalog import find_table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def judge(
    session: "Session",
    checks: Sequence[Check],
    open_reader: OpenReader,
    connection: str | None,
    kept: int = ROWS_TOLD,
) -> list[Judged]:
    """Measure and judge checks on `connection`, in the session, and tell each in the log."""
    judged = []
    for check in checks:
        one = Judged(check, measured(session, check, open_reader, connection, kept))
        say(one)
        judged.append(one)
    return judged


def say(one: Judged) -> None:
    """Write what became of a check into the job's log."""
    told = logger.info if one.passed else logger.warning
    told("%s: %s", one.verdict, one.told)


def record(
    judged: Sequence[Judged],
    keys: Mapping[str, Sequence[str]],
    failures: FailureTable | None,
    connection: str | None,
) -> dict[str, Any]:
    """Keep failing rows and metrics, and return what the result says of the checks.

    `keys` are the tables' primary keys. No session that only reads may be open.

    Raises:
        JobFailure: a check of the level `error` did not pass.
    """
    if failures is not None:
        keep_failures(judged, keys, failures, connection)
    failed = [one.told for one in judged if one.verdict == "failed"]
    if failed:
        raise JobFailure("; ".join(failed))
    keep_values(judged, connection)
    warned = sum(one.verdict == "warned" for one in judged)
    logger.info("%d checks passed%s", len(judged) - warned, f", {warned} warned" if warned else "")
    return {
        "checks": len(judged),
        "warnings": warned,
        "check_results": [one.as_result() for one in judged],
    }


def primary_keys(session: "Session", judged: Sequence[Judged]) -> dict[str, list[str]]:
    """Return the primary keys of the tables of which rows have failed."""
    found: dict[str, list[str]] = {}
    for one in judged:
        table = one.check.table
        if table is not None and one.measured.sample and table not in found:
            known = find_table(session, table)
            found[table] = known.primary_key if known else []
    return found
