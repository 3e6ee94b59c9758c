"""SQL with markers, which stands for what a template may become."""

import pytest

from headrace.template.rendered import marker
from headrace.template.skeleton import Skeleton, skeletons, sql_for_parsers

MARK = marker("p1")


@pytest.mark.parametrize(
    ("template", "marked"),
    [
        ("", ""),
        ("select 1\n\n", "select 1\n\n"),
        ("a {{ b }} c", f"a {MARK} c"),
        ("{{ b | identifier }}.{{ b | name }}", '"headrace_unknown"."headrace_unknown"'),
        ("{{ b | identifiers }}, {{ b | names }}", '"headrace_unknown", "headrace_unknown"'),
        ("{{ b | column_type }} {{ b | order }}", "text ASC"),
        ("in {{ b | inlist }} {{ b | upper }}", f"in ({MARK}) {MARK}"),
        ("{% set b = 1 %}a{% for c in d %} {{ c }}{% endfor %}", f"a {MARK}"),
        ("{% with b = 1 %}a {{ b }}{% endwith %}{# no #}", f"a {MARK}"),
        ("{% macro m(b) %}a {{ b }}{% endmacro %}{{ m(1) }}, {{ n(1) }}", f"a {MARK}, {MARK}"),
        ("{% macro m() %}a{% endmacro %}{{ b.m() }} {{ m }}", f"{MARK} {MARK}"),
        ("{% macro m() %}a{% endmacro %}" + "{{ m() }}" * 12, "a" * 12),
        # Macros that call each other are followed eight deep.
        (
            "{% macro a() %}x{{ b() }}{% endmacro %}{% macro b() %}y{{ a() }}{% endmacro %}{{a()}}",
            "xyxyxyxy",
        ),
    ],
)
def test_each_part_of_a_template_has_its_text(template: str, marked: str) -> None:
    assert Skeleton(template).marked == marked


@pytest.mark.parametrize(
    ("template", "branches"),
    [
        ("{% if a %}b{% endif %}", ("b", "")),
        ("{% if a %}b{% else %}c{% endif %}", ("b", "c")),
        ("{% if a %}b{% elif c %}d{% elif e %}f{% endif %}", ("b", "f")),
        ("{% if a %}b{% elif c %}d{% else %}e{% endif %}", ("b", "e")),
    ],
)
def test_of_a_condition_the_first_branch_is_taken_or_the_last(
    template: str, branches: tuple[str, str]
) -> None:
    assert tuple(Skeleton(template, last_branch=last).marked for last in (False, True)) == branches
    assert tuple(one.marked for one in skeletons(template)) == branches


def test_what_has_no_condition_stands_for_itself_once() -> None:
    assert [one.marked for one in skeletons("select {{ a }}")] == [f"select {MARK}"]
    assert [one.marked for one in skeletons("{% if a")] == []


def test_each_character_has_the_line_of_the_template() -> None:
    text = "a\n{% if b %}\nc {{ d }}\n\ne\n{% endif %}f\n"
    found = Skeleton(text)

    lines = {one: found.line_at(found.marked.index(one)) for one in ("a", "c", MARK, "e", "f")}

    assert lines == {"a": 1, "c": 3, MARK: 3, "e": 5, "f": 6}
    folded = "{# one\ntwo #}a\n{% if x %}b\n{% else %}c\n{% endif %}d {{ e\n }} f"
    for last, branch in ((False, {"b": 3}), (True, {"c": 4})):
        found = Skeleton(folded, last_branch=last)
        known = {"a": 2, **branch, "d": 5, MARK: 5, " f": 6}
        assert {one: found.line_at(found.marked.index(one)) for one in known} == known
    assert [Skeleton("a\nb\nc").line_at(at) for at in (0, 1, 2, 4)] == [1, 1, 2, 3]


def test_a_parser_reads_a_name_in_the_place_of_each_value() -> None:
    sql = "select {{ a }} from {{ b | identifier }} where c in {{ d | inlist }}"

    assert sql_for_parsers(sql) == (
        "select headrace_unknown from headrace_unknown where c in (headrace_unknown)"
    )
