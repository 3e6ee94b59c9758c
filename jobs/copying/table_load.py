"""Loads files or answers into a table: what all formats have in common."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import logger
from headrace.jobs.copying.column_defaults import has_default, insertable
from headrace.jobs.copying.declared_columns import (
    SERIAL,
    Columns,
    declared_types,
    formats_of,
    refuse_other_types,
    written_types,
)
from headrace.jobs.copying.file_columns import Header, match_header, matching
from headrace.jobs.copying.file_copy import copy_file
from headrace.jobs.copying.file_reading import DataFile, Reading
from headrace.jobs.copying.load_metadata import NO_METADATA, Metadata
from headrace.jobs.copying.name_rules import EVERY_NAME, NameRules
from headrace.jobs.copying.rejected_rows import Rejects
from headrace.jobs.copying.row_intake import Intake, Loaded
from headrace.jobs.copying.write_mode import WriteMode
from headrace.jobs.files.copy_streams import server_version
from headrace.jobs.files.csv_form import PLAIN, CsvForm
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.statements.previews import ALL_COLUMNS, named_table
from headrace.jobs.tables.masks import Mask
from headrace.jobs.tables.staging_table import create_schema, lock_name
from headrace.jobs.tables.table_catalog import Column, Table, unquoted, writable_table
from headrace.jobs.tables.table_creation import add_key
from headrace.jobs.tables.type_inference import infer_types
from headrace.template import Preview, RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# In a forecast, for a table that the load would create.
STAND_IN = "pg_temp.headrace_new_table"


@dataclass(frozen=True)
class TableLoad:
    """How rows get into a table. `name` is what errors call their source.

    `given` are the columns of the source: names, or names with the types that `create` uses; None
    takes them from the header, or from the table where the records' keys name them. With
    `leave_out` the keys of a record that `given` does not name are left out, otherwise a key
    without a column is an error.
    """

    name: str
    table: str
    how: WriteMode
    create: bool = False
    given: Columns | None = None
    form: CsvForm = PLAIN
    rules: NameRules = EVERY_NAME
    leave_out: bool = False
    sheet: str | int | None = None
    metadata: Metadata = NO_METADATA
    infer_types: bool = False

    def check(self) -> None:
        """Refuse what cannot be loaded whatever comes.

        Raises:
            InvalidPayload: naming the parameter.
        """
        self.form.check()
        if not self.form.header and self.given is None:
            raise InvalidPayload("a file without a header needs columns")
        if not self.form.header and self.rules != EVERY_NAME:
            raise InvalidPayload(
                "select and normalize_names are for names of a header: without one, `columns` "
                "names the fields as the table does"
            )
        if self.given is not None and not self.given:
            raise InvalidPayload("columns is empty")
        if self.infer_types and not self.create:
            raise InvalidPayload("infer_types needs create: true")
        _ = self.reading

    @cached_property
    def reading(self) -> Reading:
        """How the files are read.

        Raises:
            InvalidPayload: nobody knows the format of a date.
        """
        return Reading(
            self.form,
            self.rules,
            tuple(self._names),
            formats_of(self.given),
            all_declared=isinstance(self.given, list),
            leave_out=self.leave_out and self.given is not None,
            sheet=self.sheet,
        )

    def run(
        self,
        session: "Session",
        files: Sequence[DataFile],
        rejects: Rejects | None = None,
        masks: Mapping[str, Mask] | None = None,
    ) -> Loaded:
        """Load the files, all of them or nothing; rows that do not fit go to `rejects`.

        Raises:
            JobFailure: a row does not fit, with its file and line.
        """
        names = self._names_in(session, files)
        missing = self.infer_types and writable_table(session, self.table) is None
        target = self.prepare(session, names)
        columns = self._columns(target, names, files)
        intake = Intake(
            session, target, self.name, self.how, columns,
            lists_absent=self._lists_absent(session, columns, names, files, masked=bool(masks)),
            metadata=self.metadata, masks=masks or {},
        )  # fmt: skip
        if rejects is not None:
            rejects.begin()
        for file in files:
            copy_file(file, intake, rejects)
        if rejects is not None:
            rejects.end(intake.read + rejects.count)
        loaded = replace(intake.publish(), columns=intake.filled)
        if not missing:
            return loaded
        unknown = [column.name for column in columns if column.name not in self._types]
        return replace(loaded, types=infer_types(session, target, unknown))

    def staged(
        self,
        session: "Session",
        target: Table | None,
        files: Sequence[DataFile],
        masks: Mapping[str, Mask],
    ) -> Intake:
        """Only stage the rows of the files; a temporary table takes a missing table's place.

        Raises:
            JobFailure: a row does not fit, with its file and line, or there is no table.
        """
        names = self._names_in(session, files)
        if target is None:
            self._refuse_missing(names)
            execute(session, self._create_table(names, STAND_IN))
            target = writable_table(session, STAND_IN)
            assert target is not None, "the table was just created"
        elif self._types and not self.how.changes_types:
            refuse_other_types(session, target, self._types, self.name)
        columns = self._columns(target, names, files)
        absent = self._lists_absent(session, columns, names, files, masked=bool(masks))
        intake = Intake(
            session, target, self.name, self.how, columns,
            lists_absent=absent, metadata=self.metadata, masks=masks, only_stages=True,
        )  # fmt: skip
        for file in files:
            file.copy(intake)
        return intake

    def prepare(self, session: "Session", columns: Sequence[str]) -> Table:
        """Return the table, made of these columns where it is missing and may be.

        Raises:
            JobFailure: it is missing, or its columns have other types than were declared.
        """
        if self.create or self.how.stages:
            lock_name(session, self.table)
        found = writable_table(session, self.table)
        if found is not None:
            types = self._types
            if types and not self.how.changes_types:
                refuse_other_types(session, found, types, self.name)
            return found
        self._refuse_missing(columns)
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
        staged = self.how.stages or bool(self.metadata.names)
        into = RenderedSql('pg_temp."headrace_staged_rows"', {}) if staged else table
        options: Mapping[str, Any] = {"default_mark": None}
        if is_csv:
            null = self.form.null[0]
            options = {"delimiter": self.form.delimiter, "null": null, "never_empty": []}
        copy = packaged_sql(
            "load_csv" if is_csv else "load_jsonl", table=into, columns=columns, **options
        )
        yield Preview(copy, connection, note, look, created)
        yield from self.how.preview(self.table, columns, connection)

    def known_columns(self, *, names_first: bool) -> list[str] | None:
        """Return the columns as far as they are known before anything is read."""
        if self.given is None or (names_first and self.form.header):
            return None
        return self._names if isinstance(self.given, list) or names_first else None

    def _refuse_missing(self, columns: Sequence[str]) -> None:
        if not self.create:
            raise JobFailure(f"there is no table {self.table}; `create: true` creates it")
        if not columns:
            raise JobFailure(f"{self.name}: {self.table} cannot be created without columns")

    # -- columns ----------------------------------------------------------------------

    @property
    def _names(self) -> list[str]:
        return [unquoted(name) for name in self.given or ()]

    def _names_in(self, session: "Session", files: Sequence[DataFile]) -> list[str]:
        """Return the columns that the files have, as far as they have to be known."""
        given = self._names
        adds = self.how.adds_new_columns and self.how.on_schema_change != "ignore"
        exact = isinstance(self.given, list) or (self.leave_out and bool(given))
        missing = self.create and writable_table(session, self.table) is None
        found: dict[str, None] = {}
        for file in files:
            if file.names_first or adds or (missing and not exact):
                found |= dict.fromkeys(file.columns())
        return list(found | dict.fromkeys(given)) if missing or not found else list(found)

    def _columns(
        self, target: Table, names: Sequence[str], files: Sequence[DataFile]
    ) -> list[Column]:
        known = self._with_new(target, names)
        if all(file.names_first for file in files):
            found = [
                column
                for file in files
                for column in match_header(Header(file.columns()), known, file.place, self.table)
            ]
            return list({column.name: column for column in found}.values())
        if self.given is not None and not (isinstance(self.given, dict) and not self.leave_out):
            return match_header(Header(self._names), known, self.name, self.table)
        match_header(Header(self._names), known, self.name, self.table)
        return known

    def _with_new(self, target: Table, names: Sequence[str]) -> list[Column]:
        """Return the table's columns, and those of these names that it may be given.

        With other types than the table's where these are declared and may change.
        """
        taken = [one for one in insertable(target) if one.name not in self.metadata.names]
        if not self.how.adds_new_columns:
            return taken
        declared = {n: SERIAL.get(t.lower(), t) for n, t in declared_types(self._types).items()}
        if self.how.changes_types:
            taken = [
                Column(one.name, declared[one.name]) if one.name in declared else one
                for one in taken
            ]
        new = dict.fromkeys(name for name in names if matching(name, target.columns) is None)
        return [*taken, *(Column(name, declared.get(name, "text")) for name in new)]

    def _lists_absent(
        self,
        session: "Session",
        columns: Sequence[Column],
        names: Sequence[str],
        files: Sequence[DataFile],
        *,
        masked: bool,
    ) -> bool:
        """Return whether each row has to say which columns it lacks, to get their defaults."""
        stages = self.how.stages or bool(self.metadata.names) or masked
        if not all(file.names_first for file in files):
            return stages or (server_version(session) < 160000 and any(map(has_default, columns)))
        apart = len(files) > 1 and any(set(file.columns()) != set(names) for file in files)
        return stages and apart

    def _create_table(self, columns: Sequence[str], table: str | None = None) -> RenderedSql:
        types = declared_types(self._types)
        typed = [{"name": name, "type": types.get(name, "text")} for name in columns]
        return packaged_sql("create_table", table=table or self.table, columns=typed)

    @property
    def _types(self) -> dict[str, str]:
        return written_types(self.given)
