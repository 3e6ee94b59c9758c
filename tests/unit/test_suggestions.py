"""Which name was probably meant, and what is told where none was."""

import unicodedata

import pytest

from headrace.errors import Problem, ProblemsError
from headrace.errors.suggestions import closest, did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("Fibonaci", ["RunSql", "Fibonacci"], 'did you mean "Fibonacci"?'),
        ("FIBONACCI", ["Fibonacci"], 'did you mean "Fibonacci"?'),
        ("xyz", ["a", "b", "a"], "known: a, b"),
        ("xyz", [], ""),
        ("x", [f"n{n}" for n in range(20)], f"known: {', '.join(f'n{n}' for n in range(20))}"),
        (
            "x",
            [f"n{n}" for n in range(21)],
            f"known: {', '.join(f'n{n}' for n in range(20))}, …",
        ),
    ],
)
def test_the_nearest_name_is_meant_and_else_the_first_twenty_are_told(
    name: str, known: list[str], hint: str
):
    assert did_you_mean(name, known) == hint


def test_what_introduces_the_list_may_be_said():
    assert did_you_mean("xyz", ["a"], listed_as="it is one of") == "it is one of: a"


def test_a_name_that_only_looks_the_same_is_told_apart():
    written, known = (unicodedata.normalize(form, "café") for form in ("NFD", "NFC"))

    told = did_you_mean(written, ["cafe", known])

    assert told.startswith(f'"{known}" looks the same, but its letters with marks are other signs')
    assert did_you_mean(known, [known]) == f'did you mean "{known}"?'


def test_of_very_many_and_very_long_names_the_beginning_is_compared():
    assert closest("wanted", [*(f"n{n}" for n in range(999)), "wanted"]) == "wanted"
    assert closest("wanted", [*(f"n{n}" for n in range(1000)), "wanted"]) is None
    long = "y" * 100
    assert closest(long + "x" * 100, [long + "z" * 100]) == long + "z" * 100
    assert closest("abcdefghij", ["abcdeXXXXX"]) is None
    assert closest("abcdefghij", ["abcdefXXXX"]) == "abcdefXXXX"


def test_a_problem_is_told_with_its_place_and_its_hint():
    placed = Problem("a.yaml", 3, 7, "unknown-key", "no such key", "use x")
    nowhere = Problem("a.yaml", 0, 0, "missing-file", "no such file")

    assert str(placed) == "a.yaml:3:7: no such key [unknown-key]\n  hint: use x"
    assert str(nowhere) == "a.yaml: no such file [missing-file]"
    listed = ProblemsError([placed, nowhere])
    assert str(listed) == f"{nowhere}\n{placed}"
    assert (listed.exit_code, listed.code) == (1, "invalid")
