"""Check data against the JSON Schemas of `schema/` and word what is wrong for people.

The schemas carry three keywords of our own, which editors ignore or show:
`x-code` (the problem's code where a value does not match), `patternErrorMessage` (what the
value has to look like) and `writeOnly` (a secret: its value is never quoted).
"""

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

from headrace.declarations.schemas.files import inlined, schema
from headrace.declarations.schemas.finding_text import Departure
from headrace.declarations.schemas.quick_check import Fits, quick_check
from headrace.declarations.source import Document
from headrace.errors import Problem

__all__ = ["Departure", "check", "departures", "fits", "inlined", "schema"]

MOST = 200


def check(document: Document, name: str) -> list[Problem]:
    """Return how the document departs from the schema, each at its place: at most 200."""
    return [
        Problem(document.file, *document.at(path, key=of_key), code, message, hint)
        for path, code, message, hint, of_key in islice(departures(document.data, name), MOST)
    ]


def departures(data: Any, name: str) -> Iterator[Departure]:
    """Yield how the data departs from the schema, each departure once."""
    if not fits(data, name):
        # Imported here: it brings a library that takes a tenth of a second to load.
        from headrace.declarations.schemas.full_check import full_check

        yield from full_check(data, name)


def fits(data: Any, name: str) -> bool:
    """Return whether the data departs from the schema nowhere."""
    return _quick(name)(data)


@cache
def _quick(name: str) -> Fits:
    return quick_check(inlined(name))
