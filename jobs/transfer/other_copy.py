"""Copies between PostgreSQL and another database, or between two others."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from headrace import jobapi
from headrace.errors import InvalidPayload
from headrace.jobapi import OtherDatabase
from headrace.jobs.others.dialect import dialect_of
from headrace.jobs.others.reading import OtherRows, Row
from headrace.jobs.others.texts import texts_of
from headrace.jobs.others.writing import OtherTarget, Written
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.jobs.transfer.merging import Merge
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import OpensSessions, open_source
from headrace.template import RenderedSql


def other_rows(
    database: OtherDatabase, table: str, selection: Selection
) -> tuple[Table, Table, OtherRows]:
    """Return a table, the model of what is copied of it, and its rows.

    Raises:
        JobFailure: the table or a named column is missing, or has a type without a counterpart.
    """
    found = dialect_of(database).readable(database, table)
    whole = found.as_table()
    model, _ = selection.of(whole)
    own = {selection.renamed.get(one.name, one.name): one for one in found.columns}
    for column in model.columns:
        own[column.name].refuse_unknown(table)
    rows = OtherRows(database, table, RenderedSql(found.sql, {}), own, selection.where)
    return whole, model, rows


def refuse_for_others(product: str, *, masked: bool, incremental: bool, same: bool) -> None:
    """Refuse what a copy from or to another database cannot do.

    Raises:
        InvalidPayload: naming the parameter.
    """
    if same:
        raise InvalidPayload(
            f"source and target are the same {product} connection: RunSql with `into` copies"
            " inside one database"
        )
    if masked:
        raise InvalidPayload(f"mask works between two databases of PostgreSQL, not with {product}")
    if incremental:
        raise InvalidPayload(
            f"incremental works between two databases of PostgreSQL, not with {product}: `where`"
            " can name the rows that are new"
        )


def refuse_for_target(product: str, merge: Merge) -> None:
    """Refuse what a target that is not PostgreSQL cannot be given.

    Raises:
        InvalidPayload: naming the parameter.
    """
    for name, given, able in (
        ("merge_strategy", merge.strategy, ("upsert", "insert_only")),
        ("delete_missing", merge.delete_missing, ("none", "hard")),
        ("on_schema_change", merge.on_schema_change, ("fail",)),
    ):
        if given not in able:
            raise InvalidPayload(f"{name}: {given} does not work in {product}: {', '.join(able)}")
    if merge.update_columns is not None:
        raise InvalidPayload(f"update_columns does not work in {product}")


def copy_to_other(
    job: OpensSessions,
    source: tuple[str | None, str],
    target: tuple[str, str],
    selection: Selection,
    key: Sequence[str],
    merge: Merge,
) -> Written:
    """Bring a table of another database to the rows of a source; both as (connection, table).

    Raises:
        JobFailure: a value or a column does not fit.
    """
    with (
        jobapi.current().other(target[0]) as database,
        _opened(job, source, selection) as (columns, rows),
    ):
        return OtherTarget(
            database,
            target[1],
            columns,
            key=key,
            mode="insert_only" if merge.strategy == "insert_only" else "merge",
            deletes=merge.delete_missing == "hard",
            expect=merge.expect,
            source=source[1],
        ).write(rows, create=True)


@contextmanager
def _opened(
    job: OpensSessions, source: tuple[str | None, str], selection: Selection
) -> Iterator[tuple[list[Column], Iterator[Row]]]:
    connection, table = source
    attempt = jobapi.current()
    if attempt.kind_of(connection) != "postgresql":
        with attempt.other(connection or "", read_only=True) as database:
            _, model, other = other_rows(database, table, selection)
            yield list(model.columns), other.read([column.name for column in model.columns])
        return
    with job.session(connection, read_only=True) as session:
        opened = open_source(
            job, session, table, selection,
            source_connection=connection, target_connection=connection,
        )  # fmt: skip
        with opened as found:
            names = [column.name for column in found.columns]
            # Enums and domains are what their values are.
            yield (
                [_plain(one) for one in found.columns],
                texts_of(session, found.query(names), names),
            )


def _plain(column: Column) -> Column:
    return replace(column, type=column.plain) if column.plain else column
