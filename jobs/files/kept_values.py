"""Tells which texts PostgreSQL takes for a type and stores as other values than they say."""

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from headrace.errors import JobFailure
from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.csv_records import CsvRecords

REMEDY = "give it a type that does, such as text, and convert it in SQL"

_DIGITS_OF_SECOND = 6
_LONGEST_FIELD = 1 << 30

_TYPE = re.compile(
    r"(numeric|date|time|timestamp)(?:\((\d+)(?:,(-?\d+))?\))?( with(?:out)? time zone)?"
)
_NUMBER = re.compile(r"\s*[+-]?(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,5}))?\s*")
_CLOCK = re.compile(r"\d\d?:\d\d(?::\d\d(?:[.,](\d*))?)?")
_MIDNIGHT = re.compile(r"0?0:00(?::00(?:[.,]0*)?)?\s*(?:Z|[+-]00(?::?00)?)?\s*", re.IGNORECASE)
_DAY = re.compile(r"\d[-/.]\d\d?[-/.]\d")
# Behind a clock: nothing that moves it. In UTC a time is kept without its zone.
_STILL = re.compile(
    r"\s*(?:\d{4})?\s*(?:AM|PM)?\s*(?:Z|UTC|GMT|[+-]00(?::?00)*)?\s*(?:BC|AD)?\s*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a column keeps. `candidate` finds each text of which it may keep a part only.

    The pattern means the same in Python and in RE2, which pyarrow uses. `loss` says what is not
    kept, None where all is or the text is no value of the type.
    """

    candidate: str
    loss: Callable[[str], str | None]

    def told(self, value: str, remedy: str = REMEDY) -> str | None:
        """Return what is lost of a value, and what can be done; None where nothing is."""
        lost = self.loss(value) if re.search(self.candidate, value) else None
        return lost and f"{value!r:.80} has {lost}, which the column does not keep: {remedy}"


def kept_by(type_: str) -> Kept | None:
    """Return what a type keeps of texts, None where no value loses anything unnoticed."""
    found = _TYPE.fullmatch(type_)
    if found is None:
        return None
    name, first, second, zone = found.groups()
    if name == "numeric":
        scale = int(second or 0)
        pattern = rf"[.]\d{{{scale}}}\d*[1-9]|\d[.]?[eE]" if scale >= 0 else r"\d"
        return Kept(pattern, partial(_of_number, scale=scale)) if first else None
    if name == "date":
        return Kept(":", _of_date)
    most = _DIGITS_OF_SECOND if first is None else int(first)
    longer = rf":\d\d[.,]\d{{{most}}}\d*[1-9]"
    if zone == " with time zone":
        return Kept(longer, partial(_of_second, most=most))
    before = "-" if name == "time" else r":\d\d.*-"
    return Kept(rf"{longer}|{before}|:\d\d.*[+A-Za-z]", partial(_of_moment, most=most, name=name))


def _of_number(text: str, scale: int) -> str | None:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    digits = (found[1] + (found[2] or "")).rstrip("0")
    whole = len(found[1]) + int(found[3] or 0)
    lost = len(digits) - whole > scale and digits.strip("0")
    return f"more than {scale} digits after the point" if lost else None


def _of_date(text: str) -> str | None:
    clock = _CLOCK.search(text)
    if clock is None or _MIDNIGHT.fullmatch(text, clock.start()):
        return None
    return "a time of day"


def _of_second(text: str, most: int) -> str | None:
    clock = _CLOCK.search(text)
    fraction = (clock[1] or "").rstrip("0") if clock else ""
    return f"more than {most} digits of a second" if len(fraction) > most else None


def _of_moment(text: str, most: int, name: str) -> str | None:
    clock = _CLOCK.search(text)
    if clock is None:
        return None
    if name == "time" and _DAY.search(text):
        return "a day"
    if not _STILL.fullmatch(text, clock.end()):
        return "a time zone other than UTC"
    return _of_second(text, most)


class KeptRecords:
    """CSV text on its way to PostgreSQL, of which a column may keep a part only.

    `kept` has the columns by their position, with their names.
    """

    def __init__(
        self, records: CsvRecords, name: str, delimiter: str, kept: Mapping[int, tuple[str, Kept]]
    ) -> None:
        self._records, self._name, self._delimiter = records, name, delimiter
        self._kept = kept
        self._candidate = re.compile("|".join(sorted({one.candidate for _, one in kept.values()})))
        self._waiting: list[str] = []  # Up to the end of a record.
        self._is_open = self._is_suspect = False
        self._passed = 0

    @property
    def rows(self) -> int:
        """How many records were passed on."""
        return self._records.rows

    @property
    def lines(self) -> Lines:
        """Which lines of the file they are."""
        return self._records.lines

    @property
    def refuses_short_years(self) -> bool:
        """Whether a year of two digits is refused."""
        return self._records.refuses_short_years

    @refuses_short_years.setter
    def refuses_short_years(self, refuses: bool) -> None:
        self._records.refuses_short_years = refuses

    def read(self, size: int = -1, /) -> str:
        """Return the next lines, and "" behind the last one only.

        Raises:
            JobFailure: a column would not keep a value, with its line.
        """
        piece = self._records.read(size)
        self._waiting.append(piece)
        self._is_open ^= piece.count('"') % 2 == 1
        self._is_suspect |= self._candidate.search(piece) is not None
        if not self._is_open:
            if self._is_suspect:
                self._look("".join(self._waiting))
            self._passed += sum(one.count("\n") for one in self._waiting)
            self._waiting, self._is_suspect = [], False
        return piece

    def _look(self, text: str) -> None:
        before = csv.field_size_limit(_LONGEST_FIELD)
        reader = csv.reader(io.StringIO(text), delimiter=self._delimiter)
        begins = 1
        try:
            for record in reader:
                for at, (column, kept) in self._kept.items():
                    told = kept.told(record[at]) if at < len(record) else None
                    if told is not None:
                        line = self.lines.of(self._passed + begins)
                        raise JobFailure(f"{self._name}:{line}: column {column}: {told}")
                begins = reader.line_num + 1
        finally:
            csv.field_size_limit(before)
