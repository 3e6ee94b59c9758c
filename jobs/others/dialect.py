"""What each of the other databases calls things: types both ways, columns, and forms of SQL."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from headrace.errors import JobFailure, RefusedSql
from headrace.jobapi import Kind, OtherDatabase
from headrace.jobs.others.pg_types import family_of
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.template import RenderedSql, quote_identifier, quote_name, split_name

STAGED = "headrace_staged_rows"

Text = Callable[[Any], str]
"""Makes PostgreSQL's text of a value that is not NULL."""


@dataclass(frozen=True, slots=True)
class OtherColumn:
    """A column: its type as the database declares it, and PostgreSQL's for its values.

    `type` is None where PostgreSQL has none.
    """

    name: str
    native: str
    type: str | None
    not_null: bool = False
    has_default: bool = False
    in_key: bool = False
    generated: bool = False

    def as_column(self) -> Column:
        """Return it as a column of PostgreSQL."""
        return Column(self.name, self.type or "text", not_null=self.not_null, in_key=self.in_key)

    def refuse_unknown(self, table: str) -> None:
        """Refuse a column that cannot be read.

        Raises:
            JobFailure: its type has no counterpart.
        """
        if self.type is None:
            raise JobFailure(
                f"{table}.{self.name} has the type {self.native}, for which PostgreSQL has none:"
                f" leave it out (select: [-{self.name}]), or read a view that casts it"
            )


@dataclass(frozen=True, slots=True)
class OtherTable:
    """A table or view under the name `written` by a user."""

    written: str
    columns: tuple[OtherColumn, ...]

    @property
    def sql(self) -> str:
        """Its name, quoted."""
        return quote_identifier(self.written)

    def as_table(self) -> Table:
        """Return it as a table of PostgreSQL, which can be read."""
        columns = tuple(column.as_column() for column in self.columns)
        *_, name = split_name(self.written)
        return Table(
            self.written, 0, "", name, "r", "", readable=True, filtered=False, referenced=False,
            sifted=False, heirs=None, comment=None, columns=columns,
        )  # fmt: skip


class Dialect(ABC):
    """One of them."""

    kind: ClassVar[Kind]
    zones_are_lost: ClassVar[bool] = True
    """Whether times with a zone are stored without it, in UTC."""
    differs: ClassVar[str]
    """Whether two values differ, NULL among them; `{0}` and `{1}` stand for them."""
    text_differs: ClassVar[str]
    """The same for texts, whatever a collation says."""
    as_text: ClassVar[str] = "CAST({0} AS CHAR)"
    length: ClassVar[str] = "length({0})"
    """The number of a text's characters."""
    matches: ClassVar[str]
    """Whether a text matches a regular expression."""
    age: ClassVar[str]
    """The seconds since a time, which is in UTC where it has no zone; NULL where it is none."""

    def table(self, database: OtherDatabase, written: str) -> OtherTable | None:
        """Return a table or view, None where there is none.

        Raises:
            RefusedSql: it is no name of a table.
        """
        parts = split_name(written)
        if len(parts) > 2:
            raise RefusedSql(f"{written!r} has too many dots")
        place = parts[0] if len(parts) > 1 else None
        rows = database.run(
            packaged_sql(f"other_columns_{self.kind}", place=place, table=parts[-1])
        )
        columns = tuple(self.column(tuple(row)) for row in rows)
        return OtherTable(written, columns) if columns else None

    def readable(self, database: OtherDatabase, written: str) -> OtherTable:
        """Return a table or view to read.

        Raises:
            JobFailure: there is none.
        """
        found = self.table(database, written)
        if found is None:
            raise JobFailure(f"there is no table {written} in {database.name} ({database.product})")
        return found

    def column(self, row: tuple[Any, ...]) -> OtherColumn:
        """Return a column by its row of `other_columns_….sql.j2`."""
        name, native, not_null, default, key, generated = row
        return OtherColumn(
            name, native, self.read_as(native), bool(not_null), bool(default), bool(key),
            bool(generated),
        )  # fmt: skip

    @abstractmethod
    def read_as(self, native: str) -> str | None:
        """Return PostgreSQL's type for a declared one, None where it has none."""

    @abstractmethod
    def described(self, database: OtherDatabase, query: RenderedSql) -> list[OtherColumn]:
        """Return a query's columns."""

    @abstractmethod
    def made_as(self, type_: str, *, in_key: bool) -> str:
        """Return the type of a column that is made for values of one of PostgreSQL's types.

        Raises:
            JobFailure: there is none for them.
        """

    def selected(self, column: OtherColumn) -> str:
        """Return the SQL that reads a column, for `text_of`."""
        return quote_name(column.name)

    @abstractmethod
    def text_of(self, column: OtherColumn) -> Text:
        """Return what makes PostgreSQL's text of what `selected` reads."""

    def drop_staged(self, database: OtherDatabase) -> None:
        """Drop the temporary table, if it is there."""
        database.run(packaged_sql("drop_table", table=STAGED, if_exists=True, cascade=False))

    def check_writable(self, database: OtherDatabase, table: OtherTable) -> None:  # noqa: B027
        """Refuse a table in which a failed job would leave half of its rows.

        Raises:
            JobFailure: saying what to do.
        """

    def update(
        self, target: str, key: Sequence[str], columns: Sequence[OtherColumn]
    ) -> RenderedSql:
        """Return the statement that updates rows that differ from the staged ones."""
        return packaged_sql(
            "other_update",
            target=RenderedSql(target, {}),
            staged=STAGED,
            key=key,
            columns=[column.name for column in columns],
            differs=RenderedSql(self.any_differs(columns), {}),
        )

    def any_differs(self, columns: Sequence[OtherColumn]) -> str:
        """Return the condition that `t` and `s` differ in one of the columns."""
        conditions = []
        for column in columns:
            form = self.text_differs if family_of(column.type or "") == "text" else self.differs
            name = quote_name(column.name)
            conditions.append(form.format(f"t.{name}", f"s.{name}"))
        return " OR ".join(conditions)
