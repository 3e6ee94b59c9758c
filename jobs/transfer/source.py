"""Opens what a copy reads, and pours its rows into a table of the target's database."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.others.reading import OtherRows
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.sql.value_errors import said_of
from headrace.jobs.tables.local_settings import set_locally
from headrace.jobs.tables.row_forecast import OpensSessions
from headrace.jobs.tables.staging_table import STAGED_SQL, make_staging, staged_table
from headrace.jobs.tables.table_catalog import (
    Column,
    Table,
    find_table,
    named,
    readable_table,
    unquoted,
)
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.stream import stream
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# What one server writes the other must read as the same, whatever its settings are.
PORTABLE = (
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("xmloption", "content"),
    ("array_nulls", "on"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """What a copy reads of a table: `values`, as the columns of `model`.

    `session` is the source's database's; `local` tells that this is the target's, too.
    `conditions` are met by the rows that are read, beside those of the selection. `read_from` is
    a part of the table, under the table's name, if not all of it is read. `other` are the rows
    where the source is not PostgreSQL; `session` is the target's then.
    """

    table: Table
    model: Table
    values: Mapping[str, RenderedSql]
    selection: Selection
    session: "Session"
    local: bool
    conditions: tuple[RenderedSql, ...] = ()
    read_from: RenderedSql | None = None
    other: OtherRows | None = None

    @property
    def columns(self) -> list[Column]:
        """The columns that are carried over, in the source's types."""
        return list(self.model.columns)

    @property
    def rows_in(self) -> RenderedSql:
        """What a SELECT reads from."""
        return self.read_from or self.table.sql

    @property
    def identity(self) -> str:
        """What tells this source from others of its database; the text of query and `where` do."""
        if self.table.oid:
            name = self.table.sql.display
        else:
            name = f"{self.table.written} {_digest(self.rows_in.display)}"
        where = self.selection.where
        return name if where is None else f"{name} where {_digest(where)}"

    def query(self, names: Sequence[str]) -> RenderedSql:
        """Return the SELECT of these columns."""
        return self.selection.query(self.rows_in, self.values, names, self.conditions)


@contextmanager
def open_source(
    job: OpensSessions,
    target: "Session",
    table: str,
    selection: Selection,
    *,
    source_connection: str | None,
    target_connection: str | None,
) -> Iterator[Source]:
    """Open a table, or a view, for reading.

    Raises:
        JobFailure: the table or a named column is missing, or may not be read.
    """
    if source_connection == target_connection:
        yield opened(target, table, selection, local=True)
        return
    with job.session(source_connection, read_only=True) as session:
        yield opened(session, table, selection, local=False)


def pour(source: Source, session: "Session", into: RenderedSql, columns: Sequence[Column]) -> int:
    """Copy all rows of the source into a table's columns of the same names; return their number.

    Raises:
        JobFailure: a value does not fit, or rows were lost on the way.
    """
    with said_of(f"the query of {source.model.written}"):
        return _poured(source, session, into, columns)


def _poured(
    source: Source, session: "Session", into: RenderedSql, columns: Sequence[Column]
) -> int:
    names = [column.name for column in columns]
    if source.other is not None:
        return source.other.pour(session, into, names)
    if source.local:
        always = any(column.identity == "a" for column in columns)
        statement = packaged_sql(
            "insert_query", table=into, columns=names, query=source.query(names), always=always
        )
        return execute(session, statement).rowcount
    binary = _same_form(source, session, columns)
    sent = packaged_sql("copy_out", query=source.query(names), binary=binary)
    stored = packaged_sql("copy_into", table=into, columns=names, binary=binary)
    name = source.model.written
    logger.info("Copying %s %s", name, "in binary" if binary else "as text")
    if binary:
        read, written = stream(source.session, sent, session, stored, name=name, binary=True)
    else:
        # What follows, casts of texts to dates for example, is done as the target has it.
        with set_locally(source.session, *PORTABLE), set_locally(session, *PORTABLE):
            read, written = stream(source.session, sent, session, stored, name=name)
    if read != written:
        raise JobFailure(f"{name}: {read} rows were read, but {written} arrived")
    return written


def stage(source: Source, session: "Session", into: str) -> int:
    """Copy the source's rows into a temporary table, `STAGED`, of the target's database.

    `into` is the table that the rows are for. Returns the number of rows.

    Raises:
        JobFailure: as `pour`, or the target's database lacks a type.
    """
    make_staging(session, known_types(session, source.model, into))
    return pour(source, session, STAGED_SQL, staged_table(session).columns)


def key_in(model: Table, key: Sequence[str], source: str) -> list[str]:
    """Return the key's columns as the source has them.

    Raises:
        JobFailure: it lacks one.
    """
    try:
        return [column.name for column in named(model.columns, key, "")]
    except JobFailure:
        there = {column.name for column in model.columns}
        missing = next(name for name in key if unquoted(name) not in there)
        raise JobFailure(f"{source} has no key column {missing!r}") from None


def known_types(session: "Session", model: Table, into: str) -> list[Column]:
    """Return the source's columns in types that the target's database has.

    Raises:
        JobFailure: it lacks one, and has no column either that could take its values.
    """
    types = [column.type for column in model.columns]
    rows = execute(session, packaged_sql("types_known", types=types)).mappings()
    unknown = {row["type"] for row in rows if not row["known"]}
    target = find_table(session, into) if unknown else None
    there = {column.name for column in target.columns} if target else set()
    staged = []
    for column in model.columns:
        bare = replace(column, collation=None)
        if column.type not in unknown:
            staged.append(bare)
        elif column.plain and column.name in there:
            staged.append(replace(bare, type=column.plain))
        else:
            raise JobFailure(_lacking(model, column))
    return staged


def opened(session: "Session", table: str, selection: Selection, *, local: bool) -> Source:
    """Return what a session reads of a table; `local`: the session is the target's, too.

    Raises:
        JobFailure: as `open_source`.
    """
    found = readable_table(session, table)
    if found.filtered:
        logger.warning(
            "Row level security applies to %s: the role %s reads only the rows that it may see",
            table,
            found.role,
        )
    model, values = selection.of(found)
    return Source(found, model, values, selection, session, local)


def _same_form(source: Source, session: "Session", columns: Sequence[Column]) -> bool:
    """Return whether both servers have the same binary form for each value."""
    if _encoding(source.session) != _encoding(session):
        return False
    given = {column.name: column for column in source.columns}
    wires = [(given[column.name].wire, column.wire) for column in columns]
    return all(ours is not None and ours == theirs for ours, theirs in wires)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _encoding(session: "Session") -> str | None:
    raw: Any = session.connection().connection.dbapi_connection
    name: str | None = raw.get_parameter_status("server_encoding")
    return name


def _lacking(model: Table, column: Column) -> str:
    word = {"e": "CREATE TYPE … AS ENUM", "d": "CREATE DOMAIN"}.get(column.kind, "CREATE TYPE")
    return (
        f"{model.written}.{column.name} has the type {column.type}, which the target's database "
        f"does not have: make it there ({word}, or CREATE EXTENSION where it comes from one), "
        "or copy from a view that casts the column"
    )
