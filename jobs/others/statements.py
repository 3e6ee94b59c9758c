"""Runs a user's SQL in another database."""

from typing import Any

from headrace.errors import JobFailure
from headrace.jobapi import OtherDatabase
from headrace.jobs.others.dialect import STAGED, OtherColumn
from headrace.jobs.others.dialects import dialect_of
from headrace.jobs.others.reading import rows_of_query
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.sql.query_result import outcome
from headrace.jobs.tables.expectations import Expectation
from headrace.template import RenderedSql, quote_name


def run_other(
    database: OtherDatabase, statements: list[RenderedSql], *, keep: int
) -> dict[str, Any]:
    """Run statements in turn and return the last one's outcome, see `query_result.outcome`."""
    result: dict[str, Any] = {}
    for statement in statements:
        result = outcome(database.run(statement), keep)
    return result


def replace_by_query(
    database: OtherDatabase, table: str, query: RenderedSql, expect: Expectation
) -> int:
    """Give a table exactly the rows of a query, making it where it is missing.

    Raises:
        JobFailure: the table lacks a column, or cannot take the rows.
    """
    dialect = dialect_of(database)
    described = rows_of_query(database, query, table).columns
    found = dialect.table(database, table)
    if found is None:
        _make(database, table, list(described.values()))
        found = dialect.readable(database, table)
    dialect.check_writable(database, found)
    there = {column.name.lower() for column in found.columns}
    missing = [name for name in described if name.lower() not in there]
    if missing:
        raise JobFailure(f"{table} has no column {missing[0]!r}, which the query has")
    target = RenderedSql(found.sql, {})
    # Put aside first: the query may read the table that it fills.
    dialect.drop_staged(database)
    database.run(packaged_sql("other_stage_query", staged=STAGED, query=query))
    (counted,) = database.run(packaged_sql("other_count", target=_STAGED_SQL))
    (before,) = database.run(packaged_sql("other_count", target=target))
    count, had = int(counted[0]), int(before[0])
    expect.check_rows(count, table)
    expect.check_deleted(max(0, had - count), had, table)
    database.run(packaged_sql("other_delete_all", target=target))
    database.run(
        packaged_sql("other_insert_staged", target=target, staged=STAGED, columns=list(described))
    )
    dialect.drop_staged(database)
    return count


_STAGED_SQL = RenderedSql(f'"{STAGED}"', {})


def _make(database: OtherDatabase, table: str, columns: list[OtherColumn]) -> None:
    """Make a table for a query's columns, in the database's own types."""
    dialect = dialect_of(database)
    declared = []
    for one in columns:
        # In SQLite a query's columns have none.
        made = database.kind == "sqlite" and dialect.made_as(one.type or "text", in_key=False)
        declared.append(f"{quote_name(one.name)} {made or one.native}")
    body = RenderedSql(", ".join(declared), {})
    database.define(packaged_sql("create_typed", table=table, body=body))
