"""What no plan can be made of is told for each step, with its key; and the bounds themselves."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from headrace.errors import InvalidParams, InvalidPayload, TemplateError
from headrace.model.connection import NamedConnection, located, placed
from headrace.model.ids import new_id, new_ids
from headrace.model.job_parameters import written
from headrace.model.moments import instant_of
from headrace.model.origin import Origin
from headrace.model.pipeline import Foreach, Pipeline, Step
from headrace.model.plan import MOST_ITEMS, Plan
from headrace.model.retry import RetryPolicy
from headrace.plan.diff import Change
from headrace.plan.environment_references import as_variables
from headrace.plan.expand import MOST_PROBLEMS, ExpandDefaults, expand, plain
from headrace.plan.retry_delay import retry_delay_s
from headrace.plan.retry_policy import policy_from, seconds
from headrace.template.values import render_value

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def plan_of(*steps: Step, **params: Any) -> Plan:
    pipeline = Pipeline("p", "p.yaml", "/", "v", steps)
    defaults = ExpandDefaults(pools={"narrow": 2})
    return expand(
        pipeline, params=params, logical_date=NOON, render=render_value, defaults=defaults
    )


def each(items: Any, **more: Any) -> Step:
    return Step("a", "Job", foreach=Foreach(items, "one"), **more)


def refused(*steps: Step, **params: Any) -> list[str]:
    with pytest.raises(TemplateError) as caught:
        plan_of(*steps, **params)
    return str(caught.value).splitlines()


def test_every_problem_of_every_step_is_told_with_its_key() -> None:
    told = refused(
        Step("pool", "Job", pool="wide"),
        Step("with", "Job", with_={"a": ["{{ no }}"], "b": {"c": "{{ no }}"}}),
        Step("env", "Job", env={"A": "{{ no }}"}),
    )
    assert [line.partition(": value: 'no'")[0] for line in told] == [
        'step "pool": there is no pool "wide"',
        'step "with", with.a[0]',
        'step "with", with.b.c',
        'step "env", env.A',
    ]


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ("{{ no }}", "step \"a\", foreach.items: value: 'no' is undefined"),
        ("{{ params.text }}", "step \"a\", foreach.items: 'eu' is not a list"),
        ("{{ params.many }}", f'step "a", foreach.items: {MOST_ITEMS + 1}, more than {MOST_ITEMS}'),
    ],
)
def test_items_that_are_none_are_told(items: str, told: str) -> None:
    (line,) = refused(each(items), text="eu", many=[0] * (MOST_ITEMS + 1))
    assert line.startswith(told)


def test_as_many_items_as_are_allowed_make_as_many_jobs_and_none_make_one_that_waits() -> None:
    assert len(plan_of(each("{{ params.many }}"), many=[0] * MOST_ITEMS).jobs) == MOST_ITEMS
    (job,) = plan_of(each([])).jobs
    assert (job.late, job.foreach, job.payload) == (True, {"items": [], "as": "one"}, {})


def test_of_the_problems_of_many_items_the_first_hundred_are_told() -> None:
    told = refused(each([0] * 300, with_={"x": "{{ no }}"}))
    assert len(told) == MOST_PROBLEMS
    assert told[-1].startswith(f'step "a[{MOST_PROBLEMS - 1}]", with.x: ')


def test_an_item_beside_the_result_of_a_step_is_refused_in_one_value_only() -> None:
    first, mixed = Step("first", "Job"), "{{ one }}{{ steps.first.result }}"
    (line,) = refused(first, each([1], depends_on=("first",), with_={"x": mixed}))
    assert line == (
        'step "a[0]", with.x: one value cannot refer to both the foreach item and `steps`'
    )
    apart = {"x": "{{ one }}", "y": "{{ steps.first.result }}"}
    plan = plan_of(first, each([1], depends_on=("first",), with_=apart))
    assert plan.jobs[1].payload == {"x": 1, "y": "{{ steps.first.result }}"}


def test_two_foreach_in_a_row_are_refused_where_they_make_too_many_dependencies() -> None:
    many = [0] * 1001
    below = Step("b", "Job", ("a",), foreach=Foreach(many[:1000], "x"))
    (line,) = refused(each(many), below)
    assert line == (
        'step "b": 1000 jobs that each wait for all of a foreach make 1001000 dependencies, more'
        " than 1000000; put a step between the two"
    )


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (Decimal("1.10"), Decimal("1.10")),
        (Decimal("NaN"), "NaN"),
        (date(2026, 1, 2), "2026-01-02"),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        (timedelta(seconds=5), "0:00:05"),
        (None, None),
        (True, True),
    ],
)
def test_a_value_of_a_plan_is_what_json_can_hold(value: Any, made: Any) -> None:
    found = plain(value)
    assert (found, type(found)) == (made, type(made))


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (Colour.RED, "red"),
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(minutes=5), "5m"),
        (Path("/a"), "/a"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": {Colour.RED}}, {"a": ["red"]}),
        ((1, [None]), [1, [None]]),
    ],
)
def test_an_argument_is_dispatched_as_yaml_would_write_it(value: Any, made: Any) -> None:
    assert written(value) == made


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        (Decimal("1.10"), "1.10"),
        (date(2026, 1, 2), "2026-01-02"),
    ],
)
def test_a_variable_holds_the_text_of_a_value(value: Any, text: str) -> None:
    assert as_variables(render_value)("{{ v }}", {"v": value}) == text


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "an environment variable contains text, not null"),
        ([1], "an environment variable contains text, not a list"),
        ({"a": 1}, "an environment variable contains text, not a dict"),
        (
            "a\0",
            "value: a text has a character that cannot be stored: NUL or half a surrogate pair",
        ),
    ],
)
def test_what_no_variable_can_hold_is_refused(value: Any, told: str) -> None:
    with pytest.raises(TemplateError) as refused:
        as_variables(render_value)("{{ v }}", {"v": value})
    assert str(refused.value) == told


def test_texts_of_several_lines_are_told_line_by_line_with_their_comments() -> None:
    old, new = "select 1\n-- gone\nfrom t\n", "select 1\n++ odd\nfrom t\n"
    assert Change("changed", ("a",), old, new).text_lines() == [
        "@@ -1,3 +1,3 @@",
        " select 1",
        "--- gone",
        "+++ odd",
        " from t",
    ]
    assert Change("changed", ("a",), "one", "one\ntwo").text_lines() is not None
    assert Change("changed", ("a",), "one\ntwo", "one").text_lines() is not None
    for old_value, new_value in (("one", "two"), ("one\n", "two\n"), ("a\nb", 5), (5, "a\nb")):
        assert Change("changed", ("a",), old_value, new_value).text_lines() is None


@pytest.mark.parametrize("value", [0, -1, 10**9, 10**400, math.nan, math.inf, True, "0s", "x", ""])
def test_what_is_no_wait_is_refused(value: Any) -> None:
    with pytest.raises(InvalidPayload, match=r"is not a duration; write seconds, or 30s"):
        seconds(value)


def test_a_wait_is_a_number_of_seconds_or_a_duration() -> None:
    assert [seconds(one) for one in (0.5, 10**9 - 1, "2m")] == [0.5, 10**9 - 1, 120.0]


def test_a_policy_that_is_given_or_none_is_taken_as_it_is() -> None:
    default, own = RetryPolicy(limit=7), RetryPolicy(limit=2)
    assert policy_from(None, default) is default
    assert policy_from(own, default) is own


def test_a_wait_that_no_number_can_hold_is_the_longest_one() -> None:
    policy = RetryPolicy(delay_s=1.0, factor=10.0, max_delay_s=60.0, intervals_s=None, jitter=False)
    waits = [retry_delay_s(policy, failures, lambda: 1.0) for failures in (1, 2, 3, 1000)]
    assert waits == [1.0, 10.0, 60.0, 60.0]
    with pytest.raises(ValueError, match="a retry follows at least one failure, not 0"):
        retry_delay_s(policy, 0, lambda: 1.0)


@pytest.mark.parametrize("text", ["soon", "2026-02-30", "0001-01-01T00:00+14:00"])
def test_what_is_no_instant_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(InvalidParams, match=f'^--from takes a date or a time.*not "{text[:4]}'):
        instant_of("--from", text, "UTC")


@pytest.mark.parametrize(
    ("text", "zone"),
    [("9999-12-31T23:00Z", "Asia/Tokyo"), ("0001-01-01T01:00Z", "America/New_York")],
)
def test_what_a_schedule_s_clock_does_not_reach_is_no_instant(text: str, zone: str) -> None:
    assert instant_of("--from", text, "UTC") == datetime.fromisoformat(text)
    with pytest.raises(InvalidParams, match=f'^--from takes a date or a time.*not "{text}"'):
        instant_of("--from", text, zone)


def test_many_ids_are_as_ordered_as_single_ones() -> None:
    before, ids, after = new_id(), [UUID(one) for one in new_ids(500)], new_id()
    assert sorted([before, *ids, after]) == [before, *ids, after]
    assert len(set(ids)) == 500
    assert {one.version for one in ids} == {7}


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (Origin("built-in"), {}),
        (Origin("pipeline", "a.yaml", 3), {"file": "a.yaml", "line": 3}),
        (Origin("environment", name="X"), {"variable": "X"}),
        (
            Origin("template", "t.yaml", 2, "T", "p", Origin("pipeline", "a.yaml", 9)),
            {
                "file": "t.yaml",
                "line": 2,
                "template": "T",
                "parameter": "p",
                "given": {"file": "a.yaml", "line": 9},
            },
        ),
    ],
)
def test_a_program_is_told_what_is_known_of_an_origin(origin: Origin, told: Any) -> None:
    assert origin.as_json() == {"kind": origin.kind, **told}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("sqlite:///x.db", "sqlite:////p/x.db"),
        ("sqlite:////x.db", "sqlite:////x.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("duckdb:///d/x.db", "duckdb:////p/d/x.db"),
        ("postgresql:///x", "postgresql:///x"),
    ],
)
def test_a_file_of_a_connection_begins_in_the_project(url: str, found: str) -> None:
    assert located(url, Path("/p")) == found


@pytest.mark.parametrize(
    ("control", "url"),
    [
        ("postgresql://u:p@h:5/etl", "postgresql://u:p@h:5/mart"),
        ("postgresql://h/etl?sslmode=require", "postgresql://h/mart?sslmode=require"),
        ("postgresql://h/etl?dbname=other", "postgresql://h/mart"),
        ("postgresql://h/etl?dbname=x&a=b&c=d", "postgresql://h/mart?a=b&c=d"),
        ("postgresql:///?host=/tmp", "postgresql:///mart?host=/tmp"),
    ],
)
def test_a_database_beside_the_control_database_has_its_url_with_another_name(
    control: str, url: str
) -> None:
    found = placed(NamedConnection("control:///mart", 5.0), lambda: control)
    assert (found.url, found.control_url, found.lock_timeout_s) == (url, control, 5.0)

    def never() -> str:
        raise AssertionError

    other = NamedConnection("postgresql://x/y")
    assert placed(other, never) is other
