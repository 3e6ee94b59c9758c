"""A source that a thread reads ahead: all pieces, in order, and every error."""

import threading

import pytest

from headrace.jobs.files.read_ahead import ReadAhead


class Numbers:
    """Gives the numbers from 1 to `last`, then an error if there is one; `rows` were read."""

    def __init__(self, last: int, error: BaseException | None = None) -> None:
        self._last, self._error = last, error
        self.rows = 0
        self.read_enough = threading.Event()

    def read(self, _size: int = -1, /) -> str:
        if self.rows == self._last:
            if self._error is not None:
                raise self._error
            return ""
        self.rows += 1
        if self.rows == 3:
            self.read_enough.set()
        return f"{self.rows},"


def test_pieces_come_in_their_order_and_the_end_stays_the_end():
    reading = ReadAhead(Numbers(50), 1)

    read = [reading.read() for _ in range(50)]

    assert "".join(map(str, read)) == "".join(f"{number}," for number in range(1, 51))
    assert not reading.read()
    assert not reading.read()
    reading.end()


def test_an_error_of_the_source_comes_behind_the_pieces_before_it():
    error = ValueError("torn")
    reading = ReadAhead(Numbers(3, error), 1)

    assert [reading.read() for _ in range(3)] == ["1,", "2,", "3,"]
    with pytest.raises(ValueError, match="torn") as raised:
        reading.read()

    assert raised.value is error
    reading.end()


def test_rows_are_those_of_the_pieces_that_were_read_not_of_those_that_wait():
    source = Numbers(5)
    reading = ReadAhead(source, 1)
    assert source.read_enough.wait(30)

    reading.read()

    assert reading.rows == 1
    reading.end()


def test_the_source_is_left_alone_once_the_reader_has_ended():
    source = Numbers(1_000_000)
    reading = ReadAhead(source, 1)
    reading.read()

    reading.end()
    read = source.rows

    assert read <= 5
    assert source.rows == read
    assert not [one for one in threading.enumerate() if one.name == "headrace-read-ahead"]
