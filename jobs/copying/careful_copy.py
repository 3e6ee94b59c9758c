"""Copies rows of which some cannot be stored: in small batches, and those rows are set aside."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from headrace.errors import JobFailure
from headrace.jobs.copying.portable_text import dates_year_first
from headrace.jobs.copying.rejected_rows import Rejected, Rejects
from headrace.jobs.copying.row_intake import Intake
from headrace.jobs.files.copy_streams import Misfit, copy_in, refuse_short_year
from headrace.jobs.files.json_records import NULL, escaped
from headrace.jobs.files.kept_values import Kept
from headrace.jobs.files.value_forms import Rewrite
from headrace.jobs.sql.packaged import packaged_sql

_ROWS_COPIED = 1000


@dataclass(frozen=True, slots=True)
class CarefulRow:
    """A row: its line, its text in the file, and as COPY reads it, or why it has none."""

    line: int
    raw: str
    copied: str = ""
    reason: str = ""
    column: str | None = None


@dataclass(frozen=True, slots=True)
class Careful:
    """The columns of rows, and the rows. `seen` are the columns that any of them has."""

    columns: Sequence[str]
    rows: Iterator[CarefulRow]
    default_mark: str | None = None
    seen: Callable[[], Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class CarefulValue:
    """How the values of a column are taken."""

    column: str
    rewrite: Rewrite | None = None
    no_value: tuple[str, ...] = ()
    refuses_short_year: bool = False
    kept: Kept | None = None


def careful_row(
    line: int,
    raw: str,
    values: Sequence[str | None],
    how: Sequence[CarefulValue],
    number: int | None,
) -> CarefulRow:
    """Return a row as COPY reads it, with the number of its line behind if it is given."""
    texts = []
    for value, one in zip(values, how, strict=True):
        if value is None or value in one.no_value:
            texts.append(NULL)
            continue
        put: str | None = value
        if one.rewrite is not None:
            put = one.rewrite(value)
        elif one.refuses_short_year:
            try:
                refuse_short_year(value, "", one.column)
            except JobFailure as error:
                reason = str(error).removeprefix(f": column {one.column}: ")
                return CarefulRow(line, raw, reason=reason, column=one.column)
        if put is None:
            told = one.rewrite.told if one.rewrite else ""
            return CarefulRow(line, raw, reason=f"{value!r} is not {told}", column=one.column)
        lost = one.kept.told(put) if one.kept is not None else None
        if lost is not None:
            return CarefulRow(line, raw, reason=lost, column=one.column)
        texts.append(escaped(put))
    if number is not None:
        texts.append(str(number))
    return CarefulRow(line, raw, "\t".join(texts) + "\n")


@dataclass(slots=True)
class CarefulCopy:
    """Copies the rows of one file; `columns` are those of a row as COPY reads it."""

    intake: Intake
    rejects: Rejects
    name: str
    columns: Sequence[str]
    default_mark: str | None = None
    stored: int = 0

    def run(self, rows: Iterator[CarefulRow]) -> int:
        """Store the rows that can be, and return their number.

        Raises:
            JobFailure: too many cannot, or it is no row that is wrong.
        """
        batch: list[CarefulRow] = []
        with dates_year_first(self.intake.session):
            for row in rows:
                if row.reason:
                    self._reject(row, row.reason, row.column)
                    continue
                batch.append(row)
                if len(batch) == _ROWS_COPIED:
                    self._store(batch)
                    batch = []
            self._store(batch)
        return self.stored

    def _store(self, rows: list[CarefulRow]) -> None:
        while rows:
            try:
                self._copy(rows)
            except Misfit as misfit:
                at = misfit.number - 1
                if not 0 <= at < len(rows):
                    raise
                self._store(rows[:at])
                self._reject(rows[at], misfit.reason, misfit.column)
                rows = rows[at + 1 :]
            else:
                return

    def _copy(self, rows: Sequence[CarefulRow]) -> None:
        session = self.intake.session
        statement = packaged_sql(
            "load_jsonl",
            table=self.intake.into,
            columns=list(self.columns),
            default_mark=self.default_mark,
        )
        with session.begin_nested():
            written = copy_in(session, statement, _Once(rows), name=self.name)
        if written != len(rows) and self.intake.staged:
            raise JobFailure(f"{self.name}: {len(rows)} rows were sent, {written} were stored")
        self.stored += written

    def _reject(self, row: CarefulRow, reason: str, column: str | None) -> None:
        raw = row.raw.rstrip("\r\n")
        self.rejects.add(Rejected(self.name, row.line, column, reason, raw))


class _Once:
    """The rows as one text."""

    def __init__(self, rows: Sequence[CarefulRow]) -> None:
        self._text = "".join(row.copied for row in rows)

    def read(self, _size: int = -1, /) -> str:
        text, self._text = self._text, ""
        return text
