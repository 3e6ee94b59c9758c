"""An attempt under a stock RQ worker, and the start of a worker of our own."""

import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.engine.workers import main, stock_rq
from headrace.engine.workers.stock_rq import JobTimeout
from headrace.errors import SchemaMismatch, StaleAttempt, StoreUnavailable
from headrace.queue import entry
from tests.support.claimed import claimed
from tests.support.fake_database import FakeDatabase
from tests.support.noting import note

JOB = claimed(timeout_s=50.0)
AWAY = StoreUnavailable("PostgreSQL does not answer")


class Stand:
    """One attempt among fakes. `timers` are those that were set, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, claim: Any = JOB) -> None:
        self.timers: list[float] = []
        self.handlers: list[Any] = []
        self.rolled_back = 0
        monkeypatch.setattr(signal, "setitimer", lambda _which, s: self.timers.append(s))
        monkeypatch.setattr(signal, "signal", lambda *given: self.handlers.append(given))
        self.executor: Any = SimpleNamespace(handle=lambda _claimed: "handled")
        self.store: Any = SimpleNamespace(claim=lambda _job, _attempt: claim)
        self.sessions: Any = SimpleNamespace(roll_back=self._roll_back)

    def _roll_back(self) -> None:
        self.rolled_back += 1

    def execute(self) -> list[Any]:
        return stock_rq._execute(self.executor, self.store, self.sessions, str(JOB.id), 0)


def test_an_attempt_has_its_timeout_and_its_end_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand = Stand(monkeypatch)
    recorded: list[Any] = []

    def record(*given: Any) -> list[str]:
        recorded.append((given[1:], list(stand.timers)))
        return ["message"]

    monkeypatch.setattr(stock_rq, "record_end", record)

    assert stand.execute() == ["message"]

    # No longer than the job's own code runs.
    assert recorded == [((JOB, "handled"), [50.0, 0])]
    assert stand.timers[-1] == 0
    ((number, handler),) = stand.handlers
    assert number == signal.SIGALRM
    with pytest.raises(JobTimeout, match="timed out: the job ran longer than its timeout"):
        handler(number, None)


def test_an_attempt_that_is_not_to_be_had_or_is_over_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = Stand(monkeypatch, None)
    assert nothing.execute() == []
    assert nothing.timers == []
    over = Stand(monkeypatch)

    def stale(_claimed: Any) -> None:
        raise StaleAttempt("over")

    over.executor.handle = stale
    assert over.execute() == []
    assert (over.rolled_back, over.timers) == (1, [50.0, 0])


def test_it_is_a_worker_of_its_own_for_the_time_of_the_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stock_rq, "_LOOK_S", 0.0)
    monkeypatch.setattr(stock_rq, "_BEAT_S", 0.0)
    beats = threading.Semaphore(0)
    kept: list[int] = []

    def beat(**values: Any) -> list[Any]:
        if values["status"] == "running":
            beats.release()
        # An outage must not end the heartbeats for good.
        raise AWAY

    database: Any = FakeDatabase({"heartbeat_worker": beat})
    stop = stock_rq._beat(database, "me", "digest", lambda: kept.append(1))
    assert beats.acquire(timeout=30)
    assert beats.acquire(timeout=30)
    stop()

    (told,) = database.values_of("register_worker")
    assert (told["name"], told["queues"], told["processes"], told["job_files"]) == (
        "me", [], 1, "digest",
    )  # fmt: skip
    assert told["birth_ticks"] > 0
    assert kept
    assert database.values_of("heartbeat_worker")[-1] == {"name": "me", "status": "stopped"}


def test_before_its_first_beat_only_the_lines_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_rq, "_LOOK_S", 0.0)
    monkeypatch.setattr(stock_rq, "_BEAT_S", 3600.0)
    looks = threading.Semaphore(0)
    database: Any = FakeDatabase()
    stop = stock_rq._beat(database, "me", "digest", looks.release)
    assert looks.acquire(timeout=30)
    assert looks.acquire(timeout=30)
    stop()

    assert database.values_of("heartbeat_worker") == [{"name": "me", "status": "stopped"}]


def test_rqs_message_names_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    part: Any = SimpleNamespace(load=lambda: lambda *given: asked.append(given))
    named: list[Any] = []
    monkeypatch.setattr(entry, "entry_points", lambda **which: note(named, which, [part]))
    message = SimpleNamespace(id=f"{JOB.id}_3")
    monkeypatch.setattr(entry, "get_current_job", lambda: message)

    entry.perform()

    assert asked == [(str(JOB.id), 3)]
    assert named == [{"group": "headrace.parts", "name": "attempt"}]
    for other in (None, SimpleNamespace(id="of another application")):
        monkeypatch.setattr(entry, "get_current_job", lambda other=other: other)
        with pytest.raises(ValueError, match="only for Headrace's own messages"):
            entry.perform()


def test_a_worker_waits_for_postgresql_before_it_begins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    slept: list[float] = []
    monkeypatch.setattr("headrace.engine.workers.main.time.sleep", slept.append)
    closed: list[int] = []

    class Headrace:
        database = SimpleNamespace(close=lambda: closed.append(1))
        tries = 0

        @property
        def keys(self) -> str:
            self.tries += 1
            if self.tries < 3:
                raise AWAY
            return "keys"

    made: Any = Headrace()
    keys: Any = main._keys_once_there(made)
    assert keys == "keys"

    assert len(slept) == 2
    assert max(slept) <= 0.4
    assert closed == [1], "no child may share that connection"
    assert caplog.text.count("waiting for it") == 1
    assert "continuing after" in caplog.text


def test_a_worker_says_whether_it_has_worked_and_why_it_has_ended() -> None:
    side: Any = SimpleNamespace(outdated=None)
    for worked in (True, False):
        assert main._worked(SimpleNamespace(work=lambda worked=worked: worked), side) is worked
    side.outdated = SchemaMismatch("version 1 is needed")
    with pytest.raises(SchemaMismatch, match="version 1 is needed"):
        main._worked(SimpleNamespace(work=lambda: True), side)
