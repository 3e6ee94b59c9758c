"""Takes the rows of files or answers into a table: straight by COPY, or staged first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.copying.column_defaults import default_of, has_default
from headrace.jobs.copying.load_metadata import Metadata
from headrace.jobs.copying.portable_text import dates_year_first
from headrace.jobs.copying.write_mode import WriteMode
from headrace.jobs.files.column_shapes import SCALAR, Shape, shapes_of
from headrace.jobs.files.copy_streams import copy_in, server_version
from headrace.jobs.files.read_ahead import Readable
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.masks import Mask
from headrace.jobs.tables.row_storage import Staged, append_staged, merge_staged, store_staged
from headrace.jobs.tables.sequences import advance_sequences
from headrace.jobs.tables.staging_table import STAGED, make_staging, staged_table
from headrace.jobs.tables.table_catalog import Column, Table, named, writable_table
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


ABSENT = Column("headrace_absent", "text")


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows were read, and what became of them; `by_key` says whether any were updated.

    `duplicates` are rows that gave way to another one of their key, `types` those that were found
    for the columns of a table that was made, `columns` those that any row had.
    """

    read: int
    inserted: int
    updated: int = 0
    duplicates: int = 0
    by_key: bool = False
    types: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    def result(self, table: str) -> dict[str, Any]:
        """Return it as a job's result."""
        types = {"types": dict(self.types)} if self.types else {}
        if not self.by_key:
            return {"row_count": self.inserted, "table": table, **types}
        return {
            "row_count": self.read,
            "inserted": self.inserted,
            "updated": self.updated,
            "duplicates": self.duplicates,
            "table": table,
            **types,
        }


@dataclass(slots=True)
class Intake:
    """Where rows go, and how; `name` is what errors call their source.

    `columns` are all that any source has. Rows are `staged` where the mode wants it, where
    they list what is absent in them, or say where they come from; with `only_stages` always.
    """

    session: "Session"
    target: Table
    name: str
    how: WriteMode
    columns: Sequence[Column]
    lists_absent: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    masks: Mapping[str, Mask] = field(default_factory=dict)
    only_stages: bool = False
    read: int = 0
    written: int = 0
    seen: set[str] = field(default_factory=set)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.staged:
            self.shapes = shapes_of(self.session, self.target.oid)
            return
        extra = [ABSENT] if self.lists_absent else []
        make_staging(self.session, [*self.columns, *self.metadata.columns(self.target), *extra])
        if self.how.by_key:
            statement = packaged_sql("require_keys", staged=STAGED, key=self.key())
            execute(self.session, statement)
        self.metadata.set_constants(self.session)
        self.shapes = shapes_of(self.session, staged_table(self.session).oid)

    @property
    def staged(self) -> bool:
        """Whether the rows wait in a temporary table."""
        return (
            self.only_stages
            or self.how.stages
            or self.lists_absent
            or bool(self.metadata.names)
            or bool(self.masks)
        )

    @property
    def into(self) -> RenderedSql:
        """The table that COPY fills."""
        if not self.staged:
            return self.target.sql
        return RenderedSql(f"pg_temp.{quote_name(STAGED)}", {})

    @property
    def marks_defaults(self) -> bool:
        """Whether COPY itself can put a column's default in."""
        return not self.staged and server_version(self.session) >= 160000

    def shape(self, name: str) -> Shape:
        """Return the shape of a column."""
        return self.shapes.get(name, SCALAR)

    def begin_file(self, name: str, names: Sequence[str]) -> None:
        """Note that rows with columns of these names come now, from a file of this name."""
        self.metadata.set_file(self.session, name)
        if self.lists_absent:
            absent = [str(at) for at, one in enumerate(self.columns) if one.name not in names]
            mark = ",".join(("", *absent, "")) if absent else None
            statement = packaged_sql("set_default", staged=STAGED, column=ABSENT.name, value=mark)
            execute(self.session, statement)

    def copy(self, statement: RenderedSql, records: Readable, name: str) -> int:
        """Copy text of `records`, which knows its lines; returns how many rows were taken.

        Raises:
            JobFailure: a row does not fit, with its line.
        """
        source: Any = records
        with dates_year_first(self.session) as year_first:
            source.refuses_short_years = year_first
            return copy_in(
                self.session, statement, source, name=name, lines=source.lines, ahead=True
            )

    def account(self, name: str, read: int, written: int, seen: Sequence[str]) -> None:
        """Note what has come from one file.

        Raises:
            JobFailure: rows were lost on the way.
        """
        if read != written and (self.staged or not self._drops_rows()):
            raise JobFailure(
                f"{name}: {read} records were read, but PostgreSQL stored {written}: nothing is "
                "saved"
            )
        self.read += read
        self.written += written
        self.seen.update(seen)

    def publish(self) -> Loaded:
        """Bring what has come into the table.

        Raises:
            JobFailure: it does not fit the table, or is not what was expected.
        """
        how, table = self.how, self.target.written
        how.expect.check_rows(self.read, table)
        columns = [column for column in self.columns if self._is_kept(column)]
        if not self.staged:
            self._tell_dropped(self.written)
            advance_sequences(self.session, self.target, [column.name for column in columns])
            return Loaded(self.read, self.written)
        duplicates = self.ready_staged()
        self.metadata.add_columns(self.session, self.target)
        if how.by_key:
            return self._merged(duplicates)
        staged = Staged(self.read, source=self.name)
        if how.mode == "replace":
            store_staged(
                self.session, table, staged, on_schema_change=how.on_schema_change,
                strategy=how.strategy, expect=how.expect, keeps_other_values=False,
            )  # fmt: skip
            return Loaded(self.read, self.read)
        target = writable_table(self.session, table) or self.target
        stored, taken = append_staged(
            self.session, target, staged, on_schema_change=how.on_schema_change
        )
        self._tell_dropped(stored)
        advance_sequences(self.session, self.target, [column.name for column in taken])
        return Loaded(self.read, stored)

    @property
    def filled(self) -> tuple[str, ...]:
        """The table's columns that have got values."""
        kept = [column.name for column in self.columns if self._is_kept(column)]
        return (*kept, *self.metadata.names)

    def ready_staged(self) -> int:
        """Make the staged rows what is to be stored; return how many gave way to others.

        Raises:
            JobFailure: `mask` or `dedup_sort` has a name that no column has.
        """
        columns = [column for column in self.columns if self._is_kept(column)]
        duplicates = self._drop_duplicates() if self.how.by_key else 0
        self._fill_defaults(columns)
        self._drop_columns(columns)
        self._mask(columns)
        return duplicates

    def key(self) -> list[str]:
        """Return the columns by which rows are found.

        Raises:
            JobFailure: there are none.
        """
        return self.how.key_of(self.target, self.columns, self.name)

    # -- inside -----------------------------------------------------------------------

    def _is_kept(self, column: Column) -> bool:
        return column.name in self.seen or not self.seen

    def _tell_dropped(self, stored: int) -> None:
        if stored == self.read:
            return
        if not self._drops_rows():
            raise JobFailure(
                f"{self.name}: {self.read} records were read, but PostgreSQL stored {stored}: "
                "nothing is saved"
            )
        logger.warning(
            "%s: a trigger of %s rejected %d of %s",
            self.name, self.target.written, self.read - stored, number_of(self.read, "row"),
        )  # fmt: skip

    def _fill_defaults(self, columns: Sequence[Column]) -> None:
        filled = [
            {
                "name": column.name,
                "mark": f"%,{at},%",
                "default": RenderedSql(default_of(column, self.target), {}),
            }
            for at, column in enumerate(self.columns)
            if column in columns and has_default(column)
        ]
        if self.lists_absent and filled:
            statement = packaged_sql(
                "fill_defaults", staged=STAGED, absent=ABSENT.name, columns=filled
            )
            execute(self.session, statement)

    def _drop_columns(self, kept: Sequence[Column]) -> None:
        dropped = [column.name for column in self.columns if column not in kept]
        dropped += [ABSENT.name] if self.lists_absent else []
        if dropped:
            execute(self.session, packaged_sql("drop_columns", staged=STAGED, columns=dropped))

    def _mask(self, columns: Sequence[Column]) -> None:
        """Put the masks in place of what has come.

        Raises:
            JobFailure: there is no column of a name that `mask` has.
        """
        steps = []
        for name, mask in self.masks.items():
            (column,) = named(columns, [name], self.name)
            type_ = RenderedSql(column.type, {})
            given = [{"name": column.name, "type": type_, "value": value}
                     for value in mask.in_steps(column)]  # fmt: skip
            steps.append(given)
        for changes in zip_longest(*steps):
            changed = [one for one in changes if one is not None]
            execute(self.session, packaged_sql("mask_staged", staged=STAGED, columns=changed))

    def _drop_duplicates(self) -> int:
        """Leave one row of each key, while the rows still lie in the order of the source."""
        dropped = self.how.drop_duplicates(self.session, self.key(), self.columns, self.name)
        if dropped:
            rows = number_of(dropped, "row")
            logger.info("%s: %s gave way to another one of the same key", self.name, rows)
        return dropped

    def _merged(self, duplicates: int) -> Loaded:
        written = merge_staged(
            self.session,
            self.target.written,
            Staged(self.read - duplicates, source=self.name),
            self.key(),
            delete=False,
            update=self.how.mode == "merge",
            on_schema_change=self.how.on_schema_change,
        )
        return Loaded(self.read, written.inserted, written.updated, duplicates, by_key=True)

    def _drops_rows(self) -> bool:
        statement = packaged_sql("drops_rows", oid=self.target.oid)
        return bool(execute(self.session, statement).scalar())
