"""Word the errors of a JSON Schema check for people."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.declarations.source import KeyPath
from headrace.errors.shortened import shortened
from headrace.errors.suggestions import did_you_mean

if TYPE_CHECKING:
    from jsonschema import ValidationError


class Departure(NamedTuple):
    """One departure from a schema. `of_key`: the place is the key's, not its value's."""

    path: KeyPath
    code: str
    message: str
    hint: str
    of_key: bool = False


Report = Iterator[Departure]
_SEE = "see the schema of this file"

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
# The parts of a document that have names of their own, by the key that holds them.
_ITEMS = {
    "steps": "step",
    "schedule": "schedule",
    "depends_on": "item",
    "success": "handler",
    "failure": "handler",
    "finally": "handler",
}
_ENTRIES = {"params": "parameter", "connections": "connection", "templates": "template"}


def label(path: KeyPath, data: Any) -> str:
    """Return how a message names the value at `path`, such as `"retry" of step "load"`."""
    owner, rest = "", list(path)
    for index, step in enumerate(path[: 3 if path[:1] == ("handlers",) else 2]):
        nested = data[step] if _has(data, step) else None
        before = path[index - 1] if index else None
        if isinstance(step, int) and before in _ITEMS:
            identity = nested.get("id") if isinstance(nested, dict) else None
            name = f'"{identity}"' if isinstance(identity, str) else f"{step + 1}"
            owner, rest = f"{_ITEMS[str(before)]} {name}", list(path[index + 1 :])
        elif isinstance(step, str) and before in _ENTRIES:
            owner, rest = f'{_ENTRIES[str(before)]} "{step}"', list(path[2:])
        data = nested
    keys = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in rest)
    quoted = f'"{keys.removeprefix(".")}"' if keys else ""
    return " of ".join(part for part in (quoted, owner) if part)


def _has(data: Any, step: str | int) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and step < len(data)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return _TYPES["object" if isinstance(value, dict) else "array"]
    text = json.dumps(value, ensure_ascii=False, default=str)
    return shortened(text)


def worded(error: "ValidationError", data: Any) -> Report:
    """Yield what one error of a check of `data` means; each has a hint."""
    for found in _worded(error, data):
        yield found if found.hint else found._replace(hint=_SEE)


def _worded(error: "ValidationError", data: Any) -> Report:
    path: KeyPath = tuple(error.absolute_path)
    if error.validator in ("anyOf", "oneOf"):
        yield from _alternatives(error, path, data)
        return
    named = "propertyNames" in list(error.schema_path)[-2:]
    wording = _key_names if named else _WORDINGS[str(error.validator)]
    yield from wording(error, path, label(path, data))


def _alternatives(error: "ValidationError", path: KeyPath, data: Any) -> Report:
    """Word a value that fits none of its forms by the form that it seems to be meant as."""
    branches: dict[Any, list[ValidationError]] = {}
    for nested in error.context or ():
        branches.setdefault(nested.schema_path[0], []).append(nested)
    meant = [errors for errors in branches.values() if not any(map(_of_type, errors))]
    excluding = len(meant) > 1 and all(
        e.validator == "required" for errors in meant for e in errors
    )
    if meant and not excluding:
        for nested in min(meant, key=len):
            yield from worded(nested, data)
    elif meant or not branches:
        yield _one_of(error, path, label(path, data), named=not meant)
    else:
        kinds = [
            kind
            for errors in branches.values()
            for e in filter(_of_type, errors)
            for kind in _type_names(_rule(e))
        ]
        yield Departure(path, "wrong-type", *_type_message(error, label(path, data), kinds))


def _of_type(error: "ValidationError") -> bool:
    """Return whether the value as a whole has another type than the form wants."""
    return error.validator == "type" and not error.path


def _one_of(error: "ValidationError", path: KeyPath, owner: str, *, named: bool) -> Departure:
    """Word a mapping that names several keys that exclude each other, or none of them."""
    keys = [key for form in _rule(error) for key in form.get("required", ())]
    *first, last = [f'"{key}"' for key in keys]
    listed = f"{', '.join(first)} and {last}" if first else last
    message = f"{owner or 'the file'} takes exactly one of {listed}"
    if named:
        return Departure(path, "conflicting-keys", message, "remove one of them")
    return Departure(path, "missing-key", message, "name one of them")


def _type_names(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _type_message(error: "ValidationError", owner: str, wanted: Iterable[str]) -> tuple[str, str]:
    kinds = list(dict.fromkeys(wanted))
    forms = [_TYPES[kind] for kind in kinds if kind != "null"]
    if _code(error, "") == "bad-duration":
        forms = ["a duration"]
    listed = ", ".join(forms[:-1]) + (" or " if forms[:-1] else "") + forms[-1]
    value = error.instance
    given = "nothing" if value is None else _shown(value)
    if _secret(error):
        given = "something else"
    return f"{owner or 'the file'} takes {listed}, not {given}", _type_hint(error, kinds, value)


def _type_hint(error: "ValidationError", kinds: list[str], value: Any) -> str:
    hint = ""
    if _secret(error):
        pass
    elif value is None:
        hint = "write a value, or remove the key"
    elif _code(error, "") == "bad-duration":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and math.isfinite(value):
            hint = f"add a unit: {value}s for seconds, {value}m for minutes"
    elif kinds == ["string"] and isinstance(value, int | float | bool):
        hint = f'quote it: "{_shown(value)}"'
    elif isinstance(value, str):
        hint = _hint_for_text(kinds, value)
    return hint or str(_from_schema(error, "description"))


def _hint_for_text(kinds: list[str], value: str) -> str:
    """Return the hint for a text where something else is wanted, or an empty one."""
    if "array" in kinds and len(value) < 40 and "{" not in value:
        return f"write a list: [{value}]"
    if {"integer", "number"} & set(kinds) and value.isdigit():
        return "write the number without quotes"
    return "write true or false, without quotes" if "boolean" in kinds else ""


def _rule(error: "ValidationError") -> Any:
    return error.validator_value


def _from_schema(error: "ValidationError", keyword: str, default: Any = "") -> Any:
    return error.schema.get(keyword, default) if isinstance(error.schema, Mapping) else default


def _secret(error: "ValidationError") -> bool:
    return bool(_from_schema(error, "writeOnly", False))


def _code(error: "ValidationError", default: str) -> str:
    return str(_from_schema(error, "x-code", default))


def _type(error: "ValidationError", path: KeyPath, owner: str) -> Report:
    message, hint = _type_message(error, owner, _type_names(_rule(error)))
    yield Departure(path, "wrong-type", message, hint)


def _unknown_keys(error: "ValidationError", path: KeyPath, owner: str) -> Report:
    known = list(_from_schema(error, "properties", {}))
    instance: Any = error.instance
    unused = [key for key in known if key not in instance]
    own = tuple(_from_schema(error, "patternProperties", {}))
    for key in instance:
        if key not in known and not any(re.search(pattern, key) for pattern in own):
            hint = did_you_mean(key, unused or known, listed_as="known keys")
            where = f" in {owner}" if owner else ""
            yield Departure(
                (*path, key), "unknown-key", f'unknown key "{key}"{where}', hint, of_key=True
            )


def _required(error: "ValidationError", path: KeyPath, owner: str) -> Report:
    instance: Any = error.instance
    for key in _rule(error):
        if key not in instance:
            described = _from_schema(error, "properties", {}).get(key, {})
            hint = described.get("description", "")
            message = f'{owner or "the file"} lacks the key "{key}"'
            yield Departure(path, "missing-key", message, hint, of_key=True)


def _enum(error: "ValidationError", path: KeyPath, owner: str) -> Report:
    choices = [str(choice) for choice in _rule(error) if choice is not None]
    message = f"{owner} cannot be {_shown(error.instance)}"
    hint = did_you_mean(str(error.instance), choices, listed_as="it can be")
    yield Departure(path, _code(error, "bad-value"), message, hint)


def _pattern(error: "ValidationError", path: KeyPath, owner: str) -> Report:
    value = "what it is set to" if _secret(error) else _shown(error.instance)
    hint = str(_from_schema(error, "patternErrorMessage"))
    yield Departure(path, _code(error, "bad-value"), f"{owner} cannot be {value}", hint)


def _key_names(error: "ValidationError", path: KeyPath, owner: str) -> Report:
    hint = str(_from_schema(error, "patternErrorMessage"))
    key = str(error.instance)
    yield Departure(
        (*path, key), "bad-name", f'{owner} cannot contain the name "{key}"', hint, of_key=True
    )


def _bound(words: str) -> "Callable[[ValidationError, KeyPath, str], Report]":
    def wording(error: "ValidationError", path: KeyPath, owner: str) -> Report:
        limit = _rule(error)
        given = _shown(error.instance)
        message = f"{owner} {words.format(limit=limit, given=given)}"
        yield Departure(path, "bad-value", message, str(_from_schema(error, "description")))

    return wording


def _empty(error: "ValidationError", path: KeyPath, owner: str) -> Report:
    hint = _from_schema(error, "patternErrorMessage") or _from_schema(error, "description")
    hint = hint or "Fill it in, or leave the key out."
    yield Departure(path, _code(error, "bad-value"), f"{owner} is empty", str(hint))


def _twice(error: "ValidationError", path: KeyPath, owner: str) -> Report:
    listed: Any = error.instance
    item = listed[path[-1]] if isinstance(listed, list) and isinstance(path[-1], int) else owner
    yield Departure(path, "duplicate-item", f'"{item}" occurs twice', "keep one of the two")


_WORDINGS: dict[str, "Callable[[ValidationError, KeyPath, str], Report]"] = {
    "type": _type,
    "additionalProperties": _unknown_keys,
    "required": _required,
    "enum": _enum,
    "pattern": _pattern,
    "minimum": _bound("is {given}; the minimum is {limit}"),
    "maximum": _bound("is {given}; the maximum is {limit}"),
    "maxLength": _bound("is longer than {limit} characters"),
    "maxItems": _bound("contains more than {limit} items"),
    "uniqueItems": _twice,
    "minLength": _empty,
    "minItems": _empty,
}
