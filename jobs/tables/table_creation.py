"""Makes the table for staged rows where there is none."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.row_replacement import insert_statement
from headrace.jobs.tables.staging_table import create_schema, staged_table
from headrace.jobs.tables.table_catalog import Column, Table, writable_table
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def make_table(
    session: "Session",
    table: str,
    rows: int,
    *,
    model: Table | None = None,
    key: Sequence[str] | None = None,
) -> Table:
    """Make `table`, its schema too, of the staged rows, and move them there.

    Of `model`, the table that they come from, it takes NOT NULL, defaults that are constants,
    comments and the primary key; `key` is the primary key in its place.
    """
    create_schema(session, table)
    of_model = {column.name: column for column in model.columns} if model else {}
    columns = staged_table(session).columns
    names = [column.name for column in columns]
    declared = [_declared(column, of_model.get(column.name)) for column in columns]
    if key is None and model is not None and set(model.primary_key) <= set(names):
        key = model.primary_key
    if key:
        declared.append(f"PRIMARY KEY ({', '.join(quote_name(name) for name in key)})")
    body = RenderedSql(", ".join(declared), {})
    execute(session, packaged_sql("create_typed", table=table, body=body))
    made = writable_table(session, table)
    assert made is not None, "the table was just created"
    stored = execute(session, insert_statement(made.sql, names, always=False)).rowcount
    if stored != rows:
        raise JobFailure(f"{table} took {stored} of {rows} rows")
    for comment in _comments(made, of_model, model):
        execute(session, comment)
    return made


def _declared(column: Column, model: Column | None) -> str:
    if model is None:
        return column.declared
    default = model.constant
    return (
        column.declared
        + (" NOT NULL" if model.not_null else "")
        + (f" DEFAULT {default}" if default else "")
    )


def _comments(
    made: Table, of_model: dict[str, Column], model: Table | None
) -> Iterator[RenderedSql]:
    if model is not None and model.comment:
        yield packaged_sql("comment", what=_sql("TABLE"), name=made.sql, comment=model.comment)
    for column in made.columns:
        comment = of_model[column.name].comment if column.name in of_model else None
        if comment:
            name = _sql(f"{made.sql.display}.{quote_name(column.name)}")
            yield packaged_sql("comment", what=_sql("COLUMN"), name=name, comment=comment)


def _sql(text: str) -> RenderedSql:
    return RenderedSql(text, {})
