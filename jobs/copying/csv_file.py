"""Loads CSV: as it is, or in columns where its values have to be rewritten or may go in binary."""

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.copying.binary_copy import arrow_types, copy_batches, without_dropped
from headrace.jobs.copying.careful_copy import (
    Careful,
    CarefulRow,
    CarefulValue,
    careful_row,
)
from headrace.jobs.copying.file_columns import Header, declared_fits, match_header, read_header
from headrace.jobs.copying.file_reading import OpenText, Reading
from headrace.jobs.copying.row_intake import Intake
from headrace.jobs.copying.text_frames import TextColumn, TextFrames
from headrace.jobs.files.arrow_csv import Unfit, text_batches, typed_batches
from headrace.jobs.files.careful_csv import careful_records
from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.csv_header import pass_first
from headrace.jobs.files.csv_records import CsvRecords
from headrace.jobs.files.escaped_records import EscapedRecords
from headrace.jobs.files.kept_values import KeptRecords, kept_by
from headrace.jobs.files.value_forms import Rewrite, of_number
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.table_catalog import Column

_NUMBERS = ("smallint", "integer", "bigint", "real", "double precision", "numeric")
Records = CsvRecords | EscapedRecords


class CsvFile:
    """A CSV text; `name` is what errors call it."""

    names_first = True

    def __init__(self, name: str, opened: OpenText, reading: Reading) -> None:
        self.name, self._open, self._reading = name, opened, reading
        self._form = reading.form
        self.place = name
        self._found: list[str] | None = None

    def columns(self) -> list[str]:
        """Return the columns by the names that they get.

        Raises:
            JobFailure: there is no header, or it is not what was declared.
        """
        if not self._form.header:
            return list(self._reading.declared)
        if self._found is None:
            with self._open() as file:
                header = read_header(file, self.name, self._form)
            self.place = f"{self.name}:{header.line}"
            self._found = [name for name in self._named(header) if name is not None]
        return self._found

    def copy(self, intake: Intake) -> None:
        """Copy the rows: in binary if every value allows it, otherwise as text.

        Raises:
            JobFailure: one does not fit, with its line.
        """
        with self._open() as file:
            header = self._header(file)
        fields = self._fields(header, intake)
        taken = [column for column in fields if column is not None]
        intake.begin_file(self.name, [column.name for column in taken])
        copy = _Copy(self.name, self._open, self._reading, intake, fields)
        for way in copy.ways():
            with self._open() as file:
                header = self._header(file)
                counted = way(file, header)
            if counted is not None:
                read, written = counted
                intake.account(self.name, read, written, [column.name for column in taken])
                return

    def careful(self, intake: Intake) -> Careful:
        """Return the rows one by one, each as COPY reads it, or why it has no place.

        Raises:
            JobFailure: the header is wrong.
        """
        with self._open() as file:
            header = self._header(file)
        fields = self._fields(header, intake)
        taken = {at: column for at, column in enumerate(fields) if column is not None}
        copy = _Copy(self.name, self._open, self._reading, intake, fields)
        line = ["_line"] if intake.metadata.has_line else []
        return Careful(
            [*(column.name for column in taken.values()), *line],
            copy.careful(len(header.names) + header.unnamed_last, header.lines),
        )

    def _fields(self, header: Header, intake: Intake) -> list[Column | None]:
        names = self._named(header) if self._form.header else list(header.names)
        kept = Header([name for name in names if name is not None], header.lines, header.line)
        matched = iter(match_header(kept, intake.columns, self.name, intake.target.written))
        return [None if name is None else next(matched) for name in names]

    def _header(self, file: IO[str]) -> Header:
        if self._form.header:
            return read_header(file, self.name, self._form)
        return Header(list(self._reading.declared), pass_first(file, self._form.skip_lines))

    def _named(self, header: Header) -> list[str | None]:
        reading = self._reading
        names = reading.names.columns(header.names, f"{self.name}:{header.line}")
        if reading.declared:
            known = Header([n for n in names if n is not None], header.lines, header.line)
            declared_fits(known, reading.declared, self.name, all_of_them=reading.all_declared)
        return names


class _Copy:
    """One file's way into the table: the quickest that keeps every value."""

    def __init__(
        self,
        name: str,
        opened: OpenText,
        reading: Reading,
        intake: Intake,
        fields: Sequence[Column | None],
    ) -> None:
        self._name, self._open, self._reading, self._intake = name, opened, reading, intake
        self._form, self._fields = reading.form, fields
        self._taken = {at: column for at, column in enumerate(fields) if column is not None}
        self._rewrites = self._rewriting()

    def ways(self) -> list[Any]:
        """Return the ways, the quickest first; the last one raises what is wrong."""
        quick = [self._binary] if self._fits_binary() else []
        return [*quick, self._plain if self._is_plain() else self._frames]

    def _rewriting(self) -> dict[int, Rewrite]:
        form = self._form
        marks = form.decimal != "." or form.thousands is not None
        number = of_number(form.decimal, form.thousands) if marks else None
        found: dict[int, Rewrite] = {}
        for at, column in self._taken.items():
            rewrite = self._reading.formats.get(column.name)
            if rewrite is None and number and column.type.partition("(")[0] in _NUMBERS:
                rewrite = number
            if rewrite is not None:
                found[at] = rewrite
        return found

    def _is_plain(self) -> bool:
        return (
            self._form.is_plain
            and not self._rewrites
            and len(self._taken) == len(self._fields)
            and not self._intake.metadata.has_line
        )

    # -- the ways ---------------------------------------------------------------------

    def _fits_binary(self) -> bool:
        if self._rewrites or len(self._fields) < 2 or self._intake.metadata.has_line:
            return False
        if self._form.escape is not None:
            return False  # Where a record ends is not known before it is parsed.
        return arrow_types(list(self._taken.values())) is not None

    def _binary(self, file: IO[str], header: Header) -> tuple[int, int] | None:
        """Copy in binary; None: a value turned up that does not survive it."""
        types = arrow_types(list(self._taken.values())) or {}
        by_field = {str(at): types[column.name] for at, column in self._taken.items()}
        every = {str(at): None for at in range(len(self._fields))} | by_field
        found = typed_batches(self._checked_records(file, header), every, self._form)
        if len(self._taken) < len(self._fields):
            found = without_dropped(found, {str(at): at for at in self._taken})
        intake = self._intake
        try:
            with intake.session.begin_nested():
                return copy_batches(
                    intake.session, intake.into, list(self._taken.values()), found, self._name
                )
        except (Unfit, JobFailure) as reason:
            logger.debug("%s: read as text: %s", self._name, reason)
            return None

    def _plain(self, file: IO[str], header: Header) -> tuple[int, int]:
        """Let PostgreSQL read the text."""
        records = self._records(file, header)
        kept = {
            at: (column.name, one)
            for at, column in self._taken.items()
            if (one := kept_by(column.type)) is not None
        }
        passed: Records | KeptRecords = records
        if kept and isinstance(records, CsvRecords):
            passed = KeptRecords(records, self._name, self._form.delimiter, kept)
        written = self._intake.copy(self._statement(self._form.null[0]), passed, self._name)
        self._tell_left_out(records)
        return records.rows, written

    def _frames(self, file: IO[str], header: Header) -> tuple[int, int]:
        """Read columns of texts, rewrite them, and let PostgreSQL read the result."""
        records = self._records(file, header)
        names = [str(at) for at in range(len(self._fields))]
        columns = {
            at: TextColumn(
                column.name,
                self._rewrites.get(at),
                self._no_value(column),
                kept_by(column.type),
            )
            for at, column in self._taken.items()
        }
        frames = TextFrames(
            text_batches(records, names, self._form, self._name),
            columns,
            self._name,
            records.lines,
            adds_line=self._intake.metadata.has_line,
        )
        written = self._intake.copy(self._statement(""), frames, self._name)
        self._tell_left_out(records)
        return frames.rows, written

    def careful(self, width: int, lines: int) -> Iterator[CarefulRow]:
        """Yield the records as rows, each by itself."""
        values = [
            CarefulValue(
                column.name,
                self._rewrites.get(at),
                self._no_value(column),
                refuses_short_year=self._intake.shape(column.name).is_date,
                kept=kept_by(column.type),
            )
            for at, column in self._taken.items()
        ]
        with self._open() as file:
            pass_first(file, lines)
            for record in careful_records(file, self._form, width, lines + 1, self._name):
                if record.reason:
                    yield CarefulRow(record.line, record.raw, reason=record.reason)
                    continue
                taken = [record.values[at] for at in self._taken]
                line = record.line if self._intake.metadata.has_line else None
                yield careful_row(record.line, record.raw, taken, values, line)

    def _no_value(self, column: Column) -> tuple[str, ...]:
        return self._form.null if self._intake.shape(column.name).never_empty else ()

    def _records(self, file: IO[str], header: Header) -> Records:
        if self._form.escape is not None:
            one_column = len(self._fields) == 1
            return EscapedRecords(
                file, self._form, Lines(header.lines), one_column=one_column, name=self._name
            )
        return self._checked_records(file, header)

    def _checked_records(self, file: IO[str], header: Header) -> CsvRecords:
        dates = {
            at: column.name
            for at, column in self._taken.items()
            if self._intake.shape(column.name).is_date and at not in self._rewrites
        }
        return CsvRecords(
            file,
            self._name,
            self._form,
            Lines(header.lines),
            one_column=len(self._fields) == 1,
            unnamed_last=header.unnamed_last,
            old_mac=header.old_mac,
            dates=dates,
        )

    def _statement(self, null: str) -> Any:
        names = [column.name for column in self._taken.values()]
        empty = [name for name in names if self._intake.shape(name).never_empty]
        line = ["_line"] if self._intake.metadata.has_line else []
        options: Mapping[str, Any] = {
            "delimiter": self._form.delimiter if self._is_plain() else ",",
            "null": null,
            "never_empty": empty,
        }
        return packaged_sql("load_csv", table=self._intake.into, columns=[*names, *line], **options)

    def _tell_left_out(self, records: Records) -> None:
        if records.lines.left_out:
            logger.info(
                "%s: %d blank lines and comments were skipped", self._name, records.lines.left_out
            )
