"""Reads tables, their columns and privileges from PostgreSQL's catalog."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import InvalidPayload, JobFailure, RefusedSql
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.template import RenderedSql, quote_identifier, quote_name, split_name

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
    "S": "sequence",
    "i": "index",
    "I": "index",
    "c": "type",
    "t": "TOAST table",
}
# A heading that no quotes, comments or ends of statements hide in.
_LOOSE = re.compile(r"[\w$%#&@!?+*/(),:<>=°€ -]+")
# A constant as pg_get_expr() writes it; the cast behind it is the column's own type.
_CONSTANT = re.compile(r"('(?:[^'\\]|'')*'|-?\d+(?:\.\d+)?|true|false)(?:::[\w .\"\[\](),]+)?")
_READABLE = "rpvmf"
_WRITABLE = "rpvf"


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `type` is as PostgreSQL writes it, names in it qualified.

    `plain` is a type that holds the same values where `type` is not known (of an enum or a
    domain), `kind` is pg_type's letter for it, and two columns of one database with equal
    `identity_of_type` hold the same values in the same way; two of two servers with equal `wire`
    have the same binary form in COPY, None is a form that other servers may read as another value.
    `identity` is `a` (GENERATED
    ALWAYS), `d` (BY DEFAULT) or empty. `in_key` says whether the primary key has it.
    """

    name: str
    type: str
    plain: str | None = None
    kind: str = "b"
    identity_of_type: str = ""
    wire: str | None = None
    collation: str | None = None
    generated: bool = False
    identity: str = ""
    not_null: bool = False
    has_default: bool = False
    default: str | None = None
    comment: str | None = None
    in_key: bool = False

    @property
    def filled_by_itself(self) -> bool:
        """True if a row that has no value for it can be stored."""
        return not self.not_null or self.has_default or self.generated or bool(self.identity)

    @property
    def constant(self) -> str | None:
        """Its default as a literal, where it is a constant."""
        found = _CONSTANT.fullmatch(self.default or "")
        return found[1] if found else None

    @property
    def declared(self) -> str:
        """Name, type and collation as a CREATE TABLE has them."""
        collation = f" COLLATE {self.collation}" if self.collation else ""
        return f"{quote_name(self.name)} {self.type}{collation}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table, view or the like, found under the name `written` by a user.

    `readable` says whether the session's `role` may read it, `filtered` whether row level
    security hides rows from it, `referenced` whether a foreign key of another table points here,
    `sifted` whether a trigger or a rule may keep rows from being written. `heirs` names the tables
    that inherit from it and are no partitions.
    """

    written: str
    oid: int
    schema: str
    name: str
    kind: str
    role: str
    readable: bool
    filtered: bool
    referenced: bool
    sifted: bool
    heirs: str | None
    comment: str | None
    columns: tuple[Column, ...]

    @property
    def sql(self) -> RenderedSql:
        """Its qualified name, quoted."""
        return RenderedSql(f"{quote_name(self.schema)}.{quote_name(self.name)}", {})

    @property
    def what(self) -> str:
        """The word for its kind."""
        return _KINDS.get(self.kind, "table")

    @property
    def primary_key(self) -> list[str]:
        """The names of the primary key's columns."""
        return [column.name for column in self.columns if column.in_key]


def find_table(session: "Session | Connection", table: str) -> Table | None:
    """Return what the catalogue has under a name as a user writes it, None if there is nothing.

    Raises:
        RefusedSql, InvalidPayload: it is no name of a table.
    """
    schema, name = split_table(table)
    statement = packaged_sql("find_table", schema=schema, name=name)
    row = execute(session, statement).mappings().first()
    if row is None:
        return None
    found = execute(session, packaged_sql("table_columns", oid=row["oid"])).mappings()
    return Table(table, **row, columns=tuple(Column(**column) for column in found))


def readable_table(session: "Session", table: str) -> Table:
    """Return a table to read from.

    Raises:
        JobFailure: it is missing, no table, has no columns, or may not be read.
    """
    found = find_table(session, table)
    if found is None:
        raise JobFailure(f"there is no table {table}")
    if found.kind not in _READABLE:
        raise JobFailure(f"{table} is not a table but {with_article(found.what)}")
    if not found.readable:
        raise JobFailure(
            f"the role {found.role} has no right to read {table}: GRANT SELECT ON"
            f" {found.sql.display} TO {quote_name(found.role)}, and USAGE on its schema"
        )
    if not found.columns:
        raise JobFailure(f"{table} has no columns: there is nothing to copy")
    return found


def writable_table(session: "Session", table: str) -> Table | None:
    """Return a table to write to, None where it is missing.

    Raises:
        JobFailure: what has this name cannot be written to.
    """
    found = find_table(session, table)
    if found is not None and found.kind not in _WRITABLE:
        raise JobFailure(f"{table} is {with_article(found.what)}, and rows cannot be written to it")
    return found


def split_table(table: str) -> tuple[str | None, str]:
    """Return schema and table of `schema.table`; the schema is None where none is written.

    Raises:
        InvalidPayload: there is more than one dot.
        RefusedSql: it is no name.
    """
    parts = split_name(table)
    if len(parts) > 2:
        raise InvalidPayload(f"{table!r} has too many dots: write schema.table")
    return (parts[0] if len(parts) > 1 else None), parts[-1]


def named(columns: Sequence[Column], wanted: Iterable[str], table: str) -> list[Column]:
    """Return the columns that a user names: as they are called, or in double quotes as in SQL.

    Raises:
        JobFailure: there is no such column, or it occurs twice.
    """
    by_name = {column.name: column for column in columns}
    found: dict[str, Column] = {}
    for name in wanted:
        exact = name if name in by_name else unquoted(name)
        if exact not in by_name:
            raise JobFailure(f"{table} has no column {name!r}; it has: {', '.join(by_name)}")
        if exact in found:
            raise JobFailure(f"the column {name!r} occurs twice")
        found[exact] = by_name[exact]
    return list(found.values())


def unquoted(name: str) -> str:
    """Return a column's name without the double quotes around it, if it is written with them."""
    if name.startswith('"'):
        try:
            parts = split_name(name)
        except RefusedSql:
            return name
        return parts[0] if len(parts) == 1 else name
    return name


def written_column(name: str) -> RenderedSql:
    """Return a column as a user writes it, for SQL: `Order ID` or `Amount (USD)` as they are.

    `t.region` names the table, too. A name with a dot, a quote or a semicolon in it is written in
    double quotes.

    Raises:
        RefusedSql: it is not.
    """
    try:
        return RenderedSql(quote_identifier(name), {})
    except RefusedSql:
        if "." in name or not _LOOSE.fullmatch(name):
            raise
        return RenderedSql(quote_name(name), {})


def with_article(noun: str) -> str:
    """Return a noun with its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
