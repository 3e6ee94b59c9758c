"""Compares a table's columns with those that a check of its schema wants."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import Column

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# `numeric(12,2)[]` → base `numeric[]`, and what stands in the brackets.
_MODIFIED = re.compile(r"([^()]*)\(([^()]*)\)(.*)")


def differences(session: "Session", found: Sequence[Column], given: Mapping[str, Any]) -> list[str]:
    """Return how the columns of a table differ from those that are wanted, a sentence each.

    A wanted type without a length or precision takes any: `numeric` is `numeric(12,2)`, too.
    """
    wanted = given["columns"]
    types = [one for one in wanted.values() if one] if isinstance(wanted, Mapping) else []
    known = _known_types(session, types)
    there = {column.name: column.type for column in found}
    return list(differences_of(there, given, lambda own, type_: _fits(own, type_, known)))


def differences_of(
    there: Mapping[str, str], given: Mapping[str, Any], fits: Callable[[str, str], bool]
) -> Iterator[str]:
    """Yield the same of columns by name; `fits` says whether a type is the wanted one."""
    wanted = given["columns"]
    types: Mapping[str, str | None] = (
        wanted if isinstance(wanted, Mapping) else dict.fromkeys(wanted)
    )
    for name, type_ in types.items():
        if name not in there:
            yield f"{name} is missing"
        elif type_ is not None and not fits(there[name], type_):
            yield f"{name} is {there[name]}, not {type_}"
    extra = [name for name in there if name not in types]
    if extra and not given.get("allow_extra_columns", False):
        yield f"not expected: {', '.join(extra)}"
    order = [name for name in there if name in types]
    expected = [name for name in types if name in there]
    if order != expected and not given.get("allow_other_column_order", True):
        yield f"the order is {', '.join(order)}"


def fits_native(there: str, wanted: str) -> bool:
    """Return whether a type of another database is the wanted one, by its words.

    Without a length or precision it is, whatever the other's.
    """
    own, named = there.lower(), wanted.lower().strip()
    return own == named or _parts(own)[0] == named


def _fits(there: str, wanted: str, known: Mapping[str, str | None]) -> bool:
    base, modifier = _parts(there)
    wanted_base, wanted_modifier = _parts(wanted)
    if known.get(wanted_base) != base:
        return False
    return wanted_modifier is None or _modifier(base, wanted_modifier) == modifier


def _modifier(base: str, written: str) -> str:
    # numeric(12) is numeric(12,0).
    return f"{written},0" if base.startswith("numeric") and "," not in written else written


def _parts(type_: str) -> tuple[str, str | None]:
    match = _MODIFIED.fullmatch(type_.strip())
    if match is None:
        return type_.strip(), None
    return f"{match[1].rstrip()}{match[3]}", match[2].replace(" ", "")


def _known_types(session: "Session", types: Sequence[str]) -> dict[str, str | None]:
    if not types:
        return {}
    bases = sorted({_parts(one)[0] for one in types})
    rows = execute(session, packaged_sql("check_types", types=bases))
    return {row.type: row.known for row in rows}
