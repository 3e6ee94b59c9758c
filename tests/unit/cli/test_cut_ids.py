"""What may be the beginning of an id."""

import pytest

from headrace.cli.finding import bounds

WHOLE = "019ac5f2-9d41-7295-8ee5-00eecc0f5544"


@pytest.mark.parametrize("length", range(4, len(WHOLE) + 1))
def test_an_id_lies_between_the_bounds_of_each_of_its_beginnings(length: int) -> None:
    for text in (WHOLE[:length], WHOLE[:length].upper()):
        found = bounds(text)
        assert found is not None
        assert str(found[0]) <= WHOLE <= str(found[1])
        assert str(found[0]).startswith(WHOLE[:length])


def test_hyphens_may_be_left_out() -> None:
    assert bounds("019ac5f29d41") == bounds("019ac5f2-9d41") == bounds("019ac5f2-9d41-")


@pytest.mark.parametrize(
    "text",
    ["", "-", "----", "019", "01-9a", "019a-", "019ac5f2-9d-41", "sales", WHOLE + "0", "019x"],
)
def test_what_is_no_beginning_of_an_id_is_none(text: str) -> None:
    assert bounds(text) is None
