"""Texts that messages show are cut, and numbers have their nouns."""

import pytest

from headrace.errors.numbers import number_of
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
