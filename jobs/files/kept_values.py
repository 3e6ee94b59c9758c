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
_NUMBER = re.compile(r"\s*[+-]?([\d_]*)(?:\.([\d_]*))?(?:[eE]([+-]?\d{1,5}))?\s*")
_COLONS = re.compile(r"(?P<clock>\d\d?:\d\d(?::\d\d(?:[.,](?P<fraction>\d*))?)?)")
_DIGITS = r"(?P<clock>(?:\d{4}|\d{6})(?:[.,](?P<fraction>\d*))?)(?!\d)"
_BEHIND_DAY = re.compile(rf"(?:\d{{4}}-\d\d-\d\d|\d{{8}})(?:\s+T?|T){_DIGITS}", re.IGNORECASE)
_ALONE = re.compile(rf"\s*T?{_DIGITS}", re.IGNORECASE)
# In a pattern that both expression libraries know.
_COMPACT_CLOCK = r"\d[Tt ]+\d{4}"
_DIGIT, _WORD = re.compile(r"\d"), re.compile("[A-Za-z]+")
_UTC = r"(?:Z|zulu|(?:Etc/)?UTC?|GMT|[+-]00(?::?00)*)"
_MIDNIGHT = re.compile(
    r"(?:(?:0?0:00(?::00)?|0000(?:00)?)(?:[.,]0*)?(?:\s*AM)?|12:00(?::00)?(?:[.,]0*)?\s*AM)"
    rf"\s*{_UTC}?\s*",
    re.IGNORECASE,
)
# Behind a clock: nothing that moves it. In UTC a time is kept without its zone.
_STILL = re.compile(
    rf"\s*(?:\d{{4}})?\s*(?:AM|PM)?\s*{_UTC}?\s*(?:\d{{4}})?\s*(?:BC|AD)?\s*", re.IGNORECASE
)
# Before it, for the same reason: parts of a day, and what PostgreSQL passes over.
_STILL_BEFORE = re.compile(
    r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec|sun|mon|tues?|wed|thu(?:rs?)?|fri|sat"
    r"|january|february|march|april|august|september|october|november|december"
    r"|(?:sun|mon|tues|wednes|thurs|fri|satur)day|on|at|[TJ]|Z|UTC?|GMT)",
    re.IGNORECASE,
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
        pattern = rf"[.][\d_]{{{scale}}}[\d_]*[1-9]|\d[.]?[eE]" if scale >= 0 else r"\d"
        return Kept(pattern, partial(_of_number, scale=scale)) if first else None
    if name == "date":
        return Kept(rf":|{_COMPACT_CLOCK}", _of_date)
    most = _DIGITS_OF_SECOND if first is None else int(first)
    longer = rf"\d\d[.,]\d{{{most}}}\d*[1-9]"
    if zone == " with time zone":
        return Kept(longer, partial(_of_second, most=most))
    moved = rf"(?::\d\d|{_COMPACT_CLOCK}).*[+A-Za-z-]|[A-Za-z]{{2}},? +\d"
    if name == "time":
        moved = r"[+/A-Za-z-]|[.]\d+[.]"
    return Kept(f"{longer}|{moved}", partial(_of_moment, most=most, name=name))


def _of_number(text: str, scale: int) -> str | None:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    before, behind, power = found.groups()
    whole = before.replace("_", "")
    digits = (whole + (behind or "").replace("_", "")).rstrip("0")
    lost = len(digits) - len(whole) - int(power or 0) > scale and digits.strip("0")
    return f"more than {scale} digits after the point" if lost else None


def _clock_in(text: str, *, alone: bool = False) -> re.Match[str] | None:
    """Find the clock of a moment; without colons behind a day, or with `alone` as the first."""
    found = _COLONS.search(text) or _BEHIND_DAY.search(text)
    return found or (_ALONE.match(text) if alone else None)


def _of_date(text: str) -> str | None:
    clock = _clock_in(text)
    if clock is None or _MIDNIGHT.fullmatch(text, clock.start("clock")):
        return None
    return "a time of day"


def _of_second(text: str, most: int, *, alone: bool = False) -> str | None:
    clock = _clock_in(text, alone=alone)
    fraction = (clock["fraction"] or "").rstrip("0") if clock else ""
    return f"more than {most} digits of a second" if len(fraction) > most else None


def _of_moment(text: str, most: int, name: str) -> str | None:
    alone = name == "time"
    clock = _clock_in(text, alone=alone)
    if clock is None:
        return None
    before = text[: clock.start("clock")]
    if alone and _DIGIT.search(before):
        return "a day"
    still = all(map(_STILL_BEFORE.fullmatch, _WORD.findall(before)))
    if not (still and _STILL.fullmatch(text, clock.end())):
        return "a time zone other than UTC"
    return _of_second(text, most, alone=alone)


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
