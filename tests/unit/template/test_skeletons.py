"""The SQL of a template without its values: what stands for each construct, and on which line."""

import pytest

from headrace.template.rendered import marker
from headrace.template.skeleton import UNKNOWN, skeletons, sql_for_parsers

V = marker("p1")
NAME = '"headrace_unknown"'


@pytest.mark.parametrize(
    ("template", "marked"),
    [
        ("SELECT 1", "SELECT 1"),
        ("", ""),
        ("a {{ x }} b {{ params.y | upper }}", f"a {V} b {V}"),
        ("{{ x | identifier }}", NAME),
        ("{{ x | identifiers }}", NAME),
        ("{{ x | name }}", NAME),
        ("{{ x | names }}", NAME),
        ("{{ x | column_type }}", "text"),
        ("{{ x | order }}", "ASC"),
        ("IN {{ x | inlist }}", f"IN ({V})"),
        ("{% for a in x %}, {{ a }}{% endfor %}", f", {V}"),
        ("{% with a = 1 %}{{ a }}{% endwith %}", V),
        ("{% set a = 1 %}b", "b"),
        ("{% macro m(a) %}m{{ a }}{% endmacro %}x{{ m(1) }}y{{ other(1) }}", f"xm{V}y{V}"),
        ("{% macro m() %}o{{ m() }}{% endmacro %}{{ m() }}", "o" * 8),
    ],
)
def test_what_stands_for_each_construct(template: str, marked: str) -> None:
    first, *_ = skeletons(template)

    assert first.marked == marked


def test_a_character_comes_from_its_line_of_the_template() -> None:
    template = "a\nb {{ x }}\n{% if y %}c\nd{% else %}e{% endif %}\nf {{ z | order }}"
    first, last = skeletons(template)

    assert [first.line_at(first.marked.index(one)) for one in "abcdf"] == [1, 2, 3, 4, 5]
    assert [last.line_at(last.marked.index(one)) for one in "abef"] == [1, 2, 4, 5]
    assert first.line_at(first.marked.index("ASC")) == 5


def test_a_parser_gets_a_name_for_each_value_and_what_is_no_template_as_it_is() -> None:
    assert sql_for_parsers("a {{ x }} {{ y | name }}") == f"a {UNKNOWN} {UNKNOWN}"
    assert sql_for_parsers("a {% if") == "a {% if"
