"""Reads CSV in which an escape character stands before quotes."""

import re
from typing import IO

from headrace.errors import JobFailure
from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.csv_form import CsvForm

_BLOCK = 1 << 18


STRAY = (
    "the character that `escape` names stands before another one than a quote, the delimiter and "
    "itself, and would be lost: write it twice where the text has it, or leave `escape` out"
)


def stray_escape(form: CsvForm) -> "re.Pattern[str] | None":
    """Return what finds an escape character that escapes nothing; its reader leaves it out."""
    if form.escape is None:
        return None
    mark = re.escape(form.escape)
    after = re.escape(form.escape + form.quote + form.delimiter)
    return re.compile(rf"(?<!{mark})(?:{mark}{mark})*{mark}(?![{after}\r\n])")


class EscapedRecords:
    """The records of an open CSV text in which an escape character stands before quotes.

    Blank lines and comments are left out; all else is passed on as it is: its reader finds quotes
    that are not closed, and counts the rows.
    """

    def __init__(
        self, file: IO[str], form: CsvForm, lines: Lines, *, one_column: bool, name: str = ""
    ) -> None:
        self._file, self._form, self._keeps_blank = file, form, one_column
        self._name, self._stray = name, stray_escape(form)
        self._passed, self._open = 0, False
        self.lines = lines
        self.refuses_short_years = False
        self.rows = 0

    def read(self, _size: int = -1, /) -> str:
        """Return the next lines, and "" behind the last one only.

        Raises:
            JobFailure: the escape character stands before what it is not for, with the line.
        """
        kept: list[str] = []
        size = 0
        for line in self._file:
            if not self._open and self._is_left_out(line):
                self.lines.leave_out(self._passed)
                continue
            self._open ^= self._form.changes_quoting(line)
            self._passed += 1
            if self._stray is not None and self._stray.search(line):
                raise JobFailure(f"{self._name}:{self.lines.of(self._passed)}: {STRAY}")
            kept.append(line)
            size += len(line)
            if size >= _BLOCK:
                break
        return "".join(kept)

    def _is_left_out(self, line: str) -> bool:
        if self._form.comment is not None and line.startswith(self._form.comment):
            return True
        return not self._keeps_blank and not line.strip("\r\n")
