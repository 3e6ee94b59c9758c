"""What `validate` knows of a template's values, and says of them, before any run."""

from datetime import date, timedelta

import pytest

from headrace.template.checking import Checked, check_expression, check_value
from headrace.template.shapes import (
    ANY,
    MAPPING,
    TEXT,
    Shape,
    as_json,
    joined,
    mapping_of,
    of_param,
)

PARAMS = {
    "n": {"type": "integer"},
    "t": {},
    "e": {"enum": ["eu", "us"]},
    "day": {"type": "date"},
    "at": {"type": "datetime"},
    "l": {"type": "list"},
    "b": {"type": "boolean"},
}
VARIABLES = {
    "params": mapping_of({name: of_param(one) for name, one in PARAMS.items()}, "params"),
    "any": ANY,
    "fixed": Shape(date(2026, 7, 1), exact=True),
    "run": mapping_of({"a-b": TEXT, "c": TEXT}, "run"),
}


def said(found: Checked) -> list[str]:
    return [f"{fault.message}; {fault.hint}" for fault in found.faults]


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("params.l | map('upper') | list", "a list"),
        ("params.l | select('even') | list", "a list"),
        ("any | list", "a list"),
        ("params.keys() | list", "a list"),
        ("any | map(*any) | list", "a list"),
        ("any | replace(*any)", "a text"),
        ("any | round(1, 'ceil')", "a number"),
        ("params | length", "a number"),
        ("range(*any)", ""),
        ("params.n is even", "true or false"),
        ("any is even", "true or false"),
        ("params is mapping", "true or false"),
        ("params.n / 0", ""),
        ("params.n ** 10 ** 10", "a number"),
        ("params.at > params.at", "true or false"),
        ("1 < 2 < 3", "true or false"),
        ("'a' ~ 'b' == 'ab'", "true or false"),
        ("1 in any", "true or false"),
        ("'a' in params.t", "true or false"),
        ("true == 1", "true or false"),
        ("params.b == 1", "true or false"),
        ("params.n == none", "true or false"),
        ("{'a': 1}.a + 1", "a number"),
        ("'a' if params.b else 'b'", "a text"),
        ("'a' if params.b", ""),
        ("'a' if params.b else 1", ""),
        ("{params.t: 1}.b", ""),
        ("params.t[0]", "a text"),
        ("run['a-b']", "a text"),
        ("params.items()", ""),
        ("params.get('n')", ""),
        ("any()", ""),
        ("any.upper()", ""),
        ("nope | default(1)", ""),
        ("nope is defined", "true or false"),
        ("params.nope is defined", "true or false"),
        ("none is none", "true or false"),
        ("params.day - params.day", "a span of time"),
        ("[1, 2][5]", "a number"),
        ("'x' | int(base=99)", "a number"),
    ],
)
def test_what_a_run_may_evaluate_is_content_and_its_type_is_known(
    expression: str, kind: str
) -> None:
    found = check_expression(expression, VARIABLES)
    assert said(found) == []
    assert found.shape.kind == kind


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("params.l | map('uper') | list", 'unknown filter "uper"; did you mean "upper"?'),
        ("params.l | select('evn') | list", 'unknown test "evn"; did you mean "even"?'),
        ("params.l | reject('x y') | list", 'unknown test "x y"; docs/'),
        # What is made of its answer has no fault of its own.
        ("(params.n is evn) ~ 'x' or -1", 'unknown test "evn"; did you mean "even"?'),
        ("any | upper(1, 2)", '"upper" cannot be used like this: too many positional arguments'),
        ("any | list(1)", '"list" cannot be used like this: too many positional arguments'),
        ("any | replace", '"replace" cannot be used like this: missing a required argument'),
        ("[] | first | upper", '"first" cannot be used like this: No first item'),
        ("params.t is even", '"even" cannot be used like this: '),
        ("1 / 0", '"/" cannot be used like this: division by zero'),
        ("1 / (fixed.year - 2026)", '"/" cannot be used like this: division by zero'),
        ("10 ** 10 ** 10", '"**" cannot be used like this: 10000000000 ** 10 is too large'),
        ("'%s' % 1", "formatting with % is not available: join strings with ~"),
        ("params.t % 1", "formatting with % is not available: join strings with ~"),
        ("params.at < '2024'", "compares a time with a text, which have no order; convert the"),
        ("params.day < params.at", "a date with a time, which have no order; take the day"),
        ("1 < params.n < '3'", "params.n < '3' compares a number with a text, which have no"),
        ("params.t ~ 'x' == 5", "… == 5 compares a text with a number, which are never equal"),
        ("1 in params.n", "1 in params.n looks for a number in a number"),
        ("1 in 'abc'", "1 in 'abc' looks for a number in a text"),
        ("params.t in [1, 2]", "compares a text with a number, which are never equal"),
        ("params.b == 'x'", "compares true or false with a text, which are never equal"),
        ("params.e == 'uk'", 'is never true: there is no "uk"; it is one of: eu, us'),
        ("params.e == 'uss'", 'did you mean "us"? It is one of: eu, us'),
        ("{'a': 1}.b", '… has no "b"; there are: a'),
        ("{'a': params.n}.a + 'x'", "+ cannot be used with a number and a text: ….a + 'x'"),
        ("('a' if params.b else 'b') + 1", "+ cannot be used with a text and a number"),
        ("params.n.x", 'is a number and has no "x"; docs/'),
        ("params.n[0]", "is a number, which has no entries"),
        ("run.a-b", "\"a-b\" is read as a subtraction; a name with a hyphen is written run['a-b']"),
        ("run.a", "run has no \"a\"; a name with a hyphen is written run['a-b']"),
        ("run.c()", '"c" cannot be called in a template'),
        ("5()", '"it" cannot be called in a template'),
        ("any.foo()", '"foo" is a value, and cannot be called'),
        ("params.l.append", '"append" cannot be used in a template; docs/'),
        ("params.t._x", '"_x" cannot be used in a template: it begins with "_"; docs/'),
        ("any.__class__", '"__class__" cannot be used in a template: it begins with "_"; docs/'),
        ("params.day - params.at", "- cannot be used with a date and a time"),
        ("range(3) + 1", "+ cannot be used with a list and a number: range(…) + 1"),
        ("(", "this is not a valid template: unexpected 'end of template'"),
        ("(" * 300 + "1" + ")" * 300, "it is nested too deeply; nest less"),
    ],
)
def test_what_no_run_can_evaluate_is_told_with_a_remedy(expression: str, told: str) -> None:
    (first, *_) = said(check_expression(expression, VARIABLES))
    assert told in first


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{% for i in params.n %}{% endfor %}", ["is a number, which cannot be looped over; loop"]),
        ("{% for i in params.l %}{{ i + 1 }}{% endfor %}", []),
        ("{% for i in params.t %}{{ i + 1 }}{% endfor %}", ["a text and a number: i + 1"]),
        ("{% for k in params %}{{ k + 1 }}{% endfor %}", ["a text and a number: k + 1"]),
        ("{% for i in [1] if nope %}{{ i }}{% endfor %}", ['unknown name "nope"']),
        ("{% for i in [1] %}{{ loop.index }}{% else %}{{ x }}{% endfor %}", ['unknown name "x"']),
        ("{% for i in [1] %}{% endfor %}{{ i }}", ['unknown name "i"']),
        ("{% set a = params.n %}{{ a + 'x' }}", ["a number and a text: a + 'x'"]),
        ("{% if params.b %}{% set a = 1 %}{% else %}{% set a = 'x' %}{% endif %}{{ a + 1 }}", []),
        (
            "{% with a = params.n %}{{ a + 'x' }}{% endwith %}{{ a }}",
            ["a number and a text: a + 'x'", 'unknown name "a"'],
        ),
        ("{% with a, b = any %}{{ a }}{{ b }}{% endwith %}", []),
        ("{% set a, b = [1, 2] %}{{ a + 'x' }}", []),
        ("{% macro m(a, b=nope) %}{{ a }}{% endmacro %}{{ m(1) }}", ['unknown name "nope"']),
        ("{% macro m(a) %}{{ a }}{{ nope }}{% endmacro %}", ['unknown name "nope"']),
        ("{% if 1 %}a{% else %}{{ nope }}{% endif %}", []),
        ("{% if 0 %}{{ a }}{% elif params.b %}{{ b }}{% else %}{{ c }}{% endif %}", ['"b"', '"c"']),
        ("x{{ none }}", ["a null is inside a text; remove it, or write a text"]),
        ("{% filter upper %}{% endfilter %}", ["FilterBlock is not available in templates"]),
    ],
)
def test_the_statements_of_a_template_are_followed(template: str, told: list[str]) -> None:
    found = said(check_value(template, VARIABLES))
    assert len(found) == len(told), found
    assert all(words in text for words, text in zip(told, found, strict=True))


@pytest.mark.parametrize(
    ("template", "kind"),
    [
        ("{{ params.n }}", "a number"),
        ("a{{ params.n }}", "a text"),
        ("{{ none }}", "null"),
        ("{{ {'a': days(1)} }}", "a mapping"),
        ("{{ days(1) }}", "a span of time"),
        ("{{ params.day }}", "a date"),
    ],
)
def test_one_expression_keeps_its_type(template: str, kind: str) -> None:
    assert check_value(template, VARIABLES).shape.kind == kind


def test_what_is_stored_is_what_json_has_of_it() -> None:
    assert as_json(Shape(timedelta(days=1))).sample == 86400.0
    day = as_json(Shape(date(2024, 1, 1), exact=True))
    assert (day.sample, day.exact) == ("2024-01-01", True)


def test_several_values_have_in_common_what_each_of_them_has() -> None:
    assert joined([]) is ANY
    assert joined([TEXT, Shape(1)]) is ANY
    assert joined([MAPPING, mapping_of({"a": TEXT})]).kind == "a mapping"
    both = joined([mapping_of({"a": TEXT, "b": TEXT}), mapping_of({"a": Shape(1), "b": TEXT})])
    assert both.members is not None
    assert {name: one.kind for name, one in both.members.items()} == {"a": "", "b": "a text"}
    assert joined([mapping_of({"a": TEXT}), mapping_of({})]).open
    assert not both.open


def test_a_mistake_is_told_once_for_each_line() -> None:
    assert [
        one.line for one in check_value("{{ prams }}{{ prams }}\n{{ prams }}", VARIABLES).faults
    ] == [1, 2]
