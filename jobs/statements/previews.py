"""Previews of statements before they run: the parts that several jobs share."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from headrace.errors import RefusedSql
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.statements.user_sql import Source, load_source, rendered_whole
from headrace.jobs.tables.row_replacement import AnyStrategy, insert_statement
from headrace.jobs.tables.staging_table import STAGED, STAGED_SQL
from headrace.jobs.tables.table_catalog import split_table, unquoted
from headrace.jobs.tables.view_storage import View
from headrace.template import Preview, RenderedSql, SqlSource, quote_identifier, quote_name

# Stands for columns that only the catalogue knows, or a file that is not there yet.
ALL_COLUMNS = ["all_columns"]
NEEDS_STAGED = "it reads rows that are staged first"


def of_own_sql(with_: Mapping[str, Any]) -> Iterator[Preview]:
    """Yield the statements of a job's `sql` or `sql_path`, if it has one of them."""
    sql, path = with_.get("sql"), with_.get("sql_path")
    if isinstance(sql, str) or isinstance(path, str):
        yield from of_script(load_source(sql, path), with_.get("params"), with_.get("connection"))


def of_script(
    source: Source, params: dict[str, Any] | None, connection: str | None
) -> list[Preview]:
    """Return the statements of a user's SQL, each with the line on which it begins.

    Raises:
        TemplateError, RefusedSql: as `render_script`.
    """
    whole = rendered_whole(source, params)
    statements = whole.statements()
    if not statements:
        raise RefusedSql(f"{source.name}: contains no statement")
    previews, end = [], 0
    for statement in statements:
        start = whole.marked.index(statement.marked, end)
        end = start + len(statement.marked)
        line = whole.marked.count("\n", 0, start) + 1
        place = SqlSource(source.text, source.path, line)
        previews.append(Preview(statement, connection, source=place))
    return previews


def of_replace(query: Preview, table: str) -> Iterator[Preview]:
    """Yield what `replace_table` does with the rows of a query."""
    staging = packaged_sql("stage_rows", staged=STAGED, query=query.sql)
    yield replace(query, sql=staging, explain=query.explain or query.sql)
    yield from of_store(table, query.connection)


def of_view(query: Preview, view: View) -> Iterator[Preview]:
    """Yield what `store_view` does where it is not there yet."""
    split_table(view.written)
    there = "is refreshed" if view.is_materialized else "stays"
    note = f"if {view.written} exists with the same query, it {there} instead"
    statement = view.create(view.name, replace=not view.is_materialized)
    explain = query.explain or query.sql
    yield Preview(statement, query.connection, note, explain, source=query.source)


def of_store(
    table: str,
    connection: str | None,
    columns: list[str] | None = None,
    strategy: AnyStrategy = "insert_from_staging",
) -> Iterator[Preview]:
    """Yield what `store_staged` does where the table is there and nothing refers to it."""
    split_table(table)
    known = [unquoted(name) for name in columns or ALL_COLUMNS]
    note = f"if {table} exists; otherwise it is created. By key if foreign keys refer to it"
    template = "truncate_only" if strategy == "truncate_and_insert" else "delete_all"
    sql = named_table(table)
    made = "the step creates its table if it is missing"
    yield Preview(packaged_sql(template, table=sql), connection, note, unexplained=made)
    insert = insert_statement(sql, known, always=False)
    yield Preview(insert, connection, unexplained=NEEDS_STAGED)


def of_stage_table(
    table: str,
    columns: list[str] | None,
    source: str | None,
    target: str | None,
    where: str | None = None,
) -> Iterator[Preview]:
    """Yield how a table's rows are put aside in the target's database."""
    note = "" if columns else f"the columns of {table} are read from the catalog"
    known = [unquoted(name) for name in columns or ALL_COLUMNS]
    values = [{"name": name, "value": RenderedSql(quote_name(name), {})} for name in known]
    conditions = [RenderedSql(f"{where}\n", {})] if where is not None else []
    select = packaged_sql(
        "select_values", table=named_table(table), columns=values, conditions=conditions
    )
    # Without the columns' names the table itself can be looked at.
    explain = select if columns else packaged_sql("count_rows", table=table)
    if source == target:
        sql = packaged_sql("stage_rows", staged=STAGED, query=select)
        yield Preview(sql, target, note, explain)
        return
    yield Preview(packaged_sql("copy_out", query=select, binary=False), source, note, explain)
    load = packaged_sql("copy_into", table=STAGED_SQL, columns=known, binary=False)
    yield Preview(load, target, "into a temporary table with the same columns")


def named_table(table: str) -> RenderedSql:
    """Return a table's name as a user writes it, quoted."""
    return RenderedSql(quote_identifier(table), {})
