"""Lines out of what programs write in pieces."""

import pytest

from headrace.observe.line_assembly import Linewise


def lines(*pieces: bytes, longest: int = 1 << 20) -> list[bytes]:
    reader = Linewise(longest, clock=lambda: 0.0)
    return [line for piece in pieces for line in reader.feed(piece)] + reader.end()


@pytest.mark.parametrize("cut", range(9))
def test_lines_are_the_same_wherever_the_pieces_are_cut(cut: int) -> None:
    text = b"ab\r\ncd\n\ne"

    assert lines(text[:cut], text[cut:]) == [b"ab", b"cd", b"", b"e"]


def test_of_a_progress_bar_the_last_state_is_a_line_and_one_a_second_before() -> None:
    now = [0.0]
    reader = Linewise(clock=lambda: now[0])

    said = []
    for percent in range(100):
        now[0] = percent / 50
        said += reader.feed(b"\r%d%%" % percent)
    said += reader.feed(b"\ndone\n")

    assert said == [b"0%", b"50%", b"99%", b"done"]


def test_the_end_of_a_line_that_is_too_long_is_left_out() -> None:
    assert lines(b"x" * 5, b"y" * 5, b"z\nshort\n", longest=8) == [b"xxxxxyyy", b"short"]
