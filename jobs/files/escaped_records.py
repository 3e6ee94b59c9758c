"""Reads CSV in which an escape character stands before quotes."""

from typing import IO

from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.csv_form import CsvForm

_BLOCK = 1 << 18


class EscapedRecords:
    """The records of an open CSV text in which an escape character stands before quotes.

    Blank lines and comments are left out; all else is passed on as it is: its reader finds quotes
    that are not closed, and counts the rows.
    """

    def __init__(self, file: IO[str], form: CsvForm, lines: Lines, *, one_column: bool) -> None:
        self._file, self._form, self._keeps_blank = file, form, one_column
        self._passed, self._open = 0, False
        self.lines = lines
        self.refuses_short_years = False
        self.rows = 0

    def read(self, _size: int = -1, /) -> str:
        """Return the next lines, and "" behind the last one only."""
        kept: list[str] = []
        size = 0
        for line in self._file:
            if not self._open and self._is_left_out(line):
                self.lines.leave_out(self._passed)
                continue
            self._open ^= self._form.changes_quoting(line)
            self._passed += 1
            kept.append(line)
            size += len(line)
            if size >= _BLOCK:
                break
        return "".join(kept)

    def _is_left_out(self, line: str) -> bool:
        if self._form.comment is not None and line.startswith(self._form.comment):
            return True
        return not self._keeps_blank and not line.strip("\r\n")
