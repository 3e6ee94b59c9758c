"""Loads an open text, CSV or JSON Lines, into a table: what files and answers have in common."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from sqlalchemy.orm import Session

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import logger
from headrace.jobs.copying.declared_columns import SERIAL, refuse_other_types
from headrace.jobs.copying.file_columns import (
    Header,
    declared_fits,
    match_header,
    matching,
    read_header,
)
from headrace.jobs.copying.query_export import refuse_delimiter
from headrace.jobs.copying.row_intake import (
    DEFAULT_MARK,
    Intake,
    Loaded,
    has_default,
    insertable,
)
from headrace.jobs.copying.write_mode import APPEND, WriteMode
from headrace.jobs.files.column_shapes import SCALAR
from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.csv_records import CsvRecords
from headrace.jobs.files.json_records import NULL, Field, JsonRecords, Keys, keys_in
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.statements.previews import ALL_COLUMNS, named_table
from headrace.jobs.tables.staging_table import create_schema, lock_name
from headrace.jobs.tables.table_catalog import Column, Table, unquoted, writable_table
from headrace.jobs.tables.table_creation import add_key
from headrace.template import Preview, RenderedSql


@dataclass(frozen=True, slots=True)
class TableLoad:
    """How rows get into a table. `name` is what errors call their source.

    `columns` are those of the source: names, or names with the types that `create` uses; None
    takes them from the header, or from the table where the records' keys name them. With
    `leave_out` the keys of a record that `columns` does not name are left out, otherwise a key
    without a column is an error.
    """

    name: str
    table: str
    how: WriteMode = APPEND
    create: bool = False
    columns: list[str] | dict[str, str] | None = None
    delimiter: str = ","
    header: bool = True
    null: str = ""
    leave_out: bool = False

    def check(self, *, is_csv: bool) -> None:
        """Refuse what cannot be loaded whatever comes.

        Raises:
            InvalidPayload: naming the parameter.
        """
        refuse_delimiter(self.delimiter)
        if is_csv and not self.header and self.columns is None:
            raise InvalidPayload("a CSV file without a header needs columns")
        if self.columns is not None and not self.columns:
            raise InvalidPayload("columns is empty")

    def csv(self, session: Session, file: IO[str]) -> Loaded:
        """Load CSV from its beginning.

        Raises:
            JobFailure: a row does not fit, with its line.
        """
        given = self._given()
        header = read_header(file, self.name, self.delimiter) if self.header else Header(given)
        if self.columns is not None and self.header:
            declared_fits(header, given, self.name, all_of_them=isinstance(self.columns, list))
        target = self.prepare(session, header.names)
        known = self._with_new(target, header.names)
        columns = match_header(header, known, self.name, self.table)
        intake = self._intake(session, target)
        shapes = intake.shapes(columns, lists_absent=False)
        records = CsvRecords(
            file,
            self.name,
            self.delimiter,
            Lines(header.lines),
            one_column=len(columns) == 1,
            unnamed_last=header.unnamed_last,
            old_mac=header.old_mac,
            dates={at: one.name for at, one in enumerate(columns) if shapes[one.name].is_date},
        )
        names = [column.name for column in columns if shapes[column.name].never_empty]
        options = {"delimiter": self.delimiter, "null": self.null, "never_empty": names}
        return intake.csv(columns, records, options)

    def json_lines(
        self,
        session: Session,
        lines: Iterable[str],
        again: Callable[[], Iterable[str]] | None = None,
    ) -> Loaded:
        """Load JSON Lines.

        `again` gives the lines once more: where the table is to be made, all keys are its columns.

        Raises:
            JobFailure: one does not fit, with its line.
        """
        known = self._columns_of_new_table(session, again)
        target = self.prepare(session, known)
        columns = self._candidates(target, again)
        intake = self._intake(session, target)
        mark = DEFAULT_MARK if intake.marks_defaults else NULL
        staged = self.how.stages or (mark == NULL and any(map(has_default, columns)))
        shapes = intake.shapes(columns, lists_absent=staged)
        fields = [
            Field(
                column.name, shapes.get(column.name, SCALAR), mark if has_default(column) else NULL
            )
            for column in columns
        ]
        leave_out = self.leave_out and self.columns is not None
        keys = Keys(
            self.name,
            [column.name for column in columns],
            self.table,
            leave_out=leave_out or self.how.on_schema_change == "ignore",
        )
        records = JsonRecords(lines, self.name, fields, keys, place=Lines(), lists_absent=staged)
        count = intake.json(columns, records, lists_absent=staged)
        self._refuse_unseen(columns, records)
        if keys.left_out and not leave_out:
            left = ", ".join(keys.left_out)
            logger.warning(
                "%s: left out, since %s has no such column: %s", self.name, self.table, left
            )
        return count

    def prepare(self, session: Session, columns: Sequence[str]) -> Table:
        """Return the table, made of these columns where it is missing and may be.

        Raises:
            JobFailure: it is missing, or its columns have other types than were declared.
        """
        if self.create or self.how.stages:
            lock_name(session, self.table)
        found = writable_table(session, self.table)
        if found is not None:
            self._check_types(session, found)
            return found
        if not self.create:
            raise JobFailure(f"there is no table {self.table}; `create: true` creates it")
        if not columns:
            raise JobFailure(f"{self.name}: {self.table} cannot be created without columns")
        create_schema(session, self.table)
        execute(session, self._create_table(columns))
        made = writable_table(session, self.table)
        assert made is not None, "the table was just created"
        add_key(session, made, model=None, key=self.how.key)
        logger.info("Created the table %s", self.table)
        return made

    def preview(
        self, columns: list[str], connection: str | None, note: str = "", *, is_csv: bool
    ) -> Iterator[Preview]:
        """Yield the statements of a load whose columns are these; `note` tells whence."""
        if self.create:
            where = f"where {self.table} is missing" + (f"; {note}" if note else "")
            yield Preview(self._create_table(columns), connection, where)
        table = named_table(self.table)
        look = packaged_sql("select_names", table=table, columns=columns)
        if columns is ALL_COLUMNS:
            look = packaged_sql("count_rows", table=self.table)
        created = "the step creates its table if it is missing" if self.create else ""
        into = RenderedSql('pg_temp."headrace_staged_rows"', {}) if self.how.stages else table
        options: dict[str, Any] = {"default_mark": None}
        if is_csv:
            options = {"delimiter": self.delimiter, "null": self.null, "never_empty": []}
        copy = packaged_sql(
            "load_csv" if is_csv else "load_jsonl", table=into, columns=columns, **options
        )
        yield Preview(copy, connection, note, look, created)
        yield from self.how.preview(self.table, columns, connection)

    def known_columns(self, *, is_csv: bool) -> list[str] | None:
        """Return the columns as far as they are known before anything is read."""
        if self.columns is None or (is_csv and self.header):
            return None
        return self._given() if isinstance(self.columns, list) or is_csv else None

    def columns_in(self, file: IO[str], *, is_csv: bool) -> list[str]:
        """Return the columns that an open text has.

        Raises:
            JobFailure: they cannot be read.
        """
        if is_csv:
            return read_header(file, self.name, self.delimiter).names
        return keys_in([file.readline()], self.name) or ALL_COLUMNS

    # -- inside -----------------------------------------------------------------------

    def _intake(self, session: Session, target: Table) -> Intake:
        return Intake(session, target, self.name, self.how)

    def _given(self) -> list[str]:
        return [unquoted(name) for name in self.columns or ()]

    def _candidates(self, target: Table, again: Callable[[], Iterable[str]] | None) -> list[Column]:
        """Return the columns that records may have keys for."""
        adds = self.how.takes_new_columns and self.how.on_schema_change != "ignore"
        keys = keys_in(again(), self.name) if adds and again else []
        taken = self._with_new(target, [*keys, *self._given()])
        if self.columns is None or (isinstance(self.columns, dict) and not self.leave_out):
            match_header(Header(self._given()), taken, self.name, self.table)
            return taken
        return match_header(Header(self._given()), taken, self.name, self.table)

    def _with_new(self, target: Table, names: Sequence[str]) -> list[Column]:
        """Return the table's columns, and those of these names that it may be given.

        With other types than the table's where these are declared and may change.
        """
        taken = insertable(target)
        if not self.how.takes_new_columns:
            return taken
        declared = self._declared_types()
        if self.how.takes_other_types:
            taken = [
                Column(one.name, declared[one.name]) if one.name in declared else one
                for one in taken
            ]
        new = dict.fromkeys(name for name in names if matching(name, target.columns) is None)
        return [*taken, *(Column(name, declared.get(name, "text")) for name in new)]

    def _refuse_unseen(self, columns: Sequence[Column], records: JsonRecords) -> None:
        """Refuse declared columns that no record has: the source calls them otherwise by now."""
        if not records.rows or self.columns is None:
            return
        declared = match_header(Header(self._given()), columns, self.name, self.table)
        seen = {columns[at].name for at in records.seen}
        unseen = [column.name for column in declared if column.name not in seen]
        if unseen:
            raise JobFailure(
                f"{self.name}: no record has the column {unseen[0]!r}, which `columns` declares"
            )

    def _columns_of_new_table(
        self, session: Session, again: Callable[[], Iterable[str]] | None
    ) -> list[str]:
        given = self._given()
        exact = isinstance(self.columns, list) or (self.leave_out and bool(given))
        if exact or not self.create or writable_table(session, self.table) is not None:
            return given
        found = keys_in(again(), self.name) if again else []
        return list(dict.fromkeys([*found, *given]))

    def _create_table(self, columns: Sequence[str]) -> RenderedSql:
        types = self._declared_types(serial=True)
        typed = [{"name": name, "type": types.get(name, "text")} for name in columns]
        return packaged_sql("create_table", table=self.table, columns=typed)

    def _declared_types(self, *, serial: bool = False) -> dict[str, str]:
        """Return the types in `columns`, which no other SQL hides in."""
        given = self.columns if isinstance(self.columns, dict) else {}
        types = {
            unquoted(name): packaged_sql("declared_type", type=type_).display
            for name, type_ in given.items()
        }
        return types if serial else {name: SERIAL.get(t.lower(), t) for name, t in types.items()}

    def _check_types(self, session: Session, found: Table) -> None:
        if isinstance(self.columns, dict) and not self.how.takes_other_types:
            refuse_other_types(session, found, self.columns, self.name)
