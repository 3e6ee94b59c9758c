"""What goes on beside the daemon's turn: a look at files that takes long, and two clocks."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.engine.catalog import file_watch
from headrace.engine.catalog.file_watch import BackgroundLook
from headrace.engine.scheduling.database_clock import ServerClock


class Looking:
    """A look that goes on until it is told what it sees."""

    def __init__(self) -> None:
        self.begun, self.goes_on = threading.Semaphore(0), threading.Semaphore(0)
        self.looks = 0
        self.sees: bool | BaseException = False
        self.background = BackgroundLook(self.look, what="pipelines/")

    def look(self) -> bool:
        self.looks += 1
        self.begun.release()
        assert self.goes_on.acquire(timeout=60)
        if isinstance(self.sees, BaseException):
            raise self.sees
        return self.sees

    def pending(self) -> bool:
        return self.background.pending

    def ends(self, sees: bool | BaseException) -> None:
        """Let the look that goes on end."""
        thread = self.background._thread
        assert thread is not None
        self.sees = sees
        self.goes_on.release()
        thread.join(60)


@pytest.fixture
def looking() -> Looking:
    return Looking()


def test_a_look_that_takes_long_is_told_of_once_and_its_outcome_to_a_later_caller(
    looking: Looking, caplog: pytest.LogCaptureFixture
) -> None:
    assert not looking.pending()
    assert looking.background.changed(patience_s=0) is False
    assert looking.background.changed(patience_s=0) is False
    assert (looking.looks, looking.pending()) == (1, True)
    assert [record.getMessage() for record in caplog.records] == [
        (
            "reading pipelines/ takes long (many files, or a mount that hangs?);"
            " what was read before stays active until then"
        )
    ]

    looking.ends(True)
    assert looking.pending(), "nobody was told yet"
    looking.goes_on.release()
    looking.sees = False
    assert looking.background.changed(patience_s=60) is True
    assert caplog.records[-1].getMessage() == "pipelines/ can be read again"
    assert not looking.pending()

    looking.goes_on.release()
    assert looking.background.changed(patience_s=None) is False
    assert len(caplog.records) == 2


def test_what_a_look_raises_reaches_the_next_caller_once(looking: Looking) -> None:
    assert looking.background.changed(patience_s=0) is False
    looking.ends(OSError("gone"))
    assert looking.pending()
    looking.sees = False
    looking.goes_on.release()
    with pytest.raises(OSError, match="gone"):
        looking.background.changed(patience_s=60)

    looking.goes_on.release()
    assert looking.background.changed(patience_s=60) is False


def test_whoever_has_read_nothing_yet_waits_and_is_told_why(
    looking: Looking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file_watch, "_SAY_AFTER_S", 0.001)
    plain_say = BackgroundLook._say

    def say(self: BackgroundLook, meanwhile: str) -> None:
        plain_say(self, meanwhile)
        looking.sees = True
        looking.goes_on.release()

    monkeypatch.setattr(BackgroundLook, "_say", say)
    assert looking.background.changed(patience_s=None) is True
    assert "takes long" in caplog.records[0].getMessage()
    assert caplog.records[0].getMessage().endswith("; nothing has been read yet")


Clocks = Callable[[float], datetime]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> tuple[ServerClock, Clocks, list[float]]:
    """A server's clock, a function that sets it off by seconds, and the time that goes by."""
    passed = [100.0]
    here = datetime(2026, 3, 1, 12, tzinfo=UTC)
    answers = [here]

    class Here(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ARG003
            return here

    monkeypatch.setattr("headrace.engine.scheduling.database_clock.datetime", Here)
    monkeypatch.setattr(time, "monotonic", lambda: passed[0])
    database: Any = SimpleNamespace(row=lambda _name: {"now": answers[0]})

    def off(seconds: float) -> datetime:
        answers[0] = here + timedelta(seconds=seconds)
        return answers[0]

    return ServerClock(database), off, passed


def test_a_clock_that_differs_is_told_when_it_begins_changes_and_ends(
    clock: tuple[ServerClock, Clocks, list[float]], caplog: pytest.LogCaptureFixture
) -> None:
    server, off, _ = clock
    caplog.set_level(logging.INFO)
    for seconds in (0, 5, -5, 5.5, 6, 9, 12, -20, -20, 0, 0):
        there = off(seconds)
        assert server.now() == server.last == there

    told = [record.getMessage() for record in caplog.records]
    assert told == [
        (
            "this machine's clock is 6 s behind PostgreSQL's (2026-03-01 12:00:05+00:00);"
            " PostgreSQL's decides"
        ),
        (
            "this machine's clock is 12 s behind PostgreSQL's (2026-03-01 12:00:12+00:00);"
            " PostgreSQL's decides"
        ),
        (
            "this machine's clock is 20 s ahead of PostgreSQL's (2026-03-01 11:59:40+00:00);"
            " PostgreSQL's decides"
        ),
        "this machine's clock agrees with PostgreSQL's again",
    ]


def test_between_two_answers_the_servers_clock_goes_on_by_the_time_that_passes(
    clock: tuple[ServerClock, Clocks, list[float]],
) -> None:
    server, off, passed = clock
    assert server.estimate() == datetime(2026, 3, 1, 12, tzinfo=UTC), "this machine's, so far"
    assert server.last == off(0)
    off(30)
    assert server.last == datetime(2026, 3, 1, 12, tzinfo=UTC), "it is not asked again"
    now = server.now()
    passed[0] += 2.5
    assert server.estimate() == now + timedelta(seconds=2.5)
    assert server.last == now
