"""Measures what a check speaks of, in the session that it is given."""

from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Any

from headrace.errors import RefusedSql
from headrace.errors.numbers import number_of
from headrace.jobs.checks.bounds import shown
from headrace.jobs.checks.check import ROWS_TOLD, Check, Measured
from headrace.jobs.checks.column_types import differences
from headrace.jobs.checks.comparison import OpenReader, counted_there, rows_there
from headrace.jobs.checks.kinds import KINDS, columns_of, deviation_of
from headrace.jobs.checks.metric_history import earlier_values
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.sql.query_result import outcome_of
from headrace.jobs.statements.user_sql import (
    refuse_other_than_query,
    refuse_outside_transaction,
)
from headrace.jobs.tables.local_settings import set_locally
from headrace.jobs.tables.table_catalog import readable_table, written_column
from headrace.template import RenderedSql, quote_name, split_statements

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_ROUNDED = Decimal(10) ** 20


def measured(
    session: "Session",
    check: Check,
    open_reader: OpenReader,
    connection: str | None,
    kept: int = ROWS_TOLD,
) -> Measured:
    """Measure one check. `kept` is the number of failing rows to return with it.

    Raises:
        JobFailure, RefusedSql: the check cannot be made.
    """
    match check.kind:
        case "schema":
            return _schema(session, check)
        case "compare":
            return _compared(session, check, open_reader)
        case "failed_rows" if "query" in check.given:
            return queried(session, check, RenderedSql(check.given["query"], {}), kept)
        case "failed_rows" | "missing" | "invalid" | "duplicate":
            return _counted(session, check, kept)
        case "freshness":
            row = execute(session, _statement(check)).one()
            return Measured(row.value, f"the newest is {row.newest}" if row.newest else "no rows")
        case "metric":
            return of_metric(check, connection, execute(session, _statement(check)).scalar_one())
        case _:
            return Measured(execute(session, _statement(check)).scalar_one())


def _statement(check: Check) -> RenderedSql:
    statement = KINDS[check.kind].statement
    assert statement is not None, check.kind
    return statement(check)


def _counted(session: "Session", check: Check, kept: int) -> Measured:
    """Count the rows that are as they must not be, and read the first of them."""
    condition = KINDS[check.kind].condition
    if check.kind == "failed_rows":
        assert condition is not None
        counting = packaged_sql("check_condition", rows=check.rows, condition=condition(check))
    else:
        counting = _statement(check)
    row = execute(session, counting).one()
    bad, total = int(row.bad), int(row.total)
    sample: list[dict[str, Any]] = []
    if bad and kept:
        if condition is None:
            columns = [written_column(one) for one in columns_of(check.given)]
            rows = packaged_sql("check_duplicated", rows=check.rows, columns=columns, limit=kept)
        else:
            rows = packaged_sql(
                "check_sample", rows=check.rows, condition=condition(check), limit=kept
            )
        sample = outcome_of(session, rows, keep=kept)["rows"]
    return share_of(check, bad, total, sample)


def share_of(check: Check, bad: int, total: int, sample: list[dict[str, Any]]) -> Measured:
    """Return what was measured where `bad` of `total` rows are as they must not be."""
    value = Decimal(bad)
    if check.in_percent:
        value = round(Decimal(100 * bad) / total, 4) if total else Decimal(0)
    return Measured(value, f"of {total} rows" if check.in_percent else "", bad, tuple(sample))


def queried(session: "Session", check: Check, query: RenderedSql, kept: int) -> Measured:
    """Measure a check by a query whose rows are those that should not be there."""
    if len(split_statements(query.marked)) != 1:
        raise RefusedSql(f"{check.name}: a check must be one query")
    refuse_outside_transaction(query)
    # Its rows are read through a cursor, which PostgreSQL has for queries only.
    refuse_other_than_query(query, check.name)
    found = outcome_of(session, query, keep=kept, stream=True)
    return Measured(found["row_count"], "", found["row_count"], tuple(found["rows"]))


def _schema(session: "Session", check: Check) -> Measured:
    assert check.table is not None
    found = differences(session, readable_table(session, check.table).columns, check.given)
    return Measured(len(found), "; ".join(found))


def _compared(session: "Session", check: Check, open_reader: OpenReader) -> Measured:
    """Compare the rows here with those of another connection, by number or by checksum."""
    given = check.given
    by_checksum = given.get("metric", "count") == "checksum"
    assert check.table is not None
    there = rows_there(check)
    columns = "compared.*"
    if by_checksum and "query" not in given:
        # By name: the other table may have them in another order.
        found = readable_table(session, check.table).columns
        columns = ", ".join(quote_name(column.name) for column in found)
    ours = _sums(session, check.rows, columns, by_checksum=by_checksum)
    if not by_checksum:
        theirs: tuple[int, ...] = (counted_there(check, open_reader),)
    else:
        with open_reader(given["connection"]) as beside:
            theirs = _sums(beside, there, columns, by_checksum=by_checksum)
    detail = f"{ours[0]} rows here, {theirs[0]} on {given['connection']}"
    if by_checksum:
        equal = ours == theirs
        detail += "" if equal or ours[0] != theirs[0] else ", with other values"
        return Measured(0 if equal else 1, detail)
    return Measured(abs(ours[0] - theirs[0]), detail)


def _sums(
    session: "Session", rows: RenderedSql, columns: str, *, by_checksum: bool
) -> tuple[int, ...]:
    if not by_checksum:
        return (int(execute(session, packaged_sql("check_count", rows=rows)).scalar_one()),)
    statement = packaged_sql("check_checksum", rows=rows, columns=RenderedSql(columns, {}))
    # Times are compared as instants, whatever zones the two sessions are in.
    with set_locally(session, ("timezone", "UTC")):
        row = execute(session, statement).one()
    return int(row.row_count), int(row.checksum)


def of_metric(check: Check, connection: str | None, value: Any) -> Measured:
    """Return what was measured where a metric has this value, which earlier runs are held to."""
    wanted = deviation_of(check.given, check.name)
    if wanted is None:
        return Measured(value)
    runs, bound = wanted
    earlier = earlier_values(check, connection, runs)
    if not earlier:
        return Measured(value, "no earlier runs to compare it with")
    base, others = median(earlier), number_of(len(earlier), "earlier run")
    if value is None:
        return Measured(None, f"the median of {others} is {shown(base)}")
    differs = _percent_between(value, base)
    detail = (
        f"differs by {shown(differs)}% from {shown(base)}, the median of {others}; that {bound}"
    )
    return Measured(value, detail, base=base, agrees=bound.holds(differs))


def _percent_between(value: Decimal, base: Decimal) -> Decimal:
    if base == 0:
        return Decimal(0) if value == 0 else Decimal("Infinity")
    differs = abs(value - base) / abs(base) * 100
    # Four places of what is greater, or of no end, are more digits than a decimal is given here.
    return round(differs, 4) if differs.is_finite() and differs < _ROUNDED else differs
