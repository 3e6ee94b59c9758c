"""Reads the files of `schema/`."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "schema"


@cache
def schema(name: str) -> Mapping[str, Any]:
    """Return a schema of `schema/` by the first part of its file's name."""
    text = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def inlined(name: str) -> Mapping[str, Any]:
    """Return a schema with its references replaced by what they refer to.

    Checking is twice as fast so, and an error's schema holds the keywords beside `$ref`, too.
    """
    found: Mapping[str, Any] = _inlined(schema(name), name)
    return found


def _inlined(part: Any, name: str) -> Any:
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
