"""JSON keeps the digits of its numbers, and what no number can have is no JSON."""

from decimal import Decimal

import pytest

from headrace.model import exact_json


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.5", 1.5), ("1e3", 1000.0), ("0.1", 0.1), ("-0.0", -0.0), ("1e400", Decimal("1e400")),
        ("1234567890123.45678", Decimal("1234567890123.45678")), ("1e-400", Decimal("1e-400")),
    ],
)  # fmt: skip
def test_a_number_is_a_float_where_that_has_all_its_digits(
    text: str, number: float | Decimal
) -> None:
    found = exact_json.number(text)
    assert (found, type(found)) == (number, type(number))
    assert exact_json.loads(text) == number


@pytest.mark.parametrize("text", ["1e99999999999999999999", "-1.5E-99999999999999999999"])
def test_a_number_beyond_any_range_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=f"^the number {text} is out of any range$"):
        exact_json.loads(f"[{text}]")


def test_a_whole_number_that_python_does_not_read_is_a_decimal() -> None:
    assert exact_json.loads("9" * 4300) == int("9" * 4300)
    assert exact_json.loads("9" * 5000) == Decimal("9" * 5000)
