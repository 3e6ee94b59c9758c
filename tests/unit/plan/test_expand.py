"""A pipeline becomes the plan of one run."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from headrace.errors import TemplateError
from headrace.model.pipeline import Foreach, Pipeline, Schedule, Step
from headrace.model.plan import Plan
from headrace.model.retry import RetryPolicy
from headrace.plan.deferred_rendering import render_late
from headrace.plan.expand import ExpandDefaults, expand
from headrace.template.values import render_value

LOGICAL_DATE = datetime(2025, 6, 30, 22, tzinfo=UTC)


def render(value: str, variables: Mapping[str, Any]) -> Any:
    """Stand in for the template language: whole expressions by value, others by text."""
    day, run = variables["params"].get("day"), variables["run"]
    if "{{ nobody }}" in value:
        raise TemplateError('"nobody" is undefined')
    if value == "{{ params.day }}":
        return day
    text = value.replace("{{ params.day }}", str(day))
    return text.replace("{{ run.id }}", str(run.get("id"))).replace(
        "{{ run.logical_date }}", str(run["logical_date"])
    )


def plan_of(*steps: Step, **options: Any) -> Plan:
    pipeline = Pipeline(
        "sales",
        "sales.yaml",
        "/",
        "sha",
        steps,
        schedules=(Schedule("@daily", timezone="Asia/Tokyo"),),
    )
    given: dict[str, Any] = {
        "params": {"day": date(2025, 1, 31)},
        "logical_date": LOGICAL_DATE,
        "render": render,
    }
    return expand(pipeline, **(given | options))


def payload_of(with_: dict[str, Any], **options: Any) -> Mapping[str, Any]:
    return plan_of(Step("a", "Job", with_=with_), **options).jobs[0].payload


def test_a_plan_tells_what_it_was_made_from():
    plan = plan_of(Step("a", "Job"))

    assert (plan.pipeline, plan.version, plan.logical_date) == ("sales", "sha", LOGICAL_DATE)
    assert plan.params == {"day": date(2025, 1, 31)}


def test_every_job_follows_what_it_depends_on():
    plan = plan_of(Step("c", "Job", ("b",)), Step("a", "Job"), Step("b", "Job", ("a",)))

    assert [job.step for job in plan.jobs] == ["a", "b", "c"]
    assert [job.depends_on for job in plan.jobs] == [(), ("a",), ("b",)]


def test_a_cycle_is_refused():
    with pytest.raises(ValueError, match="a -> b -> a"):
        plan_of(Step("a", "Job", ("b",)), Step("b", "Job", ("a",)))


def test_a_step_that_says_nothing_gets_the_defaults():
    defaults = ExpandDefaults(queue="low", timeout_s=9, retry=RetryPolicy(limit=1))
    own = RetryPolicy(limit=0)

    silent, own_words = plan_of(
        Step("a", "Job"),
        Step("b", "Job", queue="high", retry=own, timeout_s=0.5),
        defaults=defaults,
    ).jobs

    assert (silent.queue, silent.timeout_s, silent.retry) == ("low", 9, RetryPolicy(limit=1))
    assert (own_words.queue, own_words.timeout_s, own_words.retry) == ("high", 0.5, own)


def test_templates_are_rendered_wherever_they_stand():
    assert payload_of(
        {
            "path": "orders-{{ params.day }}.csv",
            "deep": {"list": ["{{ params.day }}", 1, None]},
            "run": "{{ run.id }}",
        },
        run_context={"id": 7},
    ) == {
        "path": "orders-2025-01-31.csv",
        "deep": {"list": ["2025-01-31", 1, None]},
        "run": "7",
    }


def test_the_logical_date_is_told_on_the_schedules_clock():
    assert payload_of({"at": "{{ run.logical_date }}"}) == {"at": "2025-07-01 07:00:00+09:00"}


@pytest.mark.parametrize(
    "template",
    [
        "{{ steps.load.result.rows }}",
        "{{ params.day }} {{ 1 + steps['load'].result }}",
        "{% if steps.load.result %}x{% endif %}",
        "{{ {'a': steps.load.result} }}",
    ],
)
def test_a_value_that_needs_a_result_is_kept_and_the_job_is_late(template):
    job = plan_of(Step("a", "Job", with_={"x": [template], "y": "{{ params.day }}"})).jobs[0]

    assert job.late
    assert job.payload == {"x": [template], "y": "2025-01-31"}


@pytest.mark.parametrize("text", ["steps.load", "{{ params.day }} steps.x", "{{ params.steps.x }}"])
def test_the_mere_word_steps_makes_no_job_late(text):
    assert not plan_of(Step("a", "Job", with_={"x": text})).jobs[0].late


def test_sql_is_not_rendered_as_text():
    sql = "SELECT * FROM t WHERE day = {{ params.day }} AND {{ nobody }}"

    assert payload_of({"sql": sql}) == {"sql": sql}


def test_the_caller_may_name_other_keys_that_are_templates_of_their_own():
    template = "{{ params.day }}"

    assert payload_of(
        {"body": template, "sql": template}, verbatim=lambda job: {"Job": ("body",)}[job]
    ) == {"body": template, "sql": "2025-01-31"}


def test_every_value_that_cannot_be_rendered_is_told_with_its_place():
    with pytest.raises(TemplateError) as caught:
        plan_of(
            Step("a", "Job", with_={"x": {"y": ["ok", "{{ nobody }}"]}}),
            Step("b", "Job", with_={"z": "{{ nobody }}"}),
        )

    assert str(caught.value) == (
        'step "a", with.x.y[1]: "nobody" is undefined\nstep "b", with.z: "nobody" is undefined'
    )


def test_the_template_language_itself_renders_a_plan():
    job = plan_of(
        Step("a", "Job", with_={"path": "{{ params.day }}.csv", "month": "{{ params.day.month }}"}),
        render=render_value,
    ).jobs[0]

    assert job.payload == {"path": "2025-01-31.csv", "month": 1}


def test_late_rendering_leaves_data_and_sql_alone():
    payload = {
        "sql": "SELECT {{ steps.a.result }}",
        "note": "{{ 7 * 7 }}",
        "deep": [{"rows": "{{ steps.a.result + params.more }}"}, 1],
    }
    variables = {"steps": {"a": {"result": 4}}, "params": {"more": 1}, "run": {}}

    assert render_late("RunSql", payload, variables, render_value) == payload | {
        "deep": [{"rows": 5}, 1]
    }


def each(items: Any, **with_: Any) -> Step:
    return Step("each", "Job", ("list",), foreach=Foreach(items, "region", 2), with_=with_)


@pytest.mark.parametrize(
    "items",
    [
        "{{ steps.list.result }}",
        ["a", "{{ steps['list'].result }}"],
        [{"name": "{{ steps.list.result }}"}],
    ],
)
def test_items_that_need_a_result_make_one_job_that_stands_for_theirs(items):
    with_ = {
        "day": "{{ params.day }}",
        "both": "{{ region }} {{ steps.list.result }}",
        "item": {"deep": ["{{ region.name }}"]},
    }
    plan = plan_of(Step("list", "Job"), each(items, **with_), Step("last", "Job", ("each",)))

    _, job, last = plan.jobs
    assert (job.step, job.depends_on, job.late) == ("each", ("list",), True)
    assert job.foreach == {"items": items, "as": "region"}
    assert job.payload == with_  # Rendered together, once there are items.
    assert (job.pool, job.slots) == (None, 2)
    assert last.depends_on == ("each",)


def test_items_that_need_no_result_are_there_when_the_run_starts():
    step = each(["a", "b"], x="{{ steps.list.result }}")
    plan = plan_of(Step("list", "Job"), step, render=render_value)

    assert [job.step for job in plan.jobs] == ["list", "each[0]", "each[1]"]
    assert all(job.foreach is None for job in plan.jobs)


def test_a_handlers_items_may_need_the_runs_end():
    items = "{{ [run.status] }}"
    (job,) = plan_of(Step("note", "Job", foreach=Foreach(items), handler="finally")).jobs

    assert job.foreach == {"items": items, "as": "item"}


def test_what_needs_neither_item_nor_result_is_checked_when_the_run_starts():
    with pytest.raises(TemplateError, match=r'^step "each", with.x: "nobody" is undefined$'):
        plan_of(
            Step("list", "Job"),
            each("{{ steps.list.result }}", x="{{ nobody }}", y="{{ region }} {{ nobody }}"),
        )
