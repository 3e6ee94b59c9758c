"""What a worker's child writes in shared memory, and what its parent reads of it."""

import os
import struct
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest

from headrace.queue import progress_memory, shared_memory
from headrace.queue.progress_memory import Progress, ProgressMemory
from headrace.queue.shared_memory import (
    COMPLETING,
    IDLE,
    MOST_HELD,
    NOTHING,
    RUNNING,
    TAKEN,
    ChildRecords,
    ChildView,
)


def test_each_child_is_read_by_itself_whatever_the_others_write() -> None:
    records = ChildRecords(3)
    first, second, third = (records.record(index) for index in range(3))
    a, b, held = uuid4(), uuid4(), [(uuid4(), n) for n in range(MOST_HELD)]
    first.connected(77)
    first.taken(str(a), 4)
    second.holding(held)
    second.running(b, 5, 12.5)
    third.finished()

    assert records.read(0) == ChildView(TAKEN, a, 4, 0.0, 77, 0)
    assert records.read(1) == ChildView(RUNNING, b, 5, 12.5, 0, 0, tuple(held))
    assert records.read(2) == ChildView(IDLE, NOTHING, 0, 0.0, 0, 0)

    second.completing()
    assert records.read(1) == ChildView(COMPLETING, b, 5, 12.5, 0, 0, tuple(held))
    second.idle()
    third.idle(finished=False)
    assert records.read(1) == ChildView(IDLE, NOTHING, 0, 0.0, 0, 1)
    assert records.read(2) == ChildView(IDLE, NOTHING, 0, 0.0, 0, 1)
    assert records.read(0) == ChildView(TAKEN, a, 4, 0.0, 77, 0)


def test_what_the_parent_orders_reaches_whom_it_is_for() -> None:
    records = ChildRecords(2)
    children = [records.record(index) for index in range(2)]

    def orders() -> list[tuple[bool, bool, bool]]:
        return [(one.told_to_end, one.draining, one.suspended) for one in children]

    assert orders() == [(False, False, False)] * 2
    records.tell_to_end(1)
    assert orders() == [(False, False, False), (True, False, False)]
    records.draining = True
    assert orders() == [(False, True, False), (True, True, False)]
    records.suspended = True
    assert orders() == [(False, True, True), (True, True, True)]
    records.draining = False
    assert orders() == [(False, False, True), (True, False, True)]
    assert (records.draining, records.suspended) == (False, True)
    assert [records.read(index).state for index in range(2)] == [IDLE, IDLE]


def test_a_record_is_emptied_for_the_next_child_and_goes_on_counting() -> None:
    records = ChildRecords(2)
    dead = records.record(0)
    dead.connected(77)
    dead.idle()
    dead.idle()
    dead.running(uuid4(), 3, 9.0)
    dead.holding([(uuid4(), 1)])
    records.tell_to_end(0)

    records.clear(0)

    assert records.read(0) == ChildView(IDLE, NOTHING, 0, 0.0, 0, 2)
    following = records.record(0)
    assert not following.told_to_end
    following.idle()
    assert records.read(0).finished == 3


class Numbers:
    """Stands for the number at a record's start: these are read, one after the other."""

    size = struct.calcsize("<I")

    def __init__(self, *numbers: int) -> None:
        self.left = list(numbers)

    def unpack_from(self, _memory: Any, _at: int) -> tuple[int]:
        return (self.left.pop(0) if self.left else 0,)


LOOKS = pytest.mark.parametrize(
    ("numbers", "left"),
    [((2, 2, 0, 0), 2), ((3, 4, 4, 0), 1), ((2, 3, 4, 4, 0), 1), ((2, 4, 6, 6, 0), 1)],
    ids=["quiet", "in the middle", "begun meanwhile", "written meanwhile"],
)


@LOOKS
def test_what_is_being_written_is_read_again(
    monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...], left: int
) -> None:
    records = ChildRecords(1)
    told = Numbers(*numbers)
    monkeypatch.setattr(shared_memory, "_NUMBER", told)

    records.read(0)

    # The last one read is how many messages the child holds.
    assert len(told.left) == left - 1


def test_a_written_record_is_marked_as_whole() -> None:
    records = ChildRecords(2)
    pen, seen = records.record(1), []
    for number in range(3):
        pen.running(uuid4(), number, 0.0)
        (mark,) = struct.unpack_from("<I", records._memory, shared_memory._SIZE)
        seen.append(mark)

    assert [mark % 2 for mark in seen] == [0, 0, 0]
    assert seen == sorted(set(seen))


def test_a_child_wakes_its_parent_although_the_pipe_is_full() -> None:
    records = ChildRecords(1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    records.wake_pipe = writer
    records.record(0).wake_parent()
    assert os.read(reader, 10) == b"\0"
    while True:
        try:
            os.write(writer, bytes(1 << 16))
        except BlockingIOError:
            break

    records.record(0).wake_parent()

    os.close(reader)
    os.close(writer)


# -- progress ---------------------------------------------------------------------------------

KEY = (UUID(int=5), 2)


def test_each_child_says_how_far_its_attempt_has_got() -> None:
    memory = ProgressMemory(2)
    memory.write(0, KEY, 10, None, 30, "rows")
    memory.write(1, (UUID(int=6), 3), None, 2, None, "")

    one, other = memory.read(0), memory.read(1)

    assert (one.job_id, one.attempt) == KEY
    assert (one.rows, one.done, one.total, one.unit) == (10, None, 30, "rows")
    assert (other.job_id, other.attempt, other.rows, other.done) == (UUID(int=6), 3, None, 2)
    assert (other.total, other.unit) == (None, "")
    # Nobody runs under no number.
    assert ProgressMemory(1).read(0).attempt == 0


@LOOKS
def test_progress_that_is_being_written_is_read_again(
    monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...], left: int
) -> None:
    told = Numbers(*numbers)
    memory = ProgressMemory(1)
    monkeypatch.setattr(progress_memory, "_NUMBER", told)

    memory.read(0)

    assert len(told.left) == left


def test_numbers_beyond_what_is_kept_are_cut_and_no_character_is() -> None:
    memory = ProgressMemory(1)

    memory.write(0, KEY, -3, 2**70, 2**70, "größere Mengeö")

    told = memory.read(0)
    assert (told.rows, told.done, told.total) == (0, 2**62, 2**62)
    assert told.unit == "größere Menge"


def test_the_clock_of_an_attempt_starts_with_its_first_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = count(100.0, 10.0)
    monkeypatch.setattr("headrace.queue.progress_memory.time.monotonic", lambda: next(ticks))
    memory = ProgressMemory(1)

    memory.write(0, KEY, 1, None, None, "")  # at 100
    assert memory.read(0).seconds == 10.0
    memory.write(0, KEY, 2, None, None, "")
    assert memory.read(0).seconds == 20.0
    memory.write(0, (KEY[0], 3), 0, None, None, "")  # at 130
    assert memory.read(0).seconds == 10.0


@pytest.mark.parametrize(
    ("rows", "done", "total", "seconds", "share", "per_second"),
    [
        (50, 1, 3, 2.04, 0.3333, 25),
        (None, 30, 20, 10.0, 1.0, 3),
        (None, 0, 20, 10.0, 0.0, None),
        (7, None, 20, 0.0, None, None),
        (7, 5, None, 3.5, None, 2),
        (7, 5, 0, 1.0, None, 7),
        (None, None, None, 1.0, None, None),
    ],
)
def test_share_and_rate_follow_from_what_is_known(
    rows: int | None,
    done: int | None,
    total: int | None,
    seconds: float,
    share: float | None,
    per_second: int | None,
) -> None:
    told = Progress(UUID(int=5), 2, seconds, rows, done, total, "rows").as_json()

    assert told == {
        "attempt": 2,
        "rows": rows,
        "done": done,
        "total": total,
        "unit": "rows",
        "share": share,
        "seconds": round(seconds, 1),
        "per_second": per_second,
    }
