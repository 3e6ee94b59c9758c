"""Guess which name was meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

from headrace.errors.spelling import OTHERWISE, written_otherwise

# Comparing takes some 10 µs a candidate, and a file may hold thousands of typos.
_MOST_CANDIDATES = 1_000
_LONGEST = 100


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that resembles `name` most, or None. Case does not count."""
    by_folded = {
        candidate.casefold()[:_LONGEST]: candidate
        for candidate in islice(candidates, _MOST_CANDIDATES)
    }
    found = get_close_matches(name.casefold()[:_LONGEST], by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str], *, listed_as: str = "known") -> str:
    """Return a hint: the candidate that was probably meant, else a list of them all.

    `listed_as` introduces the list, as in `known keys: id, job`. Without any candidates the
    hint is empty.
    """
    known = list(dict.fromkeys(candidates))
    for same in known:
        if written_otherwise(name, same):
            return f'"{same}" {OTHERWISE}'
    guess = closest(name, known)
    if guess is not None:
        return f'did you mean "{guess}"?'
    if not known:
        return ""
    shown = ", ".join(known[:20])
    return f"{listed_as}: {shown}" + (", …" if len(known) > 20 else "")
