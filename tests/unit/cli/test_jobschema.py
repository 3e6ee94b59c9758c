"""The schema that editors complete `with:` from."""

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from headrace.cli.program import main
from headrace.declarations.config import Settings
from headrace.declarations.source import parse
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.job_schema import of_hint, pipeline_schema
from headrace.model.connection import NamedConnection
from tests.support.cli import REPOSITORY


def _errors(step: dict[str, object]) -> list[str]:
    validator = Draft202012Validator(pipeline_schema(Registry()))
    data = {"name": "x", "steps": [{"id": "a", **step}]}
    return [error.message for error in validator.iter_errors(data)]


def test_the_schema_is_valid_and_accepts_the_examples():
    schema = pipeline_schema(Registry())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    examples = list((REPOSITORY / "pipelines").glob("[!_]*.yaml"))
    assert len(examples) > 5
    for path in examples:
        assert list(validator.iter_errors(parse(path.read_bytes(), path.name).data)) == [], path


def test_with_is_checked_against_the_steps_job():
    assert _errors({"job": "Fibonacci", "with": {"n": 3}}) == []
    assert _errors({"job": "Fibonacci", "with": {"n": "{{ params.n }}"}}) == []
    assert _errors({"job": "Fibonacci", "with": {"n": "three"}})
    assert _errors({"job": "Fibonacci", "with": {"m": 3}})
    assert _errors({"job": "Fibonacci"})
    assert _errors({"job": "Fibonaci", "with": {"n": 3}})
    assert _errors({"job": "my.own.Job", "with": {"anything": 1}}) == []


def test_with_is_not_checked_where_a_template_stands_for_the_job():
    assert _errors({"template": "load", "with": {"any": 1}}) == []
    assert _errors({"template": "load", "job": "Fibonacci", "with": {"n": 3}})
    assert _errors({})


def test_the_step_of_a_template_is_checked_against_its_job():
    validator = Draft202012Validator(pipeline_schema(Registry()))

    def errors(step: dict[str, object]) -> list[str]:
        use = {"id": "a", "template": "t"}
        data = {"name": "x", "templates": {"t": {"step": step}}, "steps": [use]}
        return [error.message for error in validator.iter_errors(data)]

    assert errors({"job": "Fibonacci", "timeout": "{{ template.t }}", "with": {"n": 3}}) == []
    assert errors({"job": "Fibonacci", "with": {"n": "{{ template.n }}"}}) == []
    assert errors({"job": "{{ template.job }}", "with": {"anything": 1}}) == []
    assert errors({"job": "Fibonacci", "with": {"m": 3}})
    assert errors({"job": "Fibonaci"})
    assert errors({"job": "Fibonacci", "with": {"n": 3}, "depends_on": ["b"]})


def test_type_hints_become_schemas():
    assert of_hint(int | None) == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert of_hint(list[str]) == {"type": "array", "items": {"type": "string"}}
    assert of_hint(dict[str, float]) == {
        "type": "object",
        "additionalProperties": {"type": "number"},
    }
    assert of_hint(None) == {}


def test_every_parameter_of_a_built_in_job_has_a_text_for_editors():
    schema = pipeline_schema(Registry())
    for name in Registry().names():
        for key, described in schema["$defs"][f"with_{name}"]["properties"].items():
            assert described.get("description"), f"{name}.{key}"


def test_the_schema_knows_the_projects_queues_pools_and_connections(tmp_path: Path):
    settings = Settings(
        tmp_path,
        tmp_path,
        tmp_path,
        connections={"dwh": NamedConnection("postgresql://x/y")},
        pools={"few": 2},
    )
    validator = Draft202012Validator(pipeline_schema(Registry(), settings))

    def errors(**step: object) -> int:
        one = {"id": "a", "job": "RunSql", "with": {"sql": "select 1"}, **step}
        return len(list(validator.iter_errors({"name": "x", "steps": [one]})))

    assert errors(queue="high", pool="few") == 0
    assert errors(queue="hight")
    assert errors(pool="many")
    assert errors(**{"with": {"sql": "select 1", "connection": "dwh"}}) == 0
    assert errors(**{"with": {"sql": "select 1", "connection": "dw"}})


def test_schemas_refer_to_each_other_by_file_only():
    # With an `$id` that is no whole URL a checker looks for the other one in its own folder.
    published = list((REPOSITORY / "schema").glob("*.json"))
    assert len(published) > 1
    for path in published:
        assert "$id" not in json.loads(path.read_text()), path


def test_the_job_classes_are_listed_with_their_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)

    assert main(["jobs", "--types"]) == 0

    head, *rows = (re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines())
    assert head == ["JOB", "PARAMETERS (* required)", "DOES"]
    summary = "Calculate a Fibonacci number."
    (row,) = (row for row in rows if row[0] == "Fibonacci")
    assert row == ["Fibonacci", "n*, connection, lock_timeout, role", summary]
    assert len({len(row) for row in rows}) == 1

    assert main(["jobs", "--types", "--json"]) == 0

    listed = json.loads(capsys.readouterr().out)["items"]
    assert [one["name"] for one in listed] == [row[0] for row in rows]
    (found,) = (one for one in listed if one["name"] == "Fibonacci")
    others = ("connection", "lock_timeout", "role")
    assert found == {
        "name": "Fibonacci",
        "summary": summary,
        "transactional": True,
        "parameters": [
            {"name": "n", "type": "a whole number", "required": True, "default": None},
            *(
                {"name": name, "type": "text", "required": False, "default": None}
                for name in others
            ),
        ],
    }
