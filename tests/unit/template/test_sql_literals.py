"""A value in a piece of SQL is a literal, whatever is in it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from headrace.errors import HeadraceError
from headrace.template.sql_literals import render_piece


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (5, "5"),
        (-5, "(-5)"),
        (Decimal("1.50"), "1.50"),
        (None, "NULL"),
        (True, "true"),
        ("x' OR '1'='1", "'x'' OR ''1''=''1'"),
        (date(2026, 1, 31), "date '2026-01-31'"),
        (datetime(2026, 1, 31, 6, tzinfo=UTC), "timestamptz '2026-01-31T06:00:00+00:00'"),
        (timedelta(minutes=5), "interval '300.0 seconds'"),
        (["a", "b'"], "ARRAY['a', 'b''']"),
        ([], "'{}'"),
        ({"a": 1}, "'{\"a\": 1}'"),
    ],
)
def test_a_value_becomes_a_literal_of_its_type(value, written):
    assert render_piece("a = {{ v }}", {"v": value}) == f"a = {written}"


def test_a_quoted_value_is_a_text_of_its_own():
    run = {"date": date(2026, 1, 31)}
    text = "day = '{{ run.date }}' AND name = '{{ name }}'"
    rendered = render_piece(text, {"run": run, "name": "o'Brien"})
    assert rendered == "day = '2026-01-31' AND name = 'o''Brien'"


@pytest.mark.parametrize("text", ["a = 'x{{ v }}'", "a = 1 -- {{ v }}", "a{{ v }} = 1"])
def test_a_value_that_would_become_sql_is_refused(text):
    with pytest.raises(HeadraceError, match=r"a value is (inside|directly next to)"):
        render_piece(text, {"v": "x"})


def test_text_without_a_template_stays_as_it_is():
    assert render_piece("a = '{1,2}'", {}) == "a = '{1,2}'"
