"""The published schemas are valid, and the fixtures use every key of the pipeline's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from headrace.declarations.config import ConfigProblems, load_settings
from headrace.declarations.schemas import schema
from headrace.declarations.source import parse

VALID = Path(__file__).parents[2] / "conformance" / "valid"


@pytest.mark.parametrize("name", ["pipeline", "config"])
def test_a_schema_is_valid_against_its_own_metaschema(name: str) -> None:
    Draft202012Validator.check_schema(dict(schema(name)))
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_schema_as_published_accepts_the_valid_fixtures() -> None:
    validator = Draft202012Validator(dict(schema("pipeline")))
    fixtures = list(VALID.glob("*.yaml"))
    assert len(fixtures) > 50
    for path in fixtures:
        assert list(validator.iter_errors(parse(path.read_bytes(), path.name).data)) == []


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from keys(part)
    elif isinstance(value, list):
        for part in value:
            yield from keys(part)


def schema_keys(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from part.get("properties", {})
        for value in part.values():
            yield from schema_keys(value)
    elif isinstance(part, list):
        for value in part:
            yield from schema_keys(value)


def test_every_key_of_the_pipeline_schema_is_in_a_valid_fixture() -> None:
    used = {
        key for path in VALID.rglob("*.yaml") for key in keys(parse(path.read_bytes(), "f").data)
    }

    assert set(schema_keys(schema("pipeline"))) - used == set()


def test_the_last_of_a_line_break_does_not_slip_through_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text('timeout: "5m\\n"\n')

    with pytest.raises(ConfigProblems) as caught:
        load_settings({}, config_file=path)

    assert [problem.code for problem in caught.value.problems] == ["bad-duration"]
