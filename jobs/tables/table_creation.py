"""Makes the table for rows where there is none."""

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
    session: "Session", table: str, columns: Sequence[Column], *, model: Table | None = None
) -> Table:
    """Make `table`, its schema too, of these columns; it has no rows and no key yet.

    Of `model`, the table that the rows come from, it takes NOT NULL, defaults that are constants,
    and comments.
    """
    create_schema(session, table)
    of_model = {column.name: column for column in model.columns} if model else {}
    declared = [_declared(column, of_model.get(column.name)) for column in columns]
    body = RenderedSql(", ".join(declared), {})
    execute(session, packaged_sql("create_typed", table=table, body=body))
    made = writable_table(session, table)
    assert made is not None, "the table was just created"
    for comment in _comments(made, of_model, model):
        execute(session, comment)
    return made


def add_key(
    session: "Session", made: Table, *, model: Table | None, key: Sequence[str] | None = None
) -> None:
    """Give a table that was made and filled its primary key: `key`, or else that of `model`.

    Afterwards, because one sort is quicker than as many searches as there are rows.
    """
    if key is None and model is not None:
        key = model.primary_key
    if key:
        execute(session, packaged_sql("add_primary_key", table=made.sql, key=list(key)))


def make_of_staged(
    session: "Session",
    table: str,
    rows: int,
    *,
    model: Table | None = None,
    key: Sequence[str] | None = None,
) -> Table:
    """Make `table` as `make_table` and `add_key` do, and move the staged rows there."""
    made = make_table(session, table, staged_table(session).columns, model=model)
    names = [column.name for column in made.columns]
    stored = execute(session, insert_statement(made.sql, names, always=False)).rowcount
    if stored != rows:
        raise JobFailure(f"{table} took {stored} of {rows} rows")
    add_key(session, made, model=model, key=key)
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
