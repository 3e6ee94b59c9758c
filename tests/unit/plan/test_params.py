"""Given parameters and defaults become checked values of their declared types."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from headrace.errors import InvalidParams, TemplateError
from headrace.model.pipeline import Param, Pipeline, Schedule
from headrace.plan.params import resolve_params
from headrace.plan.variables import run_variables
from headrace.template.values import render_value

LOGICAL_DATE = datetime(2025, 6, 30, 22, tzinfo=UTC)


def pipeline(*params: Param, timezone: str = "UTC") -> Pipeline:
    schedule = Schedule(cron="@daily", timezone=timezone)
    return Pipeline("sales", "sales.yaml", "/", "v", (), params=params, schedules=(schedule,))


def render(value: Any, variables: Mapping[str, Any]) -> Any:
    """Stand in for the template language: `{{ a.b }}` gives the value itself."""
    if not (isinstance(value, str) and value.startswith("{{ ")):
        return value
    found: Any = variables
    for name in value[3:-3].split("."):
        if name not in found:
            raise TemplateError(f'"{name}" is undefined')
        found = found[name]
    return found


def resolve(given: dict[str, Any], *params: Param, **variables: Any) -> dict[str, Any]:
    return resolve_params(pipeline(*params), given, render=render, variables=variables)


def problem(given: dict[str, Any], *params: Param) -> str:
    with pytest.raises(InvalidParams) as caught:
        resolve(given, *params)
    return str(caught.value)


@pytest.mark.parametrize(
    ("type_name", "given", "value"),
    [
        ("string", "", ""),
        ("string", "{{ not.a.template }}", "{{ not.a.template }}"),
        ("integer", "-12", -12),
        ("integer", 12, 12),
        ("number", "1.5e3", 1500.0),
        ("number", "7", 7),
        ("number", "-" + "9" * 400, -(10**400) + 1),
        ("number", 10**400, 10**400),
        ("number", 0.5, 0.5),
        ("boolean", "True", True),
        ("boolean", False, False),
        ("date", "2025-02-28", date(2025, 2, 28)),
        ("date", date(2025, 2, 28), date(2025, 2, 28)),
        ("datetime", "2025-02-28T06:00:00Z", datetime(2025, 2, 28, 6, tzinfo=UTC)),
        ("datetime", "2025-02-28 06:00", datetime(2025, 2, 28, 6, tzinfo=UTC)),
        ("datetime", "2025-02-28T07:00+01:00", datetime(2025, 2, 28, 6, tzinfo=UTC)),
        ("datetime", date(2025, 2, 28), datetime(2025, 2, 28, tzinfo=UTC)),
        ("list", "eu, us,apac", ["eu", "us", "apac"]),
        ("list", "[1, [2]]", [1, [2]]),
        ("list", "", []),
        ("list", ("a", 1), ["a", 1]),
        ("list", ["\ud83d\ude00", b"a", True, None, 0.5], ["\ud83d\ude00", b"a", True, None, 0.5]),
    ],
)
def test_a_given_value_is_read_by_its_declared_type(type_name, given, value):
    assert resolve({"p": given}, Param("p", type_name)) == {"p": value}


@pytest.mark.parametrize(
    ("type_name", "given", "said"),
    [
        ("string", 5, "is 5, not a string"),
        ("integer", "1.0", 'is "1.0", not an integer'),
        ("integer", 1.0, "is 1.0, not an integer"),
        ("integer", True, "is true, not an integer"),
        ("integer", "9" * 5000, "not an integer"),
        ("integer", "", "not an integer"),
        ("number", "nan", "not a number"),
        ("number", "1e-99999999999999999999", "not a number"),
        ("list", "[1e99999999999999999999]", "not a list in JSON"),
        ("number", True, "not a number"),
        ("number", Decimal("sNaN"), "not a number"),
        ("list", [Decimal("sNaN")], "cannot be stored: sNaN is no number in JSON"),
        ("number", "1e999", "not a number"),
        ("number", float("inf"), "not a number"),
        ("number", "1_000", "not a number"),
        ("boolean", "yes", "true or false"),
        ("boolean", 1, "true or false"),
        ("date", "2025-02-30", "no such day"),
        ("date", "20250228", "as in 2025-01-31"),
        ("date", "2025-02-28T00:00:00Z", "as in 2025-01-31"),
        ("date", "2025-W09-5", "as in 2025-01-31"),
        ("datetime", "2025-02-28T25:00", "not a datetime"),
        ("datetime", "noon", "not a datetime"),
        ("list", "[1,", "not a list in JSON"),
        ("list", 5, "not a list"),
        ("list", "[" * 9000, "not a list in JSON"),
        ("list", [1, float("nan")], "cannot be stored: nan is no number in JSON"),
        ("list", [{"n": Decimal("NaN")}], "cannot be stored: NaN is no number in JSON"),
        ("list", [b"\xff"], "cannot be stored: bytes are not text in UTF-8"),
        ("list", '["a\\u0000"]', "cannot be stored: a text has a NUL or half a surrogate pair"),
        ("string", "\udcff", "cannot be stored: a text has a NUL or half a surrogate pair"),
        ("integer", None, "is null, not an integer"),
        ("wibble", "x", 'has the unknown type "wibble"'),
    ],
)
def test_a_value_of_another_type_is_refused(type_name, given, said):
    assert said in problem({"p": given}, Param("p", type_name, required=True))


def test_a_list_that_holds_itself_is_refused():
    endless: list[Any] = []
    endless.append(endless)

    assert "cannot be stored: it is nested too deeply" in problem(
        {"p": endless}, Param("p", "list")
    )


def test_all_problems_are_told_at_once_with_a_suggestion_for_an_unknown_name():
    message = problem(
        {"dya": "2025-01-01", "limit": "x"},
        Param("day", "date", required=True),
        Param("limit", "integer"),
    )

    assert message == (
        'the parameters do not fit pipeline "sales":\n'
        '  parameter "dya" is not declared: did you mean "day"?\n'
        '  parameter "day" is required: a value of type date\n'
        '  parameter "limit" is "x", not an integer'
    )


def test_a_pipeline_without_parameters_takes_none():
    assert resolve({}) == {}
    assert 'parameter "p" is not declared: the pipeline has none' in problem({"p": "1"})


def test_a_default_stands_in_for_what_was_not_given_and_is_checked_too():
    assert resolve({}, Param("n", "integer", default=3), Param("m", "integer", default="4")) == {
        "n": 3,
        "m": 4,
    }
    assert "less than its min of 5" in problem({}, Param("n", "integer", default=3, min=5))


def test_a_parameter_without_value_default_and_need_is_none():
    assert resolve({}, Param("n", "integer", min=1)) == {"n": None}


def test_a_default_may_be_a_template_over_the_run_and_earlier_parameters():
    resolved = resolve(
        {"a": "7"},
        Param("a", "integer"),
        Param("b", "integer", default="{{ params.a }}"),
        Param("c", "string", default="{{ params.a }}"),
        Param("d", "string", default="{{ run.id }}"),
        run={"id": "x"},
    )

    assert resolved == {"a": 7, "b": 7, "c": "7", "d": "x"}


def test_a_default_that_cannot_be_rendered_is_told_with_its_parameter():
    assert 'parameter "b" "nobody" is undefined' in problem(
        {}, Param("b", default="{{ params.nobody }}")
    )


@pytest.mark.parametrize("rendering", [render, render_value])
def test_the_logical_date_is_the_day_on_the_schedules_clock(rendering):
    berlin = pipeline(
        Param("day", "date", default="{{ run.logical_date }}"), timezone="Europe/Berlin"
    )

    resolved = resolve_params(
        berlin, {}, render=rendering, variables={"run": run_variables(berlin, LOGICAL_DATE, {})}
    )

    assert resolved == {"day": date(2025, 7, 1)}


def test_the_schedule_that_fired_decides_about_the_clock():
    variables = run_variables(
        pipeline(timezone="Europe/Berlin"), LOGICAL_DATE, {"timezone": "Asia/Tokyo", "id": 1}
    )

    assert variables["logical_date"] == LOGICAL_DATE
    assert variables["logical_date"].tzinfo == ZoneInfo("Asia/Tokyo")
    assert variables["id"] == 1
    assert variables["pipeline"] == "sales"


@pytest.mark.parametrize(
    ("at", "zone"),
    [
        (datetime(1, 1, 1, tzinfo=UTC), "America/Lima"),
        (datetime(9999, 12, 31, 23, tzinfo=UTC), "Asia/Tokyo"),
    ],
)
def test_a_logical_date_that_the_schedules_clock_does_not_have_is_refused(at, zone):
    with pytest.raises(InvalidParams) as refused:
        run_variables(pipeline(timezone=zone), at, {})

    assert str(refused.value) == (
        f"logical_date: {at.isoformat()} is at the calendar's edge, where the clock of {zone} has"
        " no time for it"
    )


@pytest.mark.parametrize(
    ("param", "good", "bad", "said"),
    [
        (Param("p", "string", enum=("eu", "us")), "us", "apac", 'is "apac", not one of eu, us'),
        (
            Param("p", "string", enum=("gr\u00f6\u00dfe",)),
            "gr\u00f6\u00dfe",
            "gro\u0308\u00dfe",
            "looks the same",
        ),
        (Param("p", "list", enum=("eu", "us")), "us,eu", "us,x", 'is "x", not one of eu, us'),
        (Param("p", "date", enum=("2025-01-01",)), "2025-01-01", "2025-01-02", "not one of 2025"),
        (Param("p", pattern="[a-z]+"), "abc", "abc1", "does not match the pattern [a-z]+"),
        (Param("p", "integer", min=1, max=9), "9", "10", "is 10, more than its max of 9"),
        (Param("p", "number", min=0.5), "0.5", "0.4", "is 0.4, less than its min of 0.5"),
        (
            Param("p", "date", min="2025-01-01"),
            "2025-01-01",
            "2024-12-31",
            "less than its min of 2025",
        ),
        (Param("p", "string", max=3), "abc", "abcd", "has the length 4, more than its max of 3"),
        (Param("p", "list", min=1), "a", "", "has the length 0, less than its min of 1"),
        (
            Param("p", "datetime", max="2025-01-01T00:00:00Z"),
            "2025-01-01T01:00:00+01:00",
            "2025-01-01T00:00:01Z",
            "more than its max",
        ),
    ],
)
def test_enum_pattern_min_and_max_are_kept(param, good, bad, said):
    resolve({"p": good}, param)

    assert said in problem({"p": bad}, param)


def test_a_broken_pattern_is_told_and_breaks_nothing():
    assert "not a regular expression" in problem({"p": "x"}, Param("p", pattern="("))


def test_a_long_value_is_shortened_in_the_message():
    assert len(problem({"p": "x" * 10_000}, Param("p", "integer"))) < 300
