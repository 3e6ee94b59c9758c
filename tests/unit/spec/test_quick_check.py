"""The quick check of a file says yes where the check that finds words has none, and only there."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from headrace.declarations import schemas
from headrace.declarations.schemas.full_check import full_check
from headrace.declarations.schemas.quick_check import quick_check
from headrace.declarations.source import scan

CASES = Path(__file__).parents[2] / "conformance"
OTHERS: list[Any] = [
    None, True, 0, 1, -1, 1.0, 1.5, 10**20, float("inf"), "", "a", "a\n", "5m", "x" * 300, "ä b",
    [], {}, ["a"], ["a", "a"], [1, 1], {"a": 1}, {"": None}, [{"id": "a"}], [None],
]  # fmt: skip


def _read(path: Path) -> Any:
    document, _problems = scan(path.read_bytes(), path.name)
    return None if document is None else document.data


def _agree(data: Any, name: str) -> None:
    assert schemas.fits(data, name) == (next(full_check(data, name), None) is None), data


@pytest.mark.parametrize("name", ["pipeline", "config", "defaults"])
def test_both_checks_agree_on_every_file_of_the_conformance_suite(name: str):
    files = sorted(CASES.rglob("*.yaml"))
    assert len(files) > 100

    for path in files:
        _agree(_read(path), name)


def _changed(data: Any) -> Iterator[Any]:
    """Yield the data with each of its values replaced, removed or joined by an unknown key."""
    for path in list(_paths(data)):
        for other in OTHERS:
            changed = deepcopy(data)
            holder = changed
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = other
            yield changed
        removed = deepcopy(data)
        holder = removed
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
        yield removed


def _paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = data.items() if isinstance(data, dict) else enumerate(data or ())
    for key, part in parts:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from _paths(part, (*path, key))


WHOLE = {
    "name": "whole",
    "schedule": {"cron": "0 1 * * *", "timezone": "UTC", "catchup": "latest", "jitter": "30s"},
    "trigger": {"pipelines": ["other"]},
    "params": {"day": {"type": "date", "required": True}, "n": {"type": "integer", "min": 1}},
    "defaults": {"queue": "low", "retry": {"limit": 3, "delay": "60s"}, "env": {"A": "b"}},
    "concurrency": {"limit": 1, "on_conflict": "queue"},
    "steps": [
        {"id": "a", "job": "Fibonacci", "with": {"n": 1}, "timeout": "5m", "when": "{{ true }}"},
        {"id": "b", "pipeline": "other", "depends_on": ["a"], "trigger_rule": "all_done"},
        {"id": "c", "job": "X", "foreach": {"items": [1], "as": "i", "max_concurrent": 2}},
    ],
    "handlers": {"failure": [{"id": "f", "job": "X"}]},
}


def test_both_checks_agree_on_a_file_with_one_value_changed():
    _agree(WHOLE, "pipeline")
    for changed in _changed(WHOLE):
        _agree(changed, "pipeline")


def test_a_schema_with_a_keyword_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="dependentRequired"):
        quick_check({"dependentRequired": {}})


@pytest.mark.parametrize(
    ("schema", "other"),
    [
        ({"uniqueItems": True}, "aa"),
        ({"uniqueItems": False}, ["a", "a"]),
        ({"items": {"type": "string"}}, {"a": 1}),
        ({"minItems": 3}, "a"),
        ({"minLength": 3}, ["a"]),
        ({"pattern": "^a"}, 5),
        ({"minimum": 3}, "1"),
        ({"required": ["a"]}, ["b"]),
        ({"propertyNames": {"pattern": "^a"}}, ["b"]),
        ({"properties": {"a": {"type": "string"}}}, [1]),
        ({"additionalProperties": False}, "a"),
        ({"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": False}, 5),
    ],
)
def test_a_keyword_says_nothing_of_values_of_another_kind(schema: Any, other: Any):
    assert quick_check(schema)(other)
