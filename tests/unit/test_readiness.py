"""Files whose numbers are above a thousand: a web service has one for each of its streams."""

import fcntl
import os
import resource
import select
import socket
from types import SimpleNamespace

import pytest

from headrace.jobs.files import copy_streams
from headrace.store.connect import is_dead
from headrace.store.readiness import is_ready
from tests.support.in_fork import in_fork


def high_number_of(file: int) -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return fcntl.fcntl(file, fcntl.F_DUPFD, 1500)


def test_a_connection_with_a_high_number_is_looked_at_like_any_other() -> None:
    def look() -> None:
        reader, writer = os.pipe()
        high = high_number_of(reader)
        with pytest.raises(ValueError, match="out of range"):
            select.select([high], [], [], 0)

        raw = SimpleNamespace(closed=0, fileno=lambda: high)
        assert not is_dead(raw)
        assert not is_ready(high)
        assert is_ready(writer, to_write=True)
        os.write(writer, b"x")
        assert is_ready(high)
        assert is_dead(raw)
        os.read(high, 1)
        assert not is_dead(raw)
        os.close(writer)
        assert is_ready(high, within_s=60.0), "its end is there"
        assert is_dead(raw)
        assert is_dead(SimpleNamespace(closed=1, fileno=lambda: -1))

    in_fork(look)


def test_a_copy_over_a_line_with_a_high_number_sees_that_a_row_was_refused() -> None:
    def look() -> None:
        ours, theirs = socket.socketpair()
        high = high_number_of(ours.fileno())
        assert not copy_streams._has_refused(high)
        theirs.sendall(b"E\0\0\0\4")
        assert copy_streams._has_refused(high)

    in_fork(look)
