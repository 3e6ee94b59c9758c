"""What PostgreSQL has a place for, as a text and within JSON."""

from decimal import Decimal
from typing import Any

import pytest

from headrace.model.storable import fitted, joined, unstorable

PAIR, SMILE = "\ud83d\ude00", "\U0001f600"
NO_TEXT = "a text has a NUL or half a surrogate pair"


@pytest.mark.parametrize(
    ("text", "whole", "made"),
    [
        ("", "", ""),
        ("plain", "plain", "plain"),
        ("grün\x01", "grün\x01", "grün\x01"),
        (f"a{PAIR}b", f"a{SMILE}b", f"a{SMILE}b"),
        (SMILE, SMILE, SMILE),
        ("a\0b", None, "a\ufffdb"),
        ("ü\0", None, "ü\ufffd"),
        ("a\ud83db", None, "a\ufffdb"),
        ("\ude00\ud83d", None, "\ufffd\ufffd"),
        (f"{PAIR}\ud800", None, f"{SMILE}\ufffd"),
    ],
)
def test_a_pair_is_its_character_and_what_has_no_place_is_refused_or_replaced(
    text: str, whole: str | None, made: str
) -> None:
    assert joined(text) == whole
    assert fitted(text) == made


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, None), (1, None), (True, None), (1.5, None), (Decimal("1.5"), None), ("x", None),
        (PAIR, None), (b"x", None), (object(), None),
        ({"a": [1, ("b", {"c"}), frozenset({2})]}, None),
        ("a\0", NO_TEXT), ("\ud800", NO_TEXT), (b"\0", NO_TEXT),
        (b"\xff", "bytes are not text in UTF-8"), (float("nan"), "nan is no number in JSON"),
        (float("-inf"), "-inf is no number in JSON"), (Decimal("NaN"), "NaN is no number in JSON"),
        ({"a\0": 1}, NO_TEXT), ({"a": {"b": "\0"}}, NO_TEXT), ([1, "\0"], NO_TEXT),
        (("\0",), NO_TEXT), ({"\0"}, NO_TEXT), (frozenset({"\0"}), NO_TEXT),
    ],
)  # fmt: skip
def test_the_first_value_that_has_no_place_is_told(value: Any, told: str | None) -> None:
    assert unstorable(value) == told


def test_what_holds_itself_is_not_looked_through_for_ever() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        unstorable(endless)
