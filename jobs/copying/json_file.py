"""Loads JSON: one object a line, or one document that is a list of objects."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.copying.careful_copy import Careful, CarefulRow
from headrace.jobs.copying.column_defaults import has_default
from headrace.jobs.copying.file_columns import Header, match_header
from headrace.jobs.copying.file_reading import Reading
from headrace.jobs.copying.row_intake import ABSENT, Intake
from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.json_records import NULL, Field, JsonRecords, Keys, keys_in
from headrace.jobs.files.kept_values import kept_by
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.table_catalog import Column

DEFAULT_MARK = "\\D"

OpenRecords = Callable[[], AbstractContextManager[Iterable[tuple[int, str]]]]
"""Gives the texts of the records from the first one, each with the line on which it begins."""


class JsonFile:
    """Records of JSON; `name` is what errors call them."""

    names_first = False

    def __init__(self, name: str, opened: OpenRecords, reading: Reading) -> None:
        self.name, self._open, self._reading = name, opened, reading
        self.place = name

    def columns(self) -> list[str]:
        """Return the columns that any record has, by the names that they get."""
        with self._open() as records:
            found = keys_in(records, self.name)
        rules = self._reading.names
        names = rules.columns(found, self.name) if found and not rules.changes_nothing else found
        return [name for name in names if name is not None]

    def records(self) -> Iterator[str]:
        """Yield the text of each record."""
        with self._open() as opened:
            yield from (record for _number, record in opened if record.strip())

    def copy(self, intake: Intake) -> None:
        """Copy the records; a key that one lacks takes its column's default.

        Raises:
            JobFailure: one does not fit, with its line.
        """
        intake.begin_file(self.name, [column.name for column in intake.columns])
        with self._open() as opened:
            records = self._records(intake, opened)
            statement = packaged_sql(
                "load_jsonl",
                table=intake.into,
                columns=self._copied(intake),
                default_mark=DEFAULT_MARK if intake.marks_defaults else None,
            )
            written = intake.copy(statement, records, self.name)
        names = [column.name for column in intake.columns]
        intake.account(self.name, records.rows, written, [names[at] for at in records.seen])
        self._refuse_unseen(intake.columns, records.seen, records.rows, intake.target.written)
        left_out = records.keys.left_out
        if left_out and not self._reading.leave_out:
            logger.warning("%s: these keys were left out: %s", self.name, ", ".join(left_out))

    def careful(self, intake: Intake) -> Careful:
        """Return the records one by one, each as COPY reads it, or why it has no place."""
        records = self._records(intake, ())
        names = [column.name for column in intake.columns]

        def rows() -> Iterator[CarefulRow]:
            with self._open() as opened:
                for number, line in opened:
                    if not line.strip():
                        continue
                    try:
                        yield CarefulRow(number, line, records.row(line, number))
                    except JobFailure as error:
                        reason = str(error).removeprefix(f"{self.name}:{number}: ")
                        yield CarefulRow(number, line, reason=reason)

        return Careful(
            self._copied(intake),
            rows(),
            DEFAULT_MARK if intake.marks_defaults else None,
            lambda: [names[at] for at in records.seen],
        )

    def _copied(self, intake: Intake) -> list[str]:
        extra = ["_line"] if intake.metadata.has_line else []
        extra += [ABSENT.name] if intake.lists_absent else []
        return [*(column.name for column in intake.columns), *extra]

    def _records(self, intake: Intake, opened: Iterable[tuple[int, str]]) -> JsonRecords:
        columns = intake.columns
        mark = DEFAULT_MARK if intake.marks_defaults else NULL
        fields = [
            Field(
                column.name,
                intake.shape(column.name),
                mark if has_default(column) else NULL,
                self._reading.formats.get(column.name),
                kept_by(column.type),
            )
            for column in columns
        ]
        return JsonRecords(
            opened,
            self.name,
            fields,
            self._keys(intake, [column.name for column in columns]),
            place=Lines(),
            lists_absent=intake.lists_absent,
            adds_line=intake.metadata.has_line,
        )

    def _keys(self, intake: Intake, names: Sequence[str]) -> Keys:
        rules = self._reading.names
        return Keys(
            self.name,
            names,
            intake.target.written,
            leave_out=self._reading.leave_out or intake.how.on_schema_change == "ignore",
            rename=None if rules.changes_nothing else rules.column,
        )

    def _refuse_unseen(
        self, columns: Sequence[Column], positions: Set[int], rows: int, table: str
    ) -> None:
        """Refuse declared columns that no record has: the source calls them otherwise by now."""
        declared = self._reading.declared
        if not rows or not declared:
            return
        wanted = match_header(Header(list(declared)), columns, self.name, table)
        seen = {columns[at].name for at in positions}
        unseen = [column.name for column in wanted if column.name not in seen]
        if unseen:
            raise JobFailure(
                f"{self.name}: no record has the column {unseen[0]!r}, which `columns` declares"
            )
