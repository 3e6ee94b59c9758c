"""Texts that messages show are cut, and numbers have their nouns."""

import pytest

from headrace.errors.numbers import listed, number_of
from headrace.errors.shortened import LONGEST_SHOWN, shortened


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("", 3, ""),
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abcd", 1, "…"),
    ],
)
def test_a_text_is_cut_to_so_many_characters(text: str, most: int, shown: str) -> None:
    assert shortened(text, most) == shown


def test_without_a_number_it_is_cut_to_what_a_line_has_room_for() -> None:
    assert shortened("x" * LONGEST_SHOWN) == "x" * 60
    assert shortened("x" * 61) == "x" * 59 + "…"


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 runs"), (1, "1 run"), (2, "2 runs"), (12_345, "12,345 runs")]
)
def test_a_number_is_told_with_its_noun(count: int, said: str) -> None:
    assert number_of(count, "run") == said


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", 2, "c"], "a, 2, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (list(range(1203)), "0, 1, 2 and 1,200 more"),
    ],
)
def test_of_many_names_the_first_are_told_and_how_many_more_there_are(
    names: list[object], said: str
) -> None:
    assert listed(names, 3) == said


def test_five_names_are_told() -> None:
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(list("abcdef")) == "a, b, c, d, e and 1 more"
