"""Which names the templates of a step know before a run, each with what it will be."""

from typing import Any

from headrace.engine.catalog.job_registry import Registry
from headrace.engine.explain.sql_check import _hints, _variables
from headrace.engine.explain.step_shapes import StepShapes
from headrace.model.pipeline import Foreach, Param, Pipeline, Step
from headrace.model.status import FINAL, JobStatus
from headrace.model.subpipeline import job_class_of
from headrace.template.shapes import Shape

RUN = {"pipeline": "a text", "trigger": "a text", "logical_date": "a time", "date": "a date"}
PARAMS = (
    Param("n", type="integer"),
    Param("day", type="date"),
    Param("region", enum=("eu", "us")),
)
OF_RUN = {"n": "a number", "day": "a date", "region": "a text"}
# As rows keep them.
IN_SQL = {**OF_RUN, "day": "a text"}
SQL_KNOWS = {
    "logical_date": "a time",
    "run": {"id": "a text", "logical_date": "a time", "date": "a date"},
    "job": {"id": "a text", "attempt": "a number", "step": "a text"},
}

REGISTRY = Registry()
ABOVE = Step("load", "LoadFile", with_={"path": "a.csv", "table": "t"})
EACH = Step("each", "Fibonacci", with_={"n": 1}, foreach=Foreach([1, 2], "i"))
CHILD = Step("child", job_class_of("other"))
MAIL = Step("mail", "Fibonacci", with_={"n": 1}, handler="failure")
PIPELINE = Pipeline("p", "p.yaml", "/p", "1", (ABOVE, EACH, CHILD), params=PARAMS, handlers=(MAIL,))


def kinds(shape: Shape) -> Any:
    """What a shape is, in words, with all its names."""
    if shape.members is None:
        return shape.kind
    return {name: kinds(member) for name, member in shape.members.items()}


def told(variables: Any) -> dict[str, Any]:
    return {name: kinds(shape) for name, shape in variables.items()}


def test_a_steps_values_and_its_condition_know_the_same_names_and_an_item_only_the_values() -> None:
    shapes = StepShapes(PIPELINE, REGISTRY)
    result = dict.fromkeys(REGISTRY.result_keys("LoadFile") or ())

    values, condition = told(shapes.of_step(EACH)), told(shapes.of_condition(EACH))

    assert list(values["steps"]["load"].pop("result")) == list(result)
    assert values.pop("steps") == {
        "load": {"status": "a text", "error": ""},
        "each": {"status": "a text", "result": "a list", "error": ""},
        "child": {
            "status": "a text",
            "result": {"run": "a text", "status": "a text"},
            "error": "",
        },
    }
    assert list(condition.pop("steps")) == ["load", "each", "child"]
    assert values == {"params": OF_RUN, "run": RUN, "i": "a number"}
    assert condition == {"params": OF_RUN, "run": RUN}
    handler = told(shapes.of_step(MAIL))["run"]
    assert handler == told(shapes.of_condition(MAIL))["run"]
    assert handler == RUN | {
        "id": "a text",
        "status": "a text",
        "started_at": "a time",
        "duration_s": "a number",
        "failed_steps": "a list",
    }


def test_a_condition_finds_steps_that_have_ended_and_a_value_any() -> None:
    shapes = StepShapes(PIPELINE, REGISTRY)

    def words(variables: Any) -> Any:
        return variables["steps"].members["load"].members["status"].words

    assert words(shapes.of_step(EACH)) == tuple(map(str, JobStatus))
    assert words(shapes.of_condition(EACH)) == tuple(sorted(map(str, FINAL)))


def test_sql_knows_the_parameters_of_the_run_and_of_its_step_the_run_and_its_job() -> None:
    shapes = StepShapes(PIPELINE, REGISTRY)

    def known(job: str, **with_: Any) -> Any:
        foreach = Foreach([1, 2], "i")
        step = Step("s", job, with_={"sql": "select 1", **with_}, foreach=foreach)
        return told(_variables(step, REGISTRY.get(job), shapes))

    assert known("RunSql") == {"params": IN_SQL, **SQL_KNOWS}
    own = {"n": "{{ i }}", "at": "{{ run.logical_date }}", "rows": [1], "day": 3}
    given = {"n": "a number", "at": "a text", "rows": "a list", "day": "a number"}
    assert known("RunSql", params=own) == {"params": {**IN_SQL, **given}, **SQL_KNOWS}
    assert known("RunSql", params="{{ i }}") == {"params": "", **SQL_KNOWS}
    assert known("Fibonacci") == {"params": {}, **SQL_KNOWS}
    step = Step("s", "RunSql", with_={"sql": "select 1", "params": own})
    variables = _variables(step, REGISTRY.get("RunSql"), shapes)
    named = {name: shape.name for name, shape in variables.items() if name != "logical_date"}
    assert named == {"params": "params", "run": "run", "job": "job"}
    shape = variables["params"]
    assert shape.members is not None
    assert {name: one.name for name, one in shape.members.items()} == {
        name: f"params.{name}" for name in (*IN_SQL, "at", "rows")
    }


def test_what_sql_is_not_given_is_told_with_the_way_to_pass_it_on() -> None:
    steps = 'pass it on: params: {rows: "{{ steps.ID.result.rows }}"}, and {{ params.rows }}'
    assert _hints(ABOVE) == {"steps": steps}
    assert _hints(EACH) == {
        "steps": steps,
        "i": 'pass the item on: params: {i: "{{ i }}"}, and write {{ params.i }}',
    }
