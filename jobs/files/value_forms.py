"""Rewrites values as PostgreSQL reads them: numbers with other marks, dates in another order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.errors import InvalidPayload

# The parts of a format as to_char() has them: what they match, and where they go.
_PARTS = {
    "YYYY": (r"(\d{4})", "year"),
    "YY": (r"(\d{2})", "short year"),
    "MM": (r"(\d{1,2})", "month"),
    "MON": (r"([A-Za-z]{3})", "month"),
    "MONTH": (r"([A-Za-z]{3,9})", "month"),
    "DD": (r"(\d{1,2})", "day"),
    "HH24": (r"(\d{1,2})", "hour"),
    "HH12": (r"(\d{1,2})", "hour"),
    "HH": (r"(\d{1,2})", "hour"),
    "MI": (r"(\d{2})", "minute"),
    "SS": (r"(\d{2})", "second"),
    "MS": (r"(\d{1,3})", "fraction"),
    "US": (r"(\d{1,6})", "fraction"),
    "AM": (r"([AaPp])\.?[Mm]\.?", "half"),
    "PM": (r"([AaPp])\.?[Mm]\.?", "half"),
    "TZH": (r"([+-]\d{2})", "zone"),
    "TZ": (r"([A-Za-z][A-Za-z0-9_/+-]*|[+-]\d{2}(?::?\d{2})?)", "zone"),
}
# What would be lost, or a guess, without the part that it belongs to.
_NEEDS = {"minute": "hour", "second": "minute", "fraction": "second", "half": "hour"}
_WORDS = {"half": "AM or PM", "fraction": "fraction of a second"}
_TOKENS = re.compile("|".join(sorted(_PARTS, key=len, reverse=True)) + r'|"[^"]*"|.', re.DOTALL)
_SPECIAL = r"[Nn][Aa][Nn]|[+-]?[Ii]nf(?:inity)?"


@dataclass(frozen=True, slots=True)
class Rewrite:
    """How a value is rewritten: it has to match, then each step replaces what it finds.

    The patterns mean the same in Python and in RE2, which pyarrow uses. `told` says what is
    expected. `is_date`: also a number is written so, as YYYYDDMM may be.
    """

    pattern: str
    steps: tuple[tuple[str, str], ...]
    told: str
    is_date: bool = False

    def __call__(self, value: str) -> str | None:
        """Return the value rewritten, None where it does not match."""
        if re.search(self.pattern, value) is None:
            return None
        for found, put in self.steps:
            value = re.sub(found, put, value)
        return value


def of_number(decimal: str, thousands: str | None) -> Rewrite:
    """Return the rewriting of numbers with these marks.

    A mark that stands where it cannot be, as in `1.5` where a dot separates thousands, does not
    match.
    """
    point = re.escape(decimal)
    whole = r"\d*"
    steps: list[tuple[str, str]] = []
    if thousands is not None:
        group = re.escape(thousands)
        whole = rf"(?:\d*|\d{{1,3}}(?:{group}\d{{3}})+)"
        steps.append((group, ""))
    if decimal != ".":
        steps.append((point, "."))
    pattern = rf"^\s*(?:[+-]?{whole}(?:{point}\d*)?(?:[eE][+-]?\d+)?|{_SPECIAL})\s*$"
    marks = f"the decimal mark {decimal!r}"
    if thousands is not None:
        marks += f" and {thousands!r} between thousands"
    return Rewrite(pattern, tuple(steps), f"a number with {marks}")


def of_date(form: str) -> Rewrite:
    """Return the rewriting of dates or times in a format such as `DD.MM.YYYY HH24:MI`.

    Raises:
        InvalidPayload: nobody knows a part of it, or it does not say which day is meant.
    """
    pattern, groups = "", list[str]()
    for piece in _TOKENS.findall(form):
        part = _PARTS.get(piece)
        if part is None:
            text = piece[1:-1] if len(piece) > 1 else piece
            if len(piece) == 1 and piece.isalpha() and piece != "T":
                raise InvalidPayload(
                    f"format {form!r}: {piece!r} is no part of a date: use YYYY, MM, DD, HH24, MI, "
                    'SS, …, and put other letters in double quotes, as in YYYY-MM-DD"T"HH24:MI'
                )
            pattern += re.escape(text)
            continue
        if part[1] in groups:
            raise InvalidPayload(f"format {form!r}: the {part[1]} occurs twice")
        pattern += part[0]
        groups.append(part[1])
    steps = ((f"^{pattern}$", _iso(form, groups)),)
    return Rewrite(f"^{pattern}$", steps, f"a date written as {form}", is_date=True)


def _iso(form: str, groups: Sequence[str]) -> str:
    at = {name: f"\\{number}" for number, name in enumerate(groups, 1)}
    if "short year" in at:
        raise InvalidPayload(
            f"format {form!r}: a year of two digits does not say which century: nothing is guessed"
        )
    day = {"year", "month", "day"} & set(at)
    if len(day) not in (0, 3):
        raise InvalidPayload(f"format {form!r}: it needs YYYY, MM and DD, or none of them")
    for part, needed in _NEEDS.items():
        if part in at and needed not in at:
            word = _WORDS.get(part, part)
            raise InvalidPayload(f"format {form!r}: it has the {word} without the {needed}")
    text = f"{at['year']}-{at['month']}-{at['day']}" if day else ""
    if "hour" in at:
        time = f"{at['hour']}:{at.get('minute', '00')}"
        time += f":{at['second']}" if "second" in at else ""
        time += f".{at['fraction']}" if "fraction" in at else ""
        time += f" {at['half']}m" if "half" in at else ""
        text = f"{text} {time}".strip()
    if not text:
        raise InvalidPayload(f"format {form!r}: it has no part of a date or a time")
    # Apart: PostgreSQL reads `10:00 pm-05` as midnight, and `2026-02-03-05` not at all.
    return f"{text} {at['zone']}" if "zone" in at else text
