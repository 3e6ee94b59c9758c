"""Templates as hardly anybody writes them: what is found in them, and what they are."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from headrace.declarations.step_templates.substitution import Substitution
from headrace.errors import TemplateError
from headrace.template import budget
from headrace.template.budget import Budget
from headrace.template.checking import check_value
from headrace.template.dates import as_instant
from headrace.template.measure import characters
from headrace.template.printed import printed
from headrace.template.shapes import UNKNOWN, Shape, like, mapping_of, of_param
from headrace.template.skeleton import skeletons, sql_for_parsers
from headrace.template.sql_literals import literal
from headrace.template.syntax import is_single_expression, pieces, reading
from headrace.template.values import environment

PARAMS = {"l": of_param({"type": "list"}), "n": of_param({"type": "integer"})}
KNOWN = {"params": mapping_of(PARAMS, "params")}
BROKEN = "select {{ ("


def told(template: str) -> list[tuple[str, str]]:
    return [(fault.code, fault.message) for fault in check_value(template, KNOWN).faults]


@pytest.mark.parametrize(
    ("template", "chains"),
    [
        (
            "{% for a in b %}{{ a.x }}{{ loop.index }}{% else %}{{ c.y }}{{ a.z }}{% endfor %}",
            [("a", "z"), ("b",), ("c", "y")],
        ),
        ("{% for a in b if c.d == a %}{{ a }}{% endfor %}", [("b",), ("c", "d")]),
        ("{% set a = b.c %}{{ a.x }}{{ d }}", [("b", "c"), ("d",)]),
        (
            "{% macro m(a, e=f.g) %}{{ a }}{{ e }}{{ h }}{{ varargs }}{% endmacro %}{{ m(a) }}",
            [("a",), ("f", "g"), ("h",)],
        ),
        (
            "{% with a = b.c %}{% set e = 1 %}{{ a }}{{ d }}{{ e }}{% endwith %}{{ a.q }}{{ e.r }}",
            [("a", "q"), ("b", "c"), ("d",), ("e", "r")],
        ),
    ],
)
def test_a_name_is_a_variable_where_nothing_in_the_template_gives_it_a_value(
    template: str, chains: list[tuple[str, ...]]
) -> None:
    assert sorted(reading(template).chains) == chains


@pytest.mark.parametrize(
    ("template", "faults"),
    [
        ("{% autoescape true %}{{ prams }}{% endautoescape %}", ["prams"]),
        ("{% autoescape prams %}x{% endautoescape %}", ["prams"]),
        ("{% autoescape params.n %}{{ params.n }}{% endautoescape %}", []),
        # What a list that is empty as yet has first, is not known.
        ("{{ params.l | first }}", []),
        ("{{ (params.l | first).name }}", []),
        (
            "{{ ([] | first).name }}",
            ['"first" cannot be used like this: No first item, sequence was empty.'],
        ),
        # A mapping's own methods are none of its members.
        ("{{ params.keys }}", []),
        ("{{ params.kyes }}", ['params has no "kyes"']),
        ("{{ dict(a=params.n).b }}", []),
    ],
)
def test_only_what_cannot_be_meant_is_told(template: str, faults: list[str]) -> None:
    names = [f'unknown name "{one}"' if " " not in one else one for one in faults]

    assert [message for _code, message in told(template)] == names


def test_a_filter_that_tells_nothing_of_its_arguments_is_given_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filters = environment.filters
    monkeypatch.setitem(filters, "signed", lambda value: value)
    # As some that are written in C.
    monkeypatch.setitem(filters, "unsigned", dict)

    assert told("{{ params.n | signed(1, 2) }}") != []
    assert told("{{ params | unsigned(1, 2) }}") == []


def test_a_mapping_that_a_filter_has_made_has_members_that_nobody_knows() -> None:
    made = like({"a": 1})

    assert (made.sample, made.members, made.kind) == ({}, None, "a mapping")
    assert repr(UNKNOWN) == "unknown"
    assert "unknown" in repr(Shape(UNKNOWN))


def test_a_loop_ends_when_the_time_of_its_template_is_over() -> None:
    spent = Budget({}, deadline=0.0)

    with pytest.raises(TemplateError) as caught:
        spent.spend_iteration()

    assert str(caught.value) == f"rendering takes longer than {budget.MAX_SECONDS:g} s"
    Budget({}).spend_iteration()


@pytest.mark.parametrize("offset", [timedelta(hours=2), timedelta(0)])
def test_a_time_with_its_own_zone_keeps_it(offset: timedelta) -> None:
    berlin = timezone(timedelta(hours=1))
    context: Any = {"run": {"logical_date": datetime(2026, 1, 1, tzinfo=berlin)}}
    moment = datetime(2026, 1, 31, 12, tzinfo=timezone(offset))

    assert as_instant(context, moment).utcoffset() == offset
    assert as_instant(context, moment.isoformat()).utcoffset() == offset
    assert as_instant(context, "2026-01-31T12:00").utcoffset() == timedelta(hours=1)
    empty: Any = {}
    assert as_instant(empty, "2026-01-31T12:00").tzinfo is UTC


def test_elements_of_rarer_kinds_are_counted_with_all_their_parts() -> None:
    class Text(str):
        """As a safe text of Jinja is."""

    assert characters([b"abc", Text("de")], 1000) == characters(["abc", "de"], 1000)
    for made in (set, frozenset):
        few, many = made(("a",)), made(("a", "bcd", "ef"))
        assert characters([many], 1000) - characters([few], 1000) == characters(
            [["a", "bcd", "ef"]], 1000
        ) - characters([["a"]], 1000)


def test_what_is_no_template_has_no_pieces_and_is_taken_as_it_is() -> None:
    assert pieces("{{ 'a }}") == []
    assert not is_single_expression("{{ 'a }}")
    assert list(skeletons(BROKEN)) == []
    assert sql_for_parsers(BROKEN) == BROKEN
    assert is_single_expression("{{ a }}")
    assert sql_for_parsers("select {{ a }}") != "select {{ a }}"


def test_a_line_s_end_of_two_characters_moves_no_place() -> None:
    template = "a\r\n{{ b }}\r\n\rc{% if d %}\r\n{{ e }}{% endif %}"

    found = pieces(template)

    assert [template[one.start : one.end] for one in found if one.words] == [
        "{{ b }}", "{% if d %}", "{{ e }}", "{% endif %}",
    ]  # fmt: skip
    values = {"x": "X"}
    made = Substitution().step({"with": "a\r\nb {{ template.x }}"}, values)
    assert made == {"with": "a\r\nb X"}


def test_a_mapping_is_written_into_sql_as_json() -> None:
    assert literal({"a": 1, "b": "it's"}) == '\'{"a": 1, "b": "it\'\'s"}\''
    assert literal([{"a": 1}]) == "ARRAY['{\"a\": 1}']"


def test_what_a_loop_over_a_loops_own_name_prints_ends_somewhere() -> None:
    assert printed("{% for a in a.b %}{{ a }}{% endfor %}") == {("a", "b")}
    nested = "{% for a in c %}{% for b in a.d %}{{ b.e }}{% endfor %}{% endfor %}{{ f.g }}"
    assert ("f", "g") in printed(nested)
    # Of an item that stands in the template itself nothing outside is spelt.
    own = "{% for a in [1.50] %}{% for b in c %}{{ a }}{{ b }}{% endfor %}{% endfor %}"
    assert printed(own) == {("c",)}
