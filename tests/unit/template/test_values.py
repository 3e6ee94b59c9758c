from datetime import UTC, date, datetime

import pytest

from headrace.errors import TemplateError
from headrace.template import evaluate, render_value

CONTEXT = {
    "params": {"day": date(2024, 3, 1), "n": 3, "list": [1, 2], "none": None, "text": "{{ 1 }}"},
    "run": {"logical_date": datetime(2024, 3, 1, 12, tzinfo=UTC)},
}


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("plain", "plain"),
        (7, 7),
        (None, None),
        ("{{ params.n }}", 3),
        ("{{ params.n }} ", "3 "),
        ("{{ params.list }}", [1, 2]),
        ("{{ params.none }}", None),
        ("{{ params.day }}", "2024-03-01"),
        ("data/orders-{{ params.day }}.csv", "data/orders-2024-03-01.csv"),
        ("{{ params.day - days(1) }}", "2024-02-29"),
        ("{{ params.day.day != 1 }}", False),
        ("{{ run.logical_date }}", "2024-03-01T12:00:00+00:00"),
        ("{{ run.logical_date | strftime('%Y%m') }}", "202403"),
        ("{{ '2024-03-15' | date | month_start }}", "2024-03-01"),
        ("{{ '2024-03-31' | date | add_months(-1) }}", "2024-02-29"),
        ("{{ '2023-12-31' | add_months(2) }}", "2024-02-29"),
        (
            "{{ ('2024-02-29T08:30' | datetime | add_years(1)) | strftime('%Y%m%d%H%M') }}",
            "202502280830",
        ),
        ("{{ params.n }}{{ params.n }}", "33"),
        ("{% if params.n > 2 %}many{% endif %}", "many"),
        ("{{ '}}' }}", "}}"),
        ("{{ params.text }}", "{{ 1 }}"),
        ({"a": ["{{ params.n }}", {"b": "x{{ params.n }}"}]}, {"a": [3, {"b": "x3"}]}),
        ("{{ [3, 1] | sort }}", [1, 3]),
        ("{{ params.list | map('abs') }}", [1, 2]),
    ],
)
def test_a_value_keeps_its_type_where_it_is_one_expression(value, rendered):
    result = render_value(value, CONTEXT)

    assert result == rendered
    assert type(result) is type(rendered)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{{ params.dya }}", 'did you mean "day"'),
        ("{{ prams.day }}", 'did you mean "params"'),
        ({"a": ["x", "{{ nope }}"]}, r"^with\.a\[1\]: 'nope' is undefined"),
        ("a {{ params.none }}", "null"),
        ("{{ params.day.", "with"),
        ("{{ range }}", "cannot be passed"),
        ("{{ ''.__class__ }}", "unsafe"),
    ],
)
def test_an_error_tells_where_in_the_value_it_is(value, told):
    with pytest.raises(TemplateError, match=told):
        render_value(value, CONTEXT, name="with")


@pytest.mark.parametrize("character", [r"\0", r"\ud800", r"\ude00\ud83d"])
@pytest.mark.parametrize(
    "value",
    [
        "{{ 'CHARACTER' }}",
        "a {{ 'CHARACTER' }} b",
        "{{ ['a', {'b': 'CHARACTER'}] }}",
        "{{ {'CHARACTER': 1} }}",
    ],
)
def test_a_character_that_cannot_be_stored_is_refused_at_its_place(value, character):
    text = "a text has a character that cannot be stored: NUL or half a surrogate pair"
    with pytest.raises(TemplateError) as refused:
        render_value([0, value.replace("CHARACTER", character)], CONTEXT)
    assert str(refused.value) == f"value[1]: {text}"


def test_two_halves_of_a_pair_are_their_character():
    assert render_value(r"{{ '\ud83d\ude00' }}", CONTEXT) == "\U0001f600"
    assert render_value(r"ä {{ '\ud83d\ude00' }}", CONTEXT) == "ä \U0001f600"


def test_a_condition_may_be_written_with_or_without_braces():
    assert evaluate("params.day.day == 1", CONTEXT) is True
    assert evaluate("{{ params.day.day == 1 }}", CONTEXT) is True


@pytest.mark.parametrize("name", ["items", "keys", "values", "get"])
def test_an_entry_comes_before_a_method_of_its_name(name):
    context = {"params": {name: 7}, "run": {}}

    assert render_value(f"{{{{ params.{name} }}}}", context) == 7
    assert render_value("{{ params.items() | list | length }}", {"params": {"n": 1}}) == 1
