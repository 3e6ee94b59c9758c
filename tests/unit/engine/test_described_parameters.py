"""What editors are told of a job's parameters, word by word."""

from pathlib import Path
from typing import Any, Literal

import pytest

from headrace.declarations.config import Settings
from headrace.engine.catalog.docstrings import meanings_of
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.job_schema import pipeline_schema
from headrace.engine.catalog.job_type import JobType
from headrace.jobs.base import BaseJob
from headrace.model.connection import NamedConnection

TEMPLATE = {"type": "string", "pattern": r"\{[{%]"}


class Row:
    """A class of the user's own."""


class Loads(BaseJob):
    """Loads what it is given.

    Not told: this line.

    Parameters:
    source: where it comes from: a file
      or a folder,
      or both
    rows: how many

    kind: not told, either
    """

    def __init__(
        self,
        source: str,
        *,
        rows: int = 5,
        kind: Literal["a", "b"] = "a",
        sizes: list[int] = [1],  # noqa: B006
        many: dict[str, list[float]] | None = None,
        named: dict[str, str] = {},  # noqa: B006
        loose: list[Any] | None = None,
        flag: bool = False,
        odd: Row = Row(),  # noqa: B008
        free=1.5,
        connection: str | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "rows": rows, "kind": kind, "sizes": sizes, "many": many, "named": named,
            "loose": loose, "flag": flag, "odd": odd, "free": free, "connection": connection,
        }  # fmt: skip
        super().__init__(source=source, **given)

    def handle(self) -> None:
        """Do nothing."""


class Rests(BaseJob):
    """Has nothing that it must be given, and takes anything."""

    any_parameters = True

    def handle(self) -> None:
        """Do nothing."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    made = Registry()
    made.names()
    made._types["Loads"] = JobType("Loads", Loads)
    made._types["Rests"] = JobType("Rests", Rests)
    return made


def or_template(described: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [described, TEMPLATE]}


def settings(folder: Path) -> Settings:
    there = {"dwh": NamedConnection("postgresql://x/y")}
    return Settings(
        project=folder, home=folder, pipelines=folder, connections=there, pools={"few": 2}
    )


def test_the_meaning_of_a_parameter_is_its_lines_up_to_the_next_one_or_a_blank_one():
    own = {name: told for name, told in meanings_of(Loads).items() if name in ("source", "rows")}

    assert own == {
        "source": "where it comes from: a file or a folder, or both",
        "rows": "how many",
    }
    assert meanings_of(Loads).keys().isdisjoint(("", "kind"))
    assert meanings_of(Row) == {}


def test_each_parameter_is_described_by_its_type_its_default_and_its_meaning(registry: Registry):
    of_job = pipeline_schema(registry)["$defs"]["with_Loads"]
    properties = of_job.pop("properties")

    assert of_job == {
        "description": "Loads what it is given.",
        "type": "object",
        "additionalProperties": False,
        "required": ["source"],
    }
    whole = {"type": "integer"}
    floats = {"type": "array", "items": or_template({"type": "number"})}
    expected = {
        "source": {
            "type": "string",
            "description": "Where it comes from: a file or a folder, or both",
        },
        "rows": {**or_template(whole), "default": 5, "description": "How many"},
        "kind": {**or_template({"enum": ["a", "b"], "type": "string"}), "default": "a"},
        "sizes": {**or_template({"type": "array", "items": or_template(whole)}), "default": [1]},
        "many": or_template(
            {
                "anyOf": [
                    {"type": "object", "additionalProperties": or_template(floats)},
                    {"type": "null"},
                ]
            }
        ),
        "named": {
            **or_template({"type": "object", "additionalProperties": {"type": "string"}}),
            "default": {},
        },
        "loose": or_template({"anyOf": [{"type": "array", "items": {}}, {"type": "null"}]}),
        "flag": {**or_template({"type": "boolean"}), "default": False},
        "odd": {},
        "free": {"default": 1.5},
    }
    assert {name: properties[name] for name in expected} == expected


def test_a_job_that_needs_nothing_may_stand_without_with(registry: Registry):
    whole = pipeline_schema(registry)
    rules = whole["$defs"]["step"]["allOf"]

    def rule(name: str) -> dict[str, Any]:
        return next(
            one["then"]
            for one in rules
            if one.get("if") == {"properties": {"job": {"const": name}}, "required": ["job"]}
        )

    assert rule("Loads") == {
        "properties": {"with": {"$ref": "#/$defs/with_Loads"}}, "required": ["with"],
    }  # fmt: skip
    assert rule("Rests") == {"properties": {"with": {"$ref": "#/$defs/with_Rests"}}}
    of_job = whole["$defs"]["with_Rests"]
    assert (of_job["additionalProperties"], of_job["required"]) == (True, [])


def test_what_is_configured_is_offered(registry: Registry, tmp_path: Path):
    given = settings(tmp_path)
    plain, own = pipeline_schema(registry), pipeline_schema(registry, given)

    assert own["$defs"]["queue"] == {"enum": list(given.queues)}
    assert own["$defs"]["step"]["properties"]["pool"] == {
        "description": plain["$defs"]["step"]["properties"]["pool"]["description"],
        "enum": ["few"],
    }
    found = own["$defs"]["with_Loads"]["properties"]["connection"]
    assert found.pop("anyOf") == [{"enum": ["dwh", None]}, TEMPLATE]
    assert found.keys() == {"description"}
    assert "enum" not in str(plain["$defs"]["with_Loads"]["properties"]["connection"])
