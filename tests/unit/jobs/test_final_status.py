"""The status that an answer has: the last one that a server says before the headers end."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.jobapi.outbound.pinned_connection import _Response

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def begun(said: bytes) -> _Response:
    """Return an answer that a server has said so much of."""
    line: Any = SimpleNamespace(makefile=lambda *_given: io.BytesIO(said))
    response = _Response(line)
    response.begin()
    return response


@pytest.mark.parametrize("before", [b"", HINT, HINT * 3, CONTINUE + HINT])
def test_what_is_said_before_the_answer_is_passed_over(before: bytes) -> None:
    found = begun(before + FINE)

    assert (found.status, found.read()) == (200, b"ok")
    assert found.getheader("link") is None


def test_a_change_of_protocols_is_the_answer() -> None:
    found = begun(SWITCHING)

    assert (found.status, found.getheader("upgrade")) == (101, "x")


def test_hints_without_end_are_an_answer_in_the_end() -> None:
    assert begun(HINT * 20 + FINE).status == 200
    assert begun(HINT * 21 + FINE).status == 103


def test_a_line_of_a_length_that_is_cut_is_an_error() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert begun(chunked + b"2\r\nok\r\n0\r\n\r\n").read() == b"ok"
    with pytest.raises(Exception, match="IncompleteRead"):
        begun(chunked + b"2\r\nok\r\n0").read()
