"""A value that its neighbours would take apart stands in parentheses, and no other text changes."""

import pytest

from headrace.template.rendered import marker, with_binds_apart

ONE, TWO = marker("p1"), marker("p2")


@pytest.mark.parametrize(
    "text",
    [
        "{1}::date",
        "{1} :: int",
        "select {1}::int, {2}::text",
        "select {1}[1], {2} COLLATE x",
        "select {1} at time zone 'UTC'",
    ],
)
def test_what_belongs_to_a_value_more_closely_than_its_sign_stands_behind_parentheses(
    text: str,
) -> None:
    bare, apart = ({"{1}": one, "{2}": two} for one, two in ((ONE, TWO), (f"({ONE})", f"({TWO})")))

    assert with_binds_apart(_filled(text, bare)) == _filled(text, apart)


@pytest.mark.parametrize(
    "text",
    [
        "select now()::date, a[1], b COLLATE c",
        "select now()::date, a[1], b COLLATE c, {1}",
        "select {1}, {2}",
        "select x[{1}:{2}], y[{1}:b]",
        "select date {1}::text, TIMESTAMP {2} at time zone 'UTC'",
        "select {1} as at",
        "",
    ],
)
def test_any_other_text_stays_as_it_is(text: str) -> None:
    marked = _filled(text, {"{1}": ONE, "{2}": TWO})

    assert with_binds_apart(marked) == marked


def _filled(text: str, values: dict[str, str]) -> str:
    for place, value in values.items():
        text = text.replace(place, value)
    return text
