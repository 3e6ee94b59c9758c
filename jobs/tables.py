"""Stores the rows of a query as a table, all or nothing."""

from typing import Any

from sqlalchemy.orm import Session

from jobs.base import execute, packaged_sql
from runner.errors import InvalidPayload
from runner.template import RenderedSql, quote_identifier

STAGED = "headrace_staged_rows"


def replace_table(session: Session, table: str, query: RenderedSql) -> int:
    """Make `table` hold exactly the query's rows, and return how many they are.

    A table that already has these columns is emptied and refilled, so that its indexes, grants
    and views stay; otherwise it is created anew, its schema too. Readers see the old rows until
    the job commits.
    """
    split_table(table)  # A wrong name is told before the query runs.
    stage_rows(session, query)
    return store_staged(session, table)


def store_staged(session: Session, table: str) -> int:
    """Do the same with the rows that `stage_rows` has put aside."""
    split_table(table)
    lock_name(session, table)
    if _same_columns(session, table):
        _run(session, "empty_table", table=table)
        rows = _run(session, "insert_staged", table=table, staged=STAGED)
    else:
        create_schema(session, table)
        _run(session, "drop_table", table=table, if_exists=True, cascade=False)
        rows = _run(session, "create_from_staged", table=table, staged=STAGED)
    _run(session, "drop_table", table=f"pg_temp.{STAGED}", if_exists=False, cascade=False)
    return rows


def stage_rows(session: Session, query: RenderedSql) -> None:
    """Keep the query's rows in a temporary table, named `STAGED`, until the job ends."""
    _run(session, "drop_table", table=f"pg_temp.{STAGED}", if_exists=True, cascade=False)
    _run(session, "stage_rows", staged=STAGED, query=query)


def split_table(table: str) -> tuple[str | None, str]:
    """Return schema and table of `schema.table`; the schema is None where none is written.

    Raises:
        InvalidPayload: there is more than one dot.
        RefusedSql: it is no name.
    """
    quote_identifier(table)
    schema, dot, name = table.rpartition(".")
    if "." in schema:
        raise InvalidPayload(f"{table!r} has too many dots: write schema.table")
    return (schema if dot else None), name


def create_schema(session: Session, table: str) -> None:
    """Create the schema of `table` where it is missing."""
    schema, _ = split_table(table)
    if schema is None or _scalar(session, "schema_exists", schema=quote_identifier(schema)):
        return
    lock_name(session, schema)
    _run(session, "create_schema", schema=schema)


def lock_name(session: Session, name: str) -> None:
    """Hold off every other job that creates or refills `name`, until this transaction ends."""
    _run(session, "lock_name", name=name)


def table_exists(session: Session, table: str) -> bool:
    """Tell whether there is a table or view of this name."""
    return bool(_scalar(session, "table_exists", table=quote_identifier(table)))


def _same_columns(session: Session, table: str) -> bool:
    return bool(
        _scalar(
            session,
            "same_columns",
            table=quote_identifier(table),
            staged=quote_identifier(STAGED),
        )
    )


def _run(session: Session, template: str, **values: Any) -> int:
    return max(0, execute(session, packaged_sql(template, **values)).rowcount)


def _scalar(session: Session, template: str, **values: Any) -> object:
    return execute(session, packaged_sql(template, **values)).scalar()
