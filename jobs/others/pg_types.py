"""Types by PostgreSQL's names: their families, and what goes into what without loss."""

import re
from typing import Literal

Family = Literal[
    "bool", "int", "numeric", "float", "text", "bytes", "date", "time", "timestamp",
    "timestamptz", "interval", "json", "uuid", "other",
]  # fmt: skip

_FAMILIES: dict[str, Family] = {
    "boolean": "bool",
    "smallint": "int",
    "integer": "int",
    "bigint": "int",
    "numeric": "numeric",
    "real": "float",
    "double precision": "float",
    "text": "text",
    "character varying": "text",
    "character": "text",
    "bytea": "bytes",
    "date": "date",
    "time without time zone": "time",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "interval": "interval",
    "json": "json",
    "jsonb": "json",
    "uuid": "uuid",
}
_MODIFIED = re.compile(r"([a-z ]+?)(?:\((\d+)(?:,(\d+))?\))?( with(?:out)? time zone)?")
# From → to, beside equal families and anything → text.
_WIDER = {
    ("int", "numeric"),
    ("date", "timestamp"),
}


def parts_of(type_: str) -> tuple[str, int | None, int | None]:
    """Return a type's name, and the one or two numbers in its brackets."""
    found = _MODIFIED.fullmatch(type_)
    if found is None:
        return type_, None, None
    first = int(found[2]) if found[2] else None
    return found[1] + (found[4] or ""), first, int(found[3]) if found[3] else None


def family_of(type_: str) -> Family:
    """Return the family of a type; arrays, ranges and the like are `other`."""
    return _FAMILIES.get(parts_of(type_)[0], "other")


def goes_into(source: str, target: str, *, zones_are_lost: bool) -> bool:
    """Return whether values of a type can be those of another one; single ones may be too large.

    `zones_are_lost` where the target's database has no times with a zone: they are stored in UTC.
    """
    ours, theirs = family_of(source), family_of(target)
    if theirs in {ours, "text"} or (ours, theirs) in _WIDER:
        return True
    return zones_are_lost and (ours, theirs) == ("timestamptz", "timestamp")
