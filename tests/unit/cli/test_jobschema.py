"""The schema that editors complete `with:` from."""

from jsonschema import Draft202012Validator

from runner.engine.jobschema import of_hint, pipeline_schema
from runner.engine.registry import Registry
from runner.source import parse
from tests.support.cli import REPOSITORY


def _errors(step: dict[str, object]) -> list[str]:
    validator = Draft202012Validator(pipeline_schema(Registry()))
    data = {"name": "x", "steps": [{"id": "a", **step}]}
    return [error.message for error in validator.iter_errors(data)]


def test_the_schema_is_valid_and_accepts_the_examples():
    schema = pipeline_schema(Registry())
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for path in (REPOSITORY / "pipelines").glob("[!_]*.yaml"):
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
