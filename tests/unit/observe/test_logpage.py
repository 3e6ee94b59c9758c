"""What a page keeps of what is said, and that it can be read whatever happens."""

import os
import signal
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from headrace.observe import logpage
from headrace.observe.joblog import packed, unkept
from headrace.observe.logpage import FIRST_LINES, LAST_LINES, LogPage, _lines, _packed


def page_of(*lines: str, job: UUID | None = None) -> LogPage:
    page = LogPage()
    page.begin(job or uuid4(), 1)
    for line in lines:
        page.add(1.0, 20, [line], packed)
    return page


def test_the_first_lines_and_the_last_ones_stay() -> None:
    read = page_of(*(f"line {number}" for number in range(1, 5001))).read()

    assert [line.message for line in read.head] == [f"line {n}" for n in range(1, FIRST_LINES + 1)]
    assert [line.number for line in read.tail] == list(range(5001 - LAST_LINES, 5001))
    assert read.left_out == (FIRST_LINES + 1, 5000 - LAST_LINES)


def test_a_burst_keeps_the_same_lines_as_one_by_one() -> None:
    text = [f"line {number}" for number in range(1, 3001)]
    page = LogPage()
    page.begin(uuid4(), 1)
    page.add(1.0, 20, text, packed)

    one_by_one, burst = page_of(*text).read(), page.read()

    assert (burst.head, burst.tail, burst.last) == (
        one_by_one.head,
        one_by_one.tail,
        one_by_one.last,
    )


def test_long_lines_are_fewer_and_take_no_more_than_256_kb() -> None:
    read = page_of(*(f"{number} " + "x" * (number * 37 % 3900) for number in range(1, 2001))).read()

    size = sum(len(line.message) for line in (*read.head, *read.tail))
    assert 200_000 < size <= 256 << 10
    assert read.tail[-1].message.startswith("2000 ")
    numbers = [line.number for line in read.tail]
    assert numbers == list(range(numbers[0], 2001))


def test_a_process_that_is_killed_while_it_speaks_leaves_a_page_that_can_be_read() -> None:
    page = page_of()
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            page.begin(uuid4(), 2)
            number = 0
            while True:
                number += 1
                page.add(1.0, 20, [f"{number} " + "x" * (number * 37 % 3900)], packed)
        while page.read().last < 1200:
            for line in page.read().tail:
                number = int(line.message.partition(" ")[0])
                assert number == line.number
                assert len(line.message.partition(" ")[2]) == number * 37 % 3900
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

        read = page.read()

        numbers = [line.number for line in read.tail]
        assert numbers == list(range(numbers[0], read.last + 1))
        page.begin(uuid4(), 1)


def test_what_the_database_has_is_not_written_again() -> None:
    job = uuid4()
    page = page_of("one", "two", job=job)
    page.keep(job, 1, 2)
    assert unkept(page) is None

    page.add(1.0, 20, ["three"], packed)
    left = unkept(page)
    page.keep(uuid4(), 1, 3)

    assert left is not None
    assert [entry["message"] for entry in left.entries] == ["three"]
    # What is kept of another attempt says nothing about this one.
    assert len(unkept(page).entries) == 3  # type: ignore[union-attr]


def test_a_page_that_was_torn_is_read_up_to_there() -> None:
    whole = _packed(1, 1.0, 20, b"one") + _packed(2, 1.0, 20, b"two")

    assert [line.message for line in _lines(whole)] == ["one", "two"]
    assert [line.message for line in _lines(whole + bytes(100))] == ["one", "two"]


class Meanwhile(LogPage):
    """A page that is written between the two looks of one reading."""

    def __init__(self) -> None:
        super().__init__()
        self.write: Callable[[], object] | None = None

    def _ring(self, start: int, length: int) -> bytes:
        write, self.write = self.write, None
        if write is not None:
            write()
        return super()._ring(start, length)


def test_what_is_written_while_the_page_is_read_belongs_to_one_attempt() -> None:
    page, other = Meanwhile(), uuid4()
    page.begin(uuid4(), 1)
    page.add(1.0, 20, [f"old {number}" for number in range(300)], packed)

    def begin_another() -> None:
        page.begin(other, 2)
        page.add(1.0, 20, ["new"], packed)

    page.write = begin_another
    read = page.read()

    assert (read.job_id, read.attempt, read.last) == (other, 2, 1)
    assert ([line.message for line in read.head], list(read.tail)) == (["new"], [])


@pytest.mark.parametrize("more", [1, 300, 799, 801, 5000])
def test_of_what_is_written_over_while_the_page_is_read_nothing_is_left(more: int) -> None:
    page = Meanwhile()
    page.begin(uuid4(), 1)
    page.add(1.0, 20, [f"{number} {'x' * 100}" for number in range(1, 1001)], packed)

    def go_on() -> None:
        for number in range(1001, 1001 + more):
            page.add(1.0, 20, [f"{number} {'y' * 150}"], packed)

    page.write = go_on
    read = page.read()

    numbers = [line.number for line in read.tail]
    assert [int(line.message.partition(" ")[0]) for line in read.tail] == numbers
    assert numbers == list(range(numbers[0], read.last + 1))
    assert numbers[-1] >= 1000


def test_a_header_that_is_written_while_it_is_read_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = page_of("one")
    real, torn = logpage._HEADER, [True]

    class Torn:
        pack_into = real.pack_into

        @staticmethod
        def unpack_from(memory: Any, at: int) -> tuple[Any, ...]:
            found = real.unpack_from(memory, at)
            if torn and torn.pop():
                page.add(1.0, 20, ["two", "three"], packed)
                return (*found[:-1], 77)
            return found

    monkeypatch.setattr(logpage, "_HEADER", Torn)

    assert page.read().last == 3
