"""Time zones: which exist, and what their clocks do when they are changed."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from headrace.errors.suggestions import closest


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def check_timezone(name: str) -> str | None:
    """Return what is wrong with the name of a time zone, for the user, or None."""
    # Looking at one zone beats listing six hundred; the list also guards the spelling, which
    # some file systems do not.
    if name == "UTC" or name in _known():
        return None
    if not name.strip():
        return "the time zone is empty: an IANA name is expected, as in Europe/Berlin"
    guess = _guess(name)
    hint = f'did you mean "{guess}"?' if guess else "IANA names are expected, as in Europe/Berlin"
    return f'"{name}" is not a known time zone: {hint}'


def _guess(name: str) -> str | None:
    """Return the zone that was probably meant, also by its city alone."""
    folded = name.strip().replace(" ", "_")
    cities = {zone.rpartition("/")[2]: zone for zone in sorted(_known(), reverse=True)}
    by_case = {zone.casefold(): zone for zone in _known()}
    if folded.casefold() in by_case:
        return by_case[folded.casefold()]
    if "/" in folded:
        return closest(folded, sorted(_known()))
    # CEST and its like abbreviate an offset, not a place: any guess would mislead.
    city = closest(folded, cities) if len(folded) > 4 else None
    return cities[city] if city else None


def wall_to_utc(wall: datetime, zone: ZoneInfo, fold: int = 0) -> datetime:
    """Return the instant of a naive wall-clock time; `fold` 1 is its second occurrence."""
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def utc_to_wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return the naive wall-clock time of an instant, with `fold` telling which occurrence."""
    return instant.astimezone(zone).replace(tzinfo=None)


def offset(wall: datetime, zone: ZoneInfo, fold: int) -> timedelta:
    """Return the zone's distance from UTC at a naive wall-clock time."""
    distance = wall.replace(tzinfo=zone, fold=fold).utcoffset()
    assert distance is not None, "a ZoneInfo always knows its offset"
    return distance


def is_missing(wall: datetime, zone: ZoneInfo) -> bool:
    """Return whether clocks skip this naive time: they are put forward over it."""
    return offset(wall, zone, 0) < offset(wall, zone, 1)


def is_repeated(wall: datetime, zone: ZoneInfo) -> bool:
    """Return whether clocks show this naive time twice: they are put back over it."""
    return offset(wall, zone, 0) > offset(wall, zone, 1)


def end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant after the gap that swallows the naive time `wall`, in UTC.

    ZoneInfo does not tell its transitions. Read with the offset from before the gap, `wall`
    lies at or after it; with the one from after the gap, before it. Halving finds it between.
    """
    before, after = wall_to_utc(wall, zone, fold=1), wall_to_utc(wall, zone, fold=0)
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after
