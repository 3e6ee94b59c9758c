"""Every key of the schema is documented, and has a valid and an invalid file that use it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.schemas import schema
from headrace.declarations.source import parse
from headrace.errors import ProblemsError

HERE = Path(__file__).parent
REFERENCE = HERE.parents[1] / "docs" / "reference" / "pipeline.md"

# Of the schema's definitions, how the reference calls what holds their keys.
HOLDERS = {
    "schedule": "schedule.",
    "calendar": "schedule.calendar.",
    "param": "params.*.",
    "defaults": "defaults.",
    "step": "steps[].",
    "retry": "retry.",
    "foreach": "foreach.",
    "concurrency": "concurrency.",
    "handlers": "handlers.",
    "template": "templates.*.",
    "trigger": "trigger.",
    "notify": "notify.",
}


def keys() -> list[str]:
    loaded = schema("pipeline")
    found = list(loaded["properties"])
    for name, definition in loaded["$defs"].items():
        found += [f"{HOLDERS[name]}{key}" for key in definition.get("properties", {})]
    return found


def used(data: Any) -> Iterator[str]:
    """Yield the keys that a pipeline file uses, as the reference calls them."""
    if not isinstance(data, dict):
        return
    yield from data
    schedule = data.get("schedule")
    for one in schedule if isinstance(schedule, list) else [schedule]:
        yield from _of("schedule.", one)
        yield from _of("schedule.calendar.", one.get("calendar") if isinstance(one, dict) else None)
    params = data.get("params")
    for one in params.values() if isinstance(params, dict) else ():
        yield from _of("params.*.", one)
    yield from _of("defaults.", data.get("defaults"))
    yield from _of("concurrency.", data.get("concurrency"))
    yield from _of("handlers.", data.get("handlers"))
    templates = data.get("templates")
    for one in templates.values() if isinstance(templates, dict) else ():
        yield from _of("templates.*.", one)
    yield from _of("trigger.", data.get("trigger"))
    yield from _of("notify.", data.get("notify"))
    steps = data.get("steps")
    for one in [*(steps if isinstance(steps, list) else []), data.get("defaults")]:
        if isinstance(one, dict):
            yield from _of("retry.", one.get("retry"))
            yield from _of("foreach.", one.get("foreach"))
            yield from _of("steps[].", one) if "id" in one else ()


def _of(prefix: str, holder: Any) -> Iterator[str]:
    for key in holder if isinstance(holder, dict) else ():
        yield f"{prefix}{key}"


def used_in(folder: str) -> set[str]:
    found: set[str] = set()
    for path in (HERE / folder).rglob("*.yaml"):
        try:
            found.update(used(parse(path.read_bytes(), path.name).data))
        except ProblemsError:
            continue
    return found


def blamed_keys() -> set[str]:
    """Return the last part of every key at which an invalid file has a problem, or near it."""
    return set(re.findall(r"[a-z_]+", " ".join(p.read_text() for p in EXPECTED)))


EXPECTED = list((HERE / "invalid").glob("*.expected"))
TABLES = re.findall(r"^\| key \|.*\n((?:\|.*\n)+)", REFERENCE.read_text(), re.MULTILINE)
DOCUMENTED = re.findall(r"^\| `([^`]+)` \|", "".join(TABLES), re.MULTILINE)
VALID, INVALID, BLAMED = used_in("valid"), used_in("invalid"), blamed_keys()


@pytest.mark.parametrize("key", keys())
def test_every_key_has_its_entry_a_valid_and_an_invalid_file(key: str) -> None:
    assert key in DOCUMENTED
    assert key in VALID
    assert key in INVALID
    assert key.rpartition(".")[2] in BLAMED


def test_the_reference_has_each_key_once_and_no_other() -> None:
    assert sorted(DOCUMENTED) == sorted(keys())


def test_the_examples_of_the_reference_are_yaml() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", REFERENCE.read_text(), re.S | re.M)
    assert len(examples) > 10
    for example in examples:
        if example.startswith("# yaml-language-server"):
            continue
        assert parse(example, "example").data


def test_there_are_60_valid_and_120_invalid_cases() -> None:
    assert len(list((HERE / "valid").glob("*.json"))) >= 60
    assert len(EXPECTED) >= 120
