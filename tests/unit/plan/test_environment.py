"""Environment variables of a plan: templates are rendered, references stay."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from headrace.errors import TemplateError
from headrace.model.pipeline import Foreach, Pipeline, Step
from headrace.model.plan import PlannedJob
from headrace.plan.deferred_values import speaks_later
from headrace.plan.environment_references import keeping_references, render_late_env
from headrace.plan.expand import expand
from headrace.template.values import render_value

PARAMS = {"day": date(2026, 1, 31), "n": 3, "on": True, "evil": "${HOME}", "cost": "5$"}


def job_of(env: Mapping[str, str], **step: Any) -> PlannedJob:
    pipeline = Pipeline("p", "p.yaml", "/", "sha", (Step("a", "Job", env=env, **step),))
    plan = expand(
        pipeline, params=PARAMS, logical_date=datetime(2026, 1, 31, tzinfo=UTC), render=render_value
    )
    return plan.jobs[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ params.day }}", "2026-01-31"),
        ("{{ params.n }}", "3"),
        ("{{ params.n / 2 }}", "1.5"),
        ("{{ params.on }}", "true"),
        ("on {{ params.day }} for ${TOKEN}", "on 2026-01-31 for ${TOKEN}"),
        ("${TOKEN}", "${TOKEN}"),
        ("$${TOKEN} {{ params.n }}", "$${TOKEN} 3"),
        ("{{ '${A}' if params.on else '${B}' }}", "${A}"),
    ],
)
def test_templates_become_text_and_references_stay(text: str, value: str) -> None:
    assert job_of({"X": text}).env == {"X": value}


@pytest.mark.parametrize("text", ["{{ params.evil }}", "a {{ params.evil }} ${TOKEN}"])
def test_a_parameter_s_value_is_no_reference(text: str) -> None:
    assert job_of({"X": text}).env["X"] == text.replace("{{ params.evil }}", "$${HOME}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ [1] }}", "not a list"),
        ("{{ none }}", "not null"),
        ("{{ '\\0' }}", "NUL"),
        ("{{ params.cost }}${TOKEN}", "ends with"),
        ("{{ '${TOKEN}' | upper }}", "filter"),
    ],
)
def test_what_no_variable_can_hold_is_refused_with_its_place(text: str, why: str) -> None:
    with pytest.raises(TemplateError, match=f'step "a", env.X: .*{why}'):
        job_of({"X": text})


def test_each_item_has_variables_of_its_own() -> None:
    job = job_of({"REGION": "{{ region }}"}, foreach=Foreach(["eu", "us"], "region"))

    assert job.env == {"REGION": "eu"}


def test_a_variable_over_steps_makes_its_job_late() -> None:
    text = "{{ steps.load.result.note }} ${TOKEN}"
    job = job_of({"ROWS": text, "DAY": "{{ params.day }}"})

    assert job.late
    assert job.env == {"ROWS": text, "DAY": "2026-01-31"}

    env = render_late_env(
        job.env,
        {"steps": {"load": {"result": {"note": "${HOME}"}}}, "params": {}, "run": {}},
        render_value,
        lambda text: speaks_later(text, None),
    )
    assert env == {"ROWS": "$${HOME} ${TOKEN}", "DAY": "2026-01-31"}


def test_references_are_kept_in_lists_and_mappings() -> None:
    render = keeping_references(render_value)

    assert render("{{ {'a': [params.evil]} }}", {"params": PARAMS}) == {"a": ["$${HOME}"]}


def test_a_late_value_that_cannot_be_rendered_is_told_by_its_key() -> None:
    env = {"A": "{{ n }}", "B": "{{ 1 // n }}"}

    with pytest.raises(TemplateError) as caught:
        render_late_env(env, {"n": 0}, render_value, lambda _text: True)

    assert str(caught.value) == (
        "env.B: value: ZeroDivisionError: integer division or modulo by zero"
    )
    assert render_late_env(env, {"n": 0}, render_value, lambda text: text == "{{ n }}") == {
        "A": "0",
        "B": "{{ 1 // n }}",
    }


def test_a_value_that_is_no_text_is_rendered_as_it_is() -> None:
    rendered = keeping_references(render_value)

    assert rendered(5, {}) == 5
    assert rendered({"a": "{{ n }}"}, {"n": 3}) == render_value({"a": "{{ n }}"}, {"n": 3})
