"""Log lines of one attempt, in memory that the child shares with its worker's parent.

A line is there as soon as it is said, whatever becomes of the process: a SIGKILL, or C code that
holds the interpreter. Of each attempt the first lines and the last ones stay; in between they are
only counted. One process writes, another reads, and neither waits for the other: what is written
counts once the header that tells of it is active, and there are two headers by turns.
"""

import mmap
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

FIRST_LINES, LAST_LINES = 200, 800
_HEAD_BYTES, _TAIL_BYTES = 64 << 10, 192 << 10

_HEADER = struct.Struct("<16sIIIQQII")
_NUMBER = struct.Struct("<Q")
_KEPT = struct.Struct("<16sII")
_KEPT_AT = 16
_HEADERS_AT = (64, 192)
_HEAD_AT = 512
_TAIL_AT = _HEAD_AT + _HEAD_BYTES
_SIZE = _TAIL_AT + _TAIL_BYTES

# A line: its length in bytes with this, its number, when it was said, its level.
_LINE = struct.Struct("<IIdB")
# The longest line in bytes; half of the smaller part, so that one can never fill it.
LONGEST_BYTES = 16 << 10

Said = str | bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `number` counts from 1, `at` is in Unix seconds, `level` is logging's."""

    number: int
    at: float
    level: int
    message: str


@dataclass(frozen=True, slots=True)
class Page:
    """Lines of an attempt: `head` and `tail`, and `last`, the number of its last line."""

    job_id: UUID
    attempt: int
    head: Sequence[Line] = ()
    tail: Sequence[Line] = ()
    last: int = 0

    @property
    def left_out(self) -> tuple[int, int] | None:
        """The numbers of the first and the last line that were left out, None where none was."""
        first = len(self.head) + 1
        last = self.tail[0].number - 1 if self.tail else self.last
        return (first, last) if last >= first else None


class _Header(NamedTuple):
    """`start` and `end` count the tail's bytes since its beginning; `first` is its first line."""

    job: bytes = bytes(16)
    attempt: int = 0
    head_lines: int = 0
    head_bytes: int = 0
    start: int = 0
    end: int = 0
    first: int = 1
    last: int = 0


class LogPage:
    """The page of one child. Make it before the fork; `begin` and `add` are its writer's."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SIZE)
        self._now = _Header()

    # -- writing ----------------------------------------------------------------------

    def begin(self, job_id: UUID, attempt: int) -> None:
        """Begin another attempt's page; what was there is forgotten."""
        self._now = _Header(job_id.bytes, attempt)
        self._put_in_force()

    def go_on(self) -> None:
        """Write on where a process that has ended has stopped."""
        self._now = self._header()

    def add(
        self, at: float, level: int, messages: Sequence[Said], packed: Callable[[Said], bytes]
    ) -> None:
        """Add lines; `packed` gives the text of one that stays, no longer than `LONGEST_BYTES`."""
        rest = messages[self._add_to_head(at, level, messages, packed) :]
        # What a longer burst pushes out again need not be written.
        skipped = max(0, len(rest) - LAST_LINES)
        now = self._now
        if skipped:
            last = now.last + skipped
            self._now = now._replace(start=now.end, first=last + 1, last=last)
            self._put_in_force()
        for message in rest[skipped:]:
            self._add_to_tail(_packed(self._now.last + 1, at, level, packed(message)))

    def _add_to_head(
        self, at: float, level: int, messages: Sequence[Said], packed: Callable[[Said], bytes]
    ) -> int:
        """Return how many have found their place there."""
        if self._now.last > self._now.head_lines:
            return 0
        for index, message in enumerate(messages):
            now = self._now
            if now.head_lines == FIRST_LINES:
                return index
            line = _packed(now.last + 1, at, level, packed(message))
            end = now.head_bytes + len(line)
            if end > _HEAD_BYTES:
                return index
            self._memory[_HEAD_AT + now.head_bytes : _HEAD_AT + end] = line
            number = now.last + 1
            # In full: it is made for each line.
            self._now = _Header(
                now.job, now.attempt, number, end, now.start, now.end, number + 1, number
            )
            self._put_in_force()
        return len(messages)

    def _add_to_tail(self, line: bytes) -> None:
        now = self._now
        start, first = now.start, now.first
        while now.last - first + 2 > LAST_LINES or now.end + len(line) - start > _TAIL_BYTES:
            start += _LINE.unpack(self._ring(start, _LINE.size))[0]
            first += 1
        if start != now.start:
            # In force before its place is taken: a reader must not take the new for the old.
            self._now = now = now._replace(start=start, first=first)
            self._put_in_force()
        place = now.end % _TAIL_BYTES
        before_end = min(len(line), _TAIL_BYTES - place)
        at = _TAIL_AT + place
        self._memory[at : at + before_end] = line[:before_end]
        self._memory[_TAIL_AT : _TAIL_AT + len(line) - before_end] = line[before_end:]
        self._now = now._replace(end=now.end + len(line), last=now.last + 1)
        self._put_in_force()

    def _put_in_force(self) -> None:
        turn = _NUMBER.unpack_from(self._memory, 0)[0] + 1
        _HEADER.pack_into(self._memory, _HEADERS_AT[turn % 2], *self._now)
        _NUMBER.pack_into(self._memory, 0, turn)

    # -- reading ----------------------------------------------------------------------

    @property
    def turn(self) -> int:
        """A number that changes with each change of the page."""
        return int(_NUMBER.unpack_from(self._memory, 0)[0])

    def kept_of(self, job_id: UUID, attempt: int) -> int:
        """Return the number up to which an attempt's lines are in the database."""
        job, of, number = _KEPT.unpack_from(self._memory, _KEPT_AT)
        return int(number) if (job, of) == (job_id.bytes, attempt) else 0

    def keep(self, job_id: UUID, attempt: int, number: int) -> None:
        """Say up to which line the database has them; for the parent."""
        # In this order: whoever reads in between sees too small a number, or another attempt.
        before = _KEPT.unpack_from(self._memory, _KEPT_AT)
        _KEPT.pack_into(self._memory, _KEPT_AT, before[0], before[1], 0)
        _KEPT.pack_into(self._memory, _KEPT_AT, job_id.bytes, attempt, 0)
        _KEPT.pack_into(self._memory, _KEPT_AT, job_id.bytes, attempt, number)

    def read(self) -> Page:
        """Return what has been said, at this moment."""
        while True:
            then = self._header()
            head = self._memory[_HEAD_AT : _HEAD_AT + then.head_bytes]
            tail = self._ring(then.start, then.end - then.start)
            now = self._header()
            same = (now.job, now.attempt) == (then.job, then.attempt)
            # What was written over meanwhile is older than what the tail begins with now.
            if same and now.start <= then.end:
                break
        # A line begins where the tail does, whatever stands before it by now.
        lines = list(_lines(tail[now.start - then.start :]))
        return Page(UUID(bytes=then.job), then.attempt, list(_lines(head)), lines, then.last)

    def _header(self) -> _Header:
        while True:
            turn = self.turn
            header = _Header(*_HEADER.unpack_from(self._memory, _HEADERS_AT[turn % 2]))
            # It is written again at the turn after the next one.
            if self.turn - turn < 2:
                return header

    def _ring(self, start: int, length: int) -> bytes:
        place = start % _TAIL_BYTES
        before_end = min(length, _TAIL_BYTES - place)
        at = _TAIL_AT + place
        rest = self._memory[_TAIL_AT : _TAIL_AT + length - before_end]
        return self._memory[at : at + before_end] + rest


def _packed(number: int, at: float, level: int, message: bytes) -> bytes:
    return _LINE.pack(_LINE.size + len(message), number, at, min(level, 255)) + message


def _lines(packed: bytes) -> Iterator[Line]:
    place = 0
    while place + _LINE.size <= len(packed):
        length, number, at, level = _LINE.unpack_from(packed, place)
        if length < _LINE.size:
            return
        text = packed[place + _LINE.size : place + length].decode("utf-8", "replace")
        yield Line(number, at, level, text)
        place += length
