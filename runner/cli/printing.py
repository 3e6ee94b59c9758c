"""Prints aligned columns for people and JSON for programs."""

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from headrace.cli.outlet import encodes_everything
from headrace.errors import InvalidParams
from headrace.errors.shortened import shortened
from headrace.model import exact_json
from headrace.model.moments import instant_of
from headrace.observe.terminal_text import visible

Row = Mapping[str, Any]

# A run's stored plan repeats its jobs' rows.
_INTERNAL = frozenset({"plan"})
_NEVER_CUT = 40


def print_json(value: Any) -> None:
    """Print a value as JSON, for a program or for `jq`."""
    ascii_only = not encodes_everything()
    print(visible(exact_json.dumps(value, default=plain, ensure_ascii=ascii_only, indent=2)))


def print_items(rows: Iterable[Row]) -> None:
    """Print a listing as JSON."""
    print_json({"items": [public(row) for row in rows]})


def public(row: Row) -> dict[str, Any]:
    """Return a row as the outside sees it."""
    return {name: value for name, value in row.items() if name not in _INTERNAL}


def plain(value: Any) -> Any:
    """Return what JSON has no form for as text; times in ISO 8601."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def table(rows: Sequence[Sequence[Any]], headings: Sequence[str]) -> list[str]:
    """Return the lines of a table. In a terminal the last column gives way to its width."""
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *texts, strict=True)]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return [_line(line, widths, width) for line in (headings, *texts)]


def print_table(rows: Sequence[Sequence[Any]], headings: Sequence[str], nothing: str) -> None:
    """Print a table, or say that there is nothing."""
    print("\n".join(table(rows, headings)) if rows else nothing)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return clock(value)
    return visible(" ".join(str(value).split()))


def _line(cells: Sequence[str], widths: Sequence[int], width: int | None) -> str:
    padded = [cell.ljust(size) for cell, size in zip(cells, widths, strict=True)]
    line = "  ".join(padded).rstrip()
    if width is not None and len(line) > width > _NEVER_CUT:
        return shortened(line, width)
    return line


def clock(moment: datetime | None) -> str:
    """Return a time on this machine's clock, to the second."""
    if moment is None:
        return "-"
    try:
        return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError):  # Within a day of the calendar's edges.
        return f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def span(seconds: float) -> str:
    """Return a length of time in its largest two units: `0.42 s`, `3m 05s`, `2d 04h`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 59.5:  # From there on it is a minute.
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02}h"


def until(moment: datetime, now: datetime) -> str:
    """Return how far off a moment is: `in 3m 05s`."""
    return f"in {span(max(0.0, (moment - now).total_seconds()))}"


def elapsed(row: Row) -> str:
    """Return how long a run or an attempt took, or has taken up to now."""
    # A step that runs a pipeline takes as long as its run: its own job only waits.
    of = "child_" if row.get("child_started_at") is not None else ""
    started = row.get(f"{of}started_at")
    if started is None:
        return "-"
    ended = row.get(f"{of}finished_at") or row.get("finished_at") or datetime.now(UTC)
    return span(max(0.0, (ended - started).total_seconds()))


def zoned(at: datetime, zone: str) -> str:
    """Return a time on the clock of a zone, which is named, to the second."""
    there = at.astimezone(ZoneInfo(zone))
    text = there.isoformat(" ", "seconds")
    return f"{text[:19]} UTC" if zone == "UTC" else f"{text[:19]} {text[19:]} {zone}"


def moment(text: str | None, name: str, zone: str) -> datetime:
    """Return the moment that an option names, now without one; see `headrace.model.moments`.

    Raises:
        InvalidParams: The text is no date or time.
    """
    if text is None:
        return datetime.now(UTC)
    return instant_of(name, text, zone)


def params_of(pairs: Sequence[str]) -> dict[str, str]:
    """Return the parameters of `-p name=value`; their types come from the pipeline.

    Raises:
        InvalidParams: One of them has no `=`.
    """
    params = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise InvalidParams(f'-p takes NAME=VALUE, not "{pair}"')
        params[name] = value
    return params


def plain_bytes(count: float) -> str:
    """Return a number of bytes for people: `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
