"""The reference of templates lists exactly what the environments have."""

import re
from pathlib import Path

from docs.__main__ import templates_page
from headrace.template.failures import GUIDE
from headrace.template.sql import environment as sql
from headrace.template.values import environment as values

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "templates.md"


def section(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def named(cells: str) -> set[str]:
    """Return the names in backticks, without their arguments."""
    return {re.split(r"[(\s]", one)[0] for one in re.findall(r"`([^`]+)`", cells)}


def first_cells(text: str) -> str:
    return "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))


def known(table: object) -> set[str]:
    assert isinstance(table, dict)
    return {name for name in table if " " not in name}


def test_the_page_lists_exactly_the_filters_of_values_and_of_sql():
    plain, of_sql = section("Filters").split("SQL has these filters in addition")
    assert named(first_cells(plain)) == known(values.filters)
    assert named(first_cells(of_sql)) == known(sql.filters) - known(values.filters)


def test_the_page_lists_exactly_the_functions():
    assert named(first_cells(section("Functions"))) == known(values.globals) == known(sql.globals)


def test_the_page_lists_exactly_the_tests():
    listed = {one.removeprefix("is ") for one in re.findall(r"`(is \w+)", section("Tests"))}
    words = {name for name in values.tests if name.isidentifier()}
    assert listed == words


def test_results_and_methods_are_those_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == templates_page(), "run `make docs`"


def test_errors_point_to_the_page():
    assert (PAGE.parents[2] / GUIDE.split()[0]) == PAGE
