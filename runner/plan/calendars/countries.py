"""Reads countries from the holidays library, lazily: its import takes 0.2 s."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache

from headrace.errors.suggestions import closest, did_you_mean

_COUNTRY_HINT = "use a two-letter code (ISO 3166), such as DE, US or JP"


@dataclass(frozen=True, slots=True)
class CountryYear:
    """One year of a country: its public holidays, and all days on which it does not work.

    The second are holidays and weekends, less the weekend days that are worked in exchange
    for a holiday, as in China.
    """

    holidays: frozenset[date]
    off: frozenset[date]


@lru_cache(maxsize=4096)
def country_year(country: str, subdivision: str | None, year: int) -> CountryYear:
    """Return a year's days. Country and subdivision have passed their checks."""
    import holidays

    found = holidays.country_holidays(country, subdiv=subdivision, years=year)
    first = date(year, 1, 1)
    days = [first + timedelta(days=n) for n in range((date(year, 12, 31) - first).days + 1)]
    return CountryYear(
        frozenset(day for day in found if day.year == year),
        frozenset(day for day in days if not found.is_working_day(day)),
    )


def check_country(code: str) -> tuple[str, str] | None:
    """Return what is wrong with a country's code, and a hint; None where it is known."""
    known = _codes_by_name()
    if known.get(code) == code:
        return None
    wanted = code.strip().replace(" ", "").casefold()
    guess = next((known[name] for name in known if name.casefold() == wanted), None)
    if guess is None and len(wanted) > 3:
        name = closest(wanted, [name for name in known if len(name) > 3])
        guess = known[name] if name else None
    return f'unknown country "{code}"', f'did you mean "{guess}"?' if guess else _COUNTRY_HINT


@cache
def _codes_by_name() -> dict[str, str]:
    """Return each country's two letters by themselves, by its other codes and its name."""
    from holidays.registry import COUNTRIES

    codes: dict[str, str] = {}
    for name, two_letters, *others in COUNTRIES.values():
        for key in (two_letters, name, *others):
            codes.setdefault(key, two_letters)
    return codes


def check_subdivision(country: str, name: str) -> tuple[str, str] | None:
    """Return what is wrong with the part of a known country, and a hint; None if it is known."""
    import holidays

    entity = getattr(holidays, country)
    codes: tuple[str, ...] = entity.subdivisions
    if name in codes:
        return None
    message = f'unknown subdivision "{name}" of {country}'
    if not codes:
        return message, "remove it: holidays of subdivisions are not known for this country"
    names = {alias.casefold(): code for alias, code in entity.subdivisions_aliases.items()}
    wanted = name.strip().casefold().removeprefix(f"{country.casefold()}-")
    by_case = {code.casefold(): code for code in codes}
    guess = by_case.get(wanted) or names.get(wanted) or names.get(closest(wanted, names) or "")
    if guess is not None:
        return message, f'did you mean "{guess}"?'
    return message, did_you_mean(name, sorted(codes), listed_as="there are")
