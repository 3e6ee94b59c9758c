"""The jobs of a foreach whose items only its run knows, made of the rows that are there."""

import json
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.attempts.foreach import Expansion, expand_items
from headrace.engine.attempts.job_making import ClassNotMade
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.planning.deferred_templates import late_variables
from headrace.errors import TemplateError
from headrace.template.values import render_value
from tests.support.claimed import claimed
from tests.support.fake_database import FakeDatabase


def expanded(result: Any, **planned: Any) -> Expansion:
    """Return the jobs for items that the result of the step `found` has."""
    upstream = {"step": "found", "status": "completed", "result": result, "error": None}
    run = {
        "param_types": None, "params": {"n": 1}, "logical_date": None, "pipeline": "p",
        "trigger": "manual", "handler": None, "empty": None,
    }  # fmt: skip
    store: Any = FakeDatabase({"upstream_results": [upstream], "run_of_attempt": [run]})
    items = planned.pop("items", "{{ steps.found.result }}")
    known: dict[str, Any] = {"job": "Fibonacci", "with": {}, "env": {}, "pool": None, "slots": None}
    payload = {**known, "foreach": {"items": items, "as": "one"}, **planned}
    return expand_items(store, claimed(step="each", payload=payload), render_value, Registry())


def test_values_of_all_forms_are_handed_on_with_their_item() -> None:
    with_ = {
        "n": "{{ one }}", "text": "no. {{ one }}", "flag": True, "none": None,
        "list": ["{{ one }}", 7, ["{{ one + 1 }}"]], "mapping": {"a": {"b": "{{ one }}"}},
    }  # fmt: skip

    made = expanded([3, 4], env={"N": "{{ one }}"}, pool="p", slots=2, **{"with": with_})

    assert [json.loads(payload) for payload in made.payloads] == [
        {
            "n": n, "text": f"no. {n}", "flag": True, "none": None,
            "list": [n, 7, [n + 1]], "mapping": {"a": {"b": n}},
        }
        for n in (3, 4)
    ]  # fmt: skip
    assert made.envs == ({"N": "3"}, {"N": "4"})
    assert (made.job_class, made.pool, made.slots) == ("Fibonacci", "p", 2)


def test_what_cannot_be_rendered_is_told_by_item_and_key() -> None:
    with pytest.raises(TemplateError) as caught:
        expanded(
            [0, 1, [2]],
            env={"N": "{{ one }}"},
            **{"with": {"n": "{{ 1 // one }}", "list": ["{{ one.name }}"]}},
        )

    told = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in told] == [
        'step "each[0]", with.n', 'step "each[0]", with.list',
        'step "each[1]", with.list',
        'step "each[2]", with.n', 'step "each[2]", with.list', 'step "each[2]", env.N',
    ]  # fmt: skip
    assert "ZeroDivisionError" in told[0]
    assert told[-1].endswith("an environment variable contains text, not a list")


def test_a_hundred_mistakes_are_told_and_no_more() -> None:
    with pytest.raises(TemplateError) as caught:
        expanded([0] * 200, **{"with": {"n": "{{ 1 // one }}"}})

    told = str(caught.value).splitlines()
    assert (len(told), told[-1].partition(",")[0]) == (100, 'step "each[99]"')


def test_a_class_that_this_worker_does_not_have_is_left_to_others() -> None:
    with pytest.raises(ClassNotMade, match='unknown job "NewJob"'):
        expanded([1], job="NewJob")


@pytest.mark.parametrize(
    ("result", "jobs"),
    [
        ({"rows": {"a": 1, "b": 2}, "row_count": 9}, 2),
        ({"row_count": 9}, 0),
        ("ab", 0),
        ({"rows": [1, 2], "row_count": 2}, 2),
        ({"rows": [1, 2], "row_count": 3}, None),
        ({"rows": [1, 2], "groups": 3}, None),
    ],
)
def test_rows_that_a_result_has_left_out_are_missed(result: Any, jobs: int | None) -> None:
    items = "{{ steps.found.result.rows | default([]) | list }}"
    if jobs is not None:
        assert len(expanded(result, items=items).payloads) == jobs
        return
    with pytest.raises(TemplateError) as caught:
        expanded(result, items=items)
    assert str(caught.value) == (
        'step "each", foreach.items: step "found" returned 3 rows, of which its result holds the'
        " first 2; have RunSql hold more of them (keep_rows), or select fewer"
    )


def test_of_a_job_without_a_run_templates_know_the_steps_alone() -> None:
    upstream = {"step": "found", "status": "completed", "result": 3, "error": None}
    store: Any = FakeDatabase({"upstream_results": [upstream]})

    assert late_variables(store, UUID(int=1)) == (
        {
            "steps": {"found": {"status": "completed", "result": 3, "error": None}},
            "params": {},
            "run": {},
        },
        None,
    )
