"""The five fields of a cron expression, read strictly and as Debian's cron reads them.

Croniter accepts more than five fields and several dialects, and its reading of some forms
changed between versions. So the fields are read here, and croniter is given the plain
numbers that they stand for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.errors.suggestions import did_you_mean

NAMED_EXPRESSIONS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

# February with 29: a date that exists in leap years is possible.
_DAYS_IN_MONTH = dict(enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), start=1))
_NUMBER = re.compile(r"[0-9]{1,3}", re.ASCII)
_MONTH_NAMES = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_WEEKDAY_NAMES = {
    name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
}
_LONGEST = 500


class CronError(ValueError):
    """A text is no cron expression. The message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One of the five fields: its name, its smallest and largest number, its names."""

    name: str
    low: int
    high: int
    names: dict[str, int]


_KINDS = (
    _Kind("minute", 0, 59, {}),
    _Kind("hour", 0, 23, {}),
    _Kind("day of month", 1, 31, {}),
    _Kind("month", 1, 12, _MONTH_NAMES),
    _Kind("day of week", 0, 7, _WEEKDAY_NAMES),
)


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of a cron expression, as sets of numbers. Weekday 0 is Sunday.

    `both_days` says how the two day fields combine: where one of them begins with `*`, both
    must match; where both are restricted, either is enough. `follows_real_time` is true of
    expressions whose minute or hour begins with `*`.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    both_days: bool
    follows_real_time: bool

    def plain(self) -> str:
        """Return the expression for croniter: stars and lists of numbers, nothing else."""
        days, weekdays = _listed(self.days, 31), _listed(self.weekdays, 7)
        # Croniter takes any star as "unrestricted" and would require the other field: `1-31`
        # or else Monday is every day, not Mondays only.
        if not self.both_days and "*" in (days, weekdays):
            days = weekdays = "*"
        minutes, hours = _listed(self.minutes, 60), _listed(self.hours, 24)
        return f"{minutes} {hours} {days} {_listed(self.months, 12)} {weekdays}"


def _listed(numbers: frozenset[int], size: int) -> str:
    return "*" if len(numbers) == size else ",".join(map(str, sorted(numbers)))


def parse(expr: str) -> Fields:
    """Return the fields of `expr`. Upper and lower case are the same.

    Raises:
        CronError: `expr` is empty, has not five fields, or can never fire.
    """
    texts = _split(expr)
    minutes, hours, days, months, weekdays = (
        frozenset(_field(kind, text)) for kind, text in zip(_KINDS, texts, strict=True)
    )
    fields = Fields(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        both_days=texts[2].startswith("*") or texts[4].startswith("*"),
        follows_real_time=texts[0].startswith("*") or texts[1].startswith("*"),
    )
    _refuse_impossible_dates(expr, fields)
    return fields


def check_cron(expr: str) -> str | None:
    """Return what is wrong with a cron expression, for the user, or None."""
    try:
        parse(expr)
    except CronError as error:
        return str(error)
    return None


def _split(expr: str) -> list[str]:
    text = expr.strip().lower()
    if not text:
        raise CronError("the cron expression is empty: five fields or a name like @daily")
    if len(text) > _LONGEST:
        raise CronError(f"the cron expression is longer than {_LONGEST} characters")
    if text.startswith("@"):
        return _named(text).split()
    texts = re.split(r"[ \t]+", text)
    if len(texts) != 5:
        extra = ""
        if len(texts) == 6:
            extra = "; seconds and years are not supported"
        raise CronError(
            f'"{expr}" has {len(texts)} field{"s" * (len(texts) > 1)}, not five: '
            f"minute, hour, day of month, month, day of week{extra}"
        )
    return texts


def _named(text: str) -> str:
    if text in NAMED_EXPRESSIONS:
        return NAMED_EXPRESSIONS[text]
    if text.startswith("@every"):
        raise CronError(f'"{text}" is not a cron expression: write interval: instead, as in 15m')
    hint = did_you_mean(text, NAMED_EXPRESSIONS, listed_as="known names")
    raise CronError(f'"{text}" is not a known name for a schedule: {hint}')


def _field(kind: _Kind, text: str) -> Iterator[int]:
    for term in text.split(","):
        yield from _term(kind, term)


def _term(kind: _Kind, term: str) -> range:
    """Return the numbers of one `*`, `n`, `n-m`, `*/step` or `n-m/step`."""
    span, slash, step_text = term.partition("/")
    if span == "*":
        numbers = range(kind.low, min(kind.high, 6 if kind.name == "day of week" else 59) + 1)
    elif "-" in span:
        numbers = _range(kind, span)
    else:
        number = _number(kind, span)
        if slash:
            # Programs disagree on it: from 5 to the end, 5 alone, or an error.
            raise CronError(
                f'{kind.name} "{term}": a step needs a range or a star before it, '
                f"as in {kind.low}-{kind.high}/{step_text or 'n'} or */{step_text or 'n'}"
            )
        return range(number, number + 1)
    if not slash:
        return numbers
    return numbers[:: _step(kind, term, step_text, len(numbers))]


def _step(kind: _Kind, term: str, text: str, largest: int) -> int:
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise CronError(f'{kind.name} "{term}": the step after "/" must be a whole number above 0')
    if int(text) > largest:
        raise CronError(
            f'{kind.name} "{term}": a step of {text} is longer than its range of {largest}; '
            "for other periods use interval:"
        )
    return int(text)


def _range(kind: _Kind, span: str) -> range:
    first_text, _, last_text = span.partition("-")
    first, last = _number(kind, first_text), _number(kind, last_text)
    # A week may end on Sunday: sat-sun is 6-7.
    if kind.name == "day of week" and last_text == "sun" and first > 0:
        last = 7
    if last < first:
        raise CronError(
            f'{kind.name} "{span}" runs backwards: write it as two ranges, '
            f"as in {first_text}-{kind.high},{kind.low}-{last_text}"
        )
    return range(first, last + 1)


def _number(kind: _Kind, text: str) -> int:
    if text in kind.names:
        return kind.names[text]
    if _NUMBER.fullmatch(text):
        number = int(text)
        if kind.low <= number <= kind.high:
            return number
        raise CronError(f"{kind.name} {text} is out of range: {kind.low} to {kind.high}")
    expected = f"a number from {kind.low} to {kind.high}"
    if kind.names:
        expected += f" or a name, {', '.join(kind.names)}"
    raise CronError(f'{kind.name} "{text}" is not understood: {expected}')


def _refuse_impossible_dates(expr: str, fields: Fields) -> None:
    # Where either day field is enough, the weekday alone makes the expression fire.
    if not fields.both_days:
        return
    longest = max(_DAYS_IN_MONTH[month] for month in fields.months)
    if min(fields.days) > longest:
        day = min(fields.days)
        raise CronError(f'"{expr}" never fires: no such month has a day {day}')
