r"""Reads CSV as COPY wants it, counts its records, and refuses what COPY would misread.

COPY takes a quote anywhere for the beginning or the end of a quoted part, so `"he said \"hi\""`
loses characters and `5" pipe` swallows lines. Before PostgreSQL 18 a line `\.` is the end for it.
"""

import csv
import io
import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import IO, NoReturn

from headrace.errors import JobFailure
from headrace.jobs.files.copy_streams import Lines, refuse_short_year
from headrace.jobs.files.csv_form import CsvForm

_BLOCK = 1 << 18
_RECORDS_BLOCK = 1 << 21
# A quote that is never closed makes one record of all that follows.
_LONGEST_RECORD = 1 << 26
_LONGEST_LINE = 1 << 28  # PostgreSQL takes less than 1 GB in a field.
_LOOKED_AT = 1000
_BLANK_LINE = re.compile("\n\n")  # Three times as fast as `in`.


class CsvRecords:
    """The records of an open CSV text, for the driver to read; a header has been read before.

    `rows` counts what was passed on. A blank line is a record only where there is one column;
    otherwise it is left out and counted in `lines`. With `unnamed_last` the last field of each
    record has no column: it is empty and left out. `dates` are the columns that have a day, by
    their position. A comment is left out like a blank line.
    """

    def __init__(
        self,
        file: IO[str],
        name: str,
        form: CsvForm,
        lines: Lines,
        *,
        one_column: bool,
        unnamed_last: bool = False,
        old_mac: bool = False,
        dates: Mapping[int, str] | None = None,
    ) -> None:
        self._file, self._name = file, name
        self._delimiter, self._quote, self._comment = form.delimiter, form.quote, form.comment
        self._commented = f"\n{form.comment}" if form.comment else None
        self._keeps_blank = one_column
        self._unnamed_last = unnamed_last
        self._old_mac = old_mac  # Lines end with a carriage return alone.
        self._dates = dates or {}
        self.refuses_short_years = False
        self._ends = (form.delimiter, "\n", "\r")
        self.lines = lines
        self.rows = 0
        self._line = lines.before + 1  # On which the next block begins.
        self._passed = 0  # Lines that the server has got.
        self._open = 0  # The line of a quote that is still open; 0: none is.

    def read(self, _size: int = -1, /) -> str:
        """Return the next lines, and "" behind the last one only."""
        while block := self._block():
            if self._dates and self.refuses_short_years and not self._passed:
                self._look_at_dates(block)
            if self._is_clean(block):
                lines = block.count("\n")
                self.rows += lines + (block[-1] != "\n")
                self._line += lines
                self._passed += lines
                return block
            passed = self._checked(block)
            if not self._passed and self._quote in passed:
                self.lines.first_breaks = breaks_in_first(passed, self._quote)
            self._line += block.count("\r" if self._old_mac else "\n")
            self._passed += passed.count("\n")
            if passed:
                return passed
        self._refuse_open()
        return ""

    def read_records(self) -> str | None:
        """Return the next records, whole, for a reader that passes over blank lines; "" at the end.

        Their lines are not counted: errors have wrong numbers. None: there is an endless one.
        """
        found: list[str] = []
        size = 0
        while block := self._block(_RECORDS_BLOCK):
            plain = block.replace("\r\n", "\n") if "\r" in block else block
            if not (self._may_be_odd or self._open or self._quote in plain or "\r" in plain):
                return plain
            found.append(self._checked(block))
            size += len(block)
            if not self._open:
                if passed := "".join(found):
                    return passed
            elif size > _LONGEST_RECORD:
                return None
        self._refuse_open()
        return "".join(found)

    def _refuse_open(self) -> None:
        if self._open:
            raise JobFailure(
                f"{self._name}:{self._open}: a quoted field begins here and is never closed"
            )

    def _look_at_dates(self, block: str) -> None:
        """Look at the first records: how a file writes its dates it does from the beginning."""
        reader = csv.reader(io.StringIO(block, newline=""), delimiter=self._delimiter)
        with suppress(csv.Error):
            for record in islice(reader, _LOOKED_AT):
                for at, column in self._dates.items():
                    place = f"{self._name}:{self._line + reader.line_num - 1}"
                    refuse_short_year(record[at] if at < len(record) else "", place, column)

    def _block(self, size: int = _BLOCK) -> str:
        block = self._file.read(size)
        if block and block[-1] != "\n":
            rest = self._file.readline(_LONGEST_LINE)
            if len(rest) == _LONGEST_LINE:
                raise JobFailure(f"{self._name}:{self._line}: a line has over 256 M characters")
            block += rest
        return block

    @property
    def _may_be_odd(self) -> bool:
        return self._unnamed_last or self._comment is not None

    def _is_clean(self, block: str) -> bool:
        return not (self._open or self._unnamed_last or self._quote in block or self._is_odd(block))

    def _checked(self, block: str) -> str:
        parts = block.split(self._quote)
        first = 1 if self._open else 0  # Every other part from here on is outside quotes.
        self._check_quotes(parts, first)
        if "\r" in block:
            self._make_ends_alike(parts, first)
        begins = parts[0] if first == 0 else ""
        if (
            self._unnamed_last
            or self._is_odd(begins)
            or any(map(self._is_odd_part, set(parts[first::2])))
        ):
            self._mend(parts, first)
        passed = self._quote.join(parts)
        inside = (len(parts) - first) % 2 == 0
        unended = bool(passed) and not inside and passed[-1] != "\n"
        self.rows += "".join(parts[first::2]).count("\n") + unended
        if not inside:
            self._open = 0
        elif len(parts) > 1 or not self._open:
            self._open = self._line + self._quote.join(parts[:-1]).count("\n")
        return passed

    def _is_odd(self, block: str) -> bool:
        """Return whether a text that begins with a line may hold what has to be mended."""
        first = block[:1]
        return (
            (first == "\n" and not self._keeps_blank)
            or (self._comment is not None and first == self._comment)
            or self._is_odd_part(block)
        )

    def _is_odd_part(self, part: str) -> bool:
        return (
            "\r" in part
            # One character is found much faster than two.
            or ("\\" in part and "\\." in part)
            or (not self._keeps_blank and _BLANK_LINE.search(part) is not None)
            or (self._commented is not None and self._commented in part)
        )

    # -- quotes -----------------------------------------------------------------------

    def _check_quotes(self, parts: list[str], first: int) -> None:
        """Refuse a quote that neither begins nor ends a field.

        Every other one of `parts` is outside quotes, from `first` on; an empty one of them between
        two quotes is a quote that is written twice.
        """
        last = len(parts) - 1
        ends = self._ends
        between = set(parts[first or 2 : last : 2])
        if any(part and (part[0] not in ends or part[-1] not in ends) for part in between):
            self._refuse_quote(parts, first)
        if first == 0 and last > 0 and parts[0] and parts[0][-1] not in ends:
            self._refuse_quote(parts, first)
        if (last - first) % 2 == 0 and last > 0 and parts[last] and parts[last][0] not in ends:
            self._refuse_quote(parts, first)

    def _refuse_quote(self, parts: list[str], first: int) -> NoReturn:
        line, last, ends = self._line, len(parts) - 1, self._ends
        for index, part in enumerate(parts):
            outside = (index - first) % 2 == 0 and part
            if outside and index > 0 and part[0] not in ends:
                break
            line += part.count("\n")
            if outside and index < last and part[-1] not in ends:
                break
        raise JobFailure(
            f"{self._name}:{line}: a quote is inside a field. A field that holds quotes is "
            'quoted itself, and each quote in it is written twice: "5"" pipe". A backslash before '
            "it helps only with `escape`, nor may a blank stand beside the outer ones"
        )

    # -- mending ----------------------------------------------------------------------

    def _make_ends_alike(self, parts: list[str], first: int) -> None:
        for index in range(first, len(parts), 2):
            if "\r" not in parts[index]:
                continue
            part = parts[index].replace("\r\n", "\n")
            if "\r" in part and not self._old_mac:
                before = self._quote.join([*parts[:index], part[: part.index("\r")]])
                raise JobFailure(
                    f"{self._name}:{self._line + before.count(chr(10))}: there is a carriage return"
                    " in the line: write the field in quotes, or use the same line end everywhere"
                )
            parts[index] = part.replace("\r", "\n")

    def _mend(self, parts: list[str], first: int) -> None:
        """Leave blank lines out, and quote what looks like an end mark."""
        line, passed, last = self._line, self._passed, len(parts) - 1
        for index, part in enumerate(parts):
            if (index - first) % 2 == 0:
                begins, ends = index == 0, index == last
                parts[index] = self._mended(part, line, passed, begins=begins, ends=ends)
            line += part.count("\n")
            passed += parts[index].count("\n")

    def _mended(self, text: str, line: int, passed: int, *, begins: bool, ends: bool) -> str:
        """Return a text outside quotes, mended; it `begins` or `ends` with a block or in a line."""
        kept: list[str] = []
        lines = text.split("\n")
        for number, one in enumerate(lines):
            whole = (number > 0 or begins) and (number < len(lines) - 1 or ends)
            ended = number < len(lines) - 1
            if whole and (
                (not one and ended and not self._keeps_blank)
                or (self._comment is not None and one.startswith(self._comment))
            ):
                self.lines.leave_out(passed + len(kept))
                continue
            if self._unnamed_last and (ended or (ends and one)):
                if not one.endswith(self._delimiter):
                    raise JobFailure(
                        f"{self._name}:{line + number}: there is a value in the last column, "
                        "which has no name in the header"
                    )
                one = one[: -len(self._delimiter)]  # noqa: PLW2901 - the same line, shortened
            kept.append('"\\."' if whole and one == "\\." else one)
        return "\n".join(kept)


def breaks_in_first(text: str, quote: str) -> int:
    """Return how many line ends there are inside the first record of a text."""
    breaks = 0
    for at, part in enumerate(text.split(quote)):
        if at % 2:
            breaks += part.count("\n")
        elif "\n" in part:
            break
    return breaks
