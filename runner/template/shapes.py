"""Describes the values that a template will see, before there are any.

A shape holds a sample: a value of the right type, or the very value where it is known. What an
operation makes of a sample tells the type of what it will make of the value, and an operation
that no value of the type supports is a mistake that needs no run to be found.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, get_args, get_origin


class _Unknown:
    """Stands for a value of which nothing is known."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float, Decimal), "a number"),
    (str, "a text"),
    (datetime, "a time"),
    (date, "a date"),
    (timedelta, "a span of time"),
    (time, "a time of day"),
    ((list, tuple, range), "a list"),
    (Mapping, "a mapping"),
)


@dataclass(frozen=True, slots=True)
class Shape:
    """Knowledge about one value.

    `sample` has its type; with `exact` it is the value itself. `words` are all values that a
    text can have. `members` are all entries of a mapping, or with `open` those that are known;
    `item` is what a list holds. `name` is what messages call it.
    """

    sample: Any = UNKNOWN
    exact: bool = False
    words: tuple[str, ...] | None = None
    members: "Mapping[str, Shape] | None" = None
    item: "Shape | None" = None
    name: str = ""
    open: bool = False

    @property
    def known(self) -> bool:
        """Return whether the type is known."""
        return self.sample is not UNKNOWN

    @property
    def kind(self) -> str:
        """The type in the user's words; empty where it is not known."""
        if self.sample is None:
            return "null"
        return next((word for kind, word in _KINDS if isinstance(self.sample, kind)), "")


ANY = Shape()
# Of a name that another rule speaks of: no hint lists it.
HIDDEN = Shape(open=True)
TEXT = Shape("text")
NUMBER = Shape(1)
BOOLEAN = Shape(True)
LIST = Shape([], item=ANY)
MAPPING = Shape({})

_OF_PARAMS: dict[str, Shape] = {
    "string": TEXT,
    "integer": NUMBER,
    "number": NUMBER,
    "boolean": BOOLEAN,
    "date": Shape(date(2026, 1, 31)),
    "datetime": Shape(datetime(2026, 1, 31, 6, tzinfo=UTC)),
    "list": LIST,
}

_OF_TYPES: dict[Any, Shape] = {
    bool: BOOLEAN,
    int: NUMBER,
    float: NUMBER,
    str: TEXT,
    list: LIST,
    dict: MAPPING,
}


def mapping_of(members: Mapping[str, Shape], name: str = "") -> Shape:
    """Return the shape of a mapping that has these entries and no others."""
    return Shape({}, members=members, name=name)


def one_of(words: Iterable[str], name: str = "") -> Shape:
    """Return the shape of a text that is one of these words."""
    listed = tuple(words)
    return Shape(listed[0], words=listed, name=name)


def of_type(kind: type | None, name: str = "") -> Shape:
    """Return the shape of a value of one of JSON's types, `list[dict]` too; ANY for None."""
    shape = _OF_TYPES.get(get_origin(kind) or kind, ANY)
    item = of_type(*get_args(kind)[:1]) if shape is LIST and get_args(kind) else shape.item
    return Shape(shape.sample, item=item, name=name)


def of_param(declared: Any, name: str = "") -> Shape:
    """Return the shape of a parameter as a file declares it."""
    if not isinstance(declared, Mapping):
        return ANY
    shape = _OF_PARAMS.get(str(declared.get("type", "string")), ANY)
    words = declared.get("enum")
    if (
        shape is TEXT
        and isinstance(words, list)
        and words
        and all(isinstance(w, str) for w in words)
    ):
        return one_of(words, name)
    return Shape(shape.sample, item=shape.item, name=name)


def of_value(value: Any) -> Shape:
    """Return the shape of a value that is written out."""
    if isinstance(value, Mapping):
        return Shape(
            {}, members={str(key): of_value(part) for key, part in value.items()}, exact=not value
        )
    if isinstance(value, list | tuple):
        return Shape(list(value), exact=True, item=joined(map(of_value, value)))
    return Shape(value, exact=True)


def joined(shapes: Iterable[Shape]) -> Shape:
    """Return what several values have in common: their type, or nothing."""
    found = list(shapes)
    if not found:
        return ANY
    first = found[0]
    if all(one == first for one in found):
        return first
    if all(one.members is not None for one in found):
        return _joined_mappings(found)
    if first.kind and all(one.kind == first.kind for one in found):
        if isinstance(first.sample, Mapping):
            return MAPPING if all(one.known for one in found) else ANY
        return Shape(first.sample, item=first.item and ANY)
    return ANY


def _joined_mappings(found: Sequence[Shape]) -> Shape:
    """Return what mappings have in common; an entry that some of them lack may be there."""
    entries = [one.members or {} for one in found]
    names = [name for name in entries[0] if all(name in one for one in entries)]
    members = {name: joined(one[name] for one in entries) for name in names}
    extra = any(one.open for one in found) or any(len(one) != len(names) for one in entries)
    return Shape({}, members=members, open=extra)


def truth_of(shape: Shape) -> bool | None:
    """Return whether the value counts as true, None where that is not known."""
    return bool(shape.sample) if shape.exact and shape.members is None else None


def as_json(shape: Shape) -> Shape:
    """Return the shape of a value once it is stored: dates and times are texts then."""
    if shape.members is not None:
        members = {name: as_json(one) for name, one in shape.members.items()}
        return Shape({}, members=members, name=shape.name, open=shape.open)
    if isinstance(shape.sample, date | time):
        return Shape(shape.sample.isoformat(), exact=shape.exact, name=shape.name)
    if isinstance(shape.sample, timedelta):
        return Shape(shape.sample.total_seconds(), name=shape.name)
    return shape


def never_equal(left: Shape, right: Shape) -> bool:
    """Return whether no value of the one type equals any of the other."""
    kinds = (left.kind, right.kind)
    if not all(kinds) or "null" in kinds:
        return False
    if set(kinds) == {"true or false", "a number"}:
        return False  # As in Python, true is 1.
    return kinds[0] != kinds[1]


def like(made: Any) -> Shape:
    """Return the shape of what a sample has become: its type, not its value."""
    if isinstance(made, list | tuple | range):
        return Shape([], item=joined(like(one) for one in list(made)[:1]) if made else ANY)
    if isinstance(made, Mapping):
        return Shape({})
    return Shape(made)
