"""Check data against the JSON Schemas of `schema/` and word what is wrong for people.

The schemas carry three keywords of our own, which editors ignore or show:
`x-code` (the problem's code where a value does not match), `patternErrorMessage` (what the
value has to look like) and `writeOnly` (a secret: its value is never quoted).
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

from headrace.declarations.schemas.finding_text import Departure, worded
from headrace.declarations.source import Document
from headrace.errors import Problem

__all__ = ["Departure", "check", "departures", "schema", "validator"]

FOLDER = Path(__file__).parents[2] / "schema"

MOST = 200


@cache
def schema(name: str) -> Mapping[str, Any]:
    """Return a schema of `schema/` by the first part of its file's name."""
    text = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def validator(name: str) -> Any:
    """Return the checker for a schema of `schema/`."""
    return _Validator(_inlined(schema(name), name))


def _unique(_: Any, unique: bool, instance: Any, __: Any) -> Iterator[ValidationError]:
    """Report each text of a list that is already there.

    The library's own check takes the square of the list's length, and has no place.
    """
    seen = set()
    for index, item in enumerate(instance if unique and isinstance(instance, list) else ()):
        if isinstance(item, str) and item in seen:
            yield ValidationError(f"{item} is already there", path=[index])
        if isinstance(item, str):
            seen.add(item)


_Validator: Any = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"uniqueItems": _unique}
)


def _inlined(part: Any, name: str) -> Any:
    """Return the schema with its references replaced by what they refer to.

    Checking is twice as fast so, and an error's schema holds the keywords beside `$ref`, too.
    """
    if isinstance(part, list):
        return [_inlined(item, name) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        file, _, definition = part["$ref"].partition("#/$defs/")
        name = file.removesuffix(".schema.json") or name
        referred = schema(name)["$defs"][definition]
        part = {**referred, **{key: value for key, value in part.items() if key != "$ref"}}
    result = {key: _inlined(value, name) for key, value in part.items() if key != "$defs"}
    pattern = result.get("pattern")
    if isinstance(pattern, str) and pattern.endswith("$"):
        # In Python `$` lets a line break follow; in JSON Schema it does not.
        result["pattern"] = pattern[:-1] + r"\Z"
    return result


def check(document: Document, name: str) -> list[Problem]:
    """Return how the document departs from the schema, each at its place: at most 200."""
    return [
        Problem(document.file, *document.at(path, key=of_key), code, message, hint)
        for path, code, message, hint, of_key in islice(departures(document.data, name), MOST)
    ]


def departures(data: Any, name: str) -> Iterator[Departure]:
    """Yield how the data departs from the schema, each departure once."""
    seen = set()
    for error in validator(name).iter_errors(data):
        for found in worded(error, data):
            if found not in seen:
                seen.add(found)
                yield found
