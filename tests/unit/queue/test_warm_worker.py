"""A worker's parent: what it looks at, tells, obeys, and how it ends.

Each test runs in a process of its own: RQ takes its keys' prefix for good when it is imported.
"""

import logging
import math
import signal
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from headrace.queue import children
from headrace.queue.child import Child, Patience
from headrace.queue.keys import Keys
from headrace.queue.private_rq import worker_class
from headrace.queue.shared_memory import ChildView
from tests.support.in_fork import in_fork

JOB = UUID(int=1)


_OF_ONE_INSTALLATION = ("headrace.queue.worker", "headrace.queue.registered_worker")


@pytest.fixture(scope="module", autouse=True)
def imported() -> Iterator[None]:
    """Import the worker once for all of these processes, and leave nothing of it to other tests."""
    before = {name: sys.modules.pop(name) for name in _OF_ONE_INSTALLATION if name in sys.modules}
    worker_class(Keys("headrace-stand1"))
    yield
    for name in _OF_ONE_INSTALLATION:
        del sys.modules[name]
    sys.modules.update(before)


def forked(test: Callable[[], None]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        in_fork(test)

    return run


class Hooks:
    """Notes what the parent calls it for; `lost` is what a heartbeat learns."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.lost: dict[tuple[str, int], bool] = {}
        self.lines: float | None = None
        self.recorded = True

    def heartbeat(self, status: str, running: Any) -> Any:
        self.said.append(("heartbeat", status, list(running)))
        return self.lost

    def keep_logs(self, running: Any) -> float | None:
        self.said.append(("logs", list(running)))
        return self.lines

    def ended(self, attempts: Any) -> bool:
        self.said.append(("ended", [one.outcome for one in attempts]))
        return self.recorded

    def end_backend(self, pid: int) -> None:
        self.said.append(("backend", pid))

    def register(self) -> bool:
        return True

    def record_results(self) -> None:
        return None

    def child_ended(self, _view: ChildView, _index: int) -> None:
        self.said.append("child ended")

    def stopped(self) -> None:
        self.said.append("stopped")


class Redis:
    """As much of a client as a heartbeat uses."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.messages: list[Any] = []
        self.away = False
        self.connection_pool = SimpleNamespace(
            connection_kwargs={}, connection_class=object, reset=lambda: None
        )

    def exists(self, key: str) -> bool:
        if self.away:
            raise RedisConnectionError("reset by peer")
        return key in self.keys

    def delete(self, key: str) -> None:
        self.exists(key)

    def get_message(self, timeout: float) -> Any:
        assert timeout == 0
        return self.messages.pop(0) if self.messages else None


class Stand:
    """A worker with children that are no processes."""

    def __init__(self, count: int = 1) -> None:
        self.hooks: Any = Hooks()
        self.redis = Redis()
        self.done: list[Any] = []
        self.clock = SimpleNamespace(now=1000.0)
        self.clock.monotonic = lambda: self.clock.now
        self.clock.sleep = lambda seconds: setattr(self.clock, "now", self.clock.now + seconds)
        below: Any = children
        below.time, below.spawn = self.clock, self._spawn
        below.kill_tree = lambda pid: self.done.append(("kill", pid))
        below.kill_group = lambda _pid: None
        self.exits: dict[int, int] = {}

        def tell_to_end(child: Child, within_s: float) -> None:
            child.kill_at = self.clock.now + within_s

        of_child: Any = Child
        of_child.poll = lambda child: self.exits.get(child.pid)
        of_child.ask_to_stop = lambda child: self.done.append(("ask", child.pid))
        of_child.tell_to_end = tell_to_end
        worker = worker_class(Keys("headrace-stand1"))
        module: Any = sys.modules["headrace.queue.worker"]
        module.time = self.clock
        self.worker: Any = worker(
            ["low"], name="w", connection=self.redis, hooks=self.hooks, processes=count,
            patience=Patience(10.0, 5.0),
        )  # fmt: skip
        self.worker._children._strays = SimpleNamespace(end=lambda _spare: False)
        self.worker._registered = True
        self.redis.keys.add(self.worker.key)
        self.worker.pubsub = self.redis
        self.worker.heartbeat = lambda: self.done.append("rq heartbeat")
        self.worker.set_state = self.done.append
        self.worker._children.spawn_missing()
        self.records = self.worker._records
        self.done.clear()

    def _spawn(self, index: int, *_rest: Any) -> Child:
        return Child(index, 100 + index, born=self.clock.now)

    def child(self, index: int = 0) -> Child:
        found: Child = next(one for one, _ in self.worker._children.each() if one.index == index)
        return found

    def runs(self, index: int = 0, job: UUID = JOB, attempt: int = 2) -> None:
        self.records.record(index).running(job, attempt, self.clock.now + 100.0)

    def heartbeats(self) -> int:
        return sum(said[0] == "heartbeat" for said in self.hooks.said)


@forked
def test_a_worker_says_that_it_lives_more_often_while_a_job_runs() -> None:
    stand = Stand()

    def seconds_to_the_next() -> float:
        stand.worker._next_heartbeat = 0.0
        stand.worker._turn()
        return float(stand.worker._next_heartbeat - stand.clock.now)

    assert seconds_to_the_next() == 3.0
    stand.runs()
    assert seconds_to_the_next() == 1.0
    stand.worker._children.alert_until = stand.clock.now + 1.0
    assert math.isclose(seconds_to_the_next(), 0.4, rel_tol=1e-6)
    before = stand.heartbeats()
    stand.worker._turn()
    assert stand.heartbeats() == before
    stand.clock.now += 0.5
    stand.worker._turn()
    assert stand.heartbeats() == before + 1
    assert stand.hooks.said[-2] == ("heartbeat", "running", [(str(JOB), 2)])
    assert stand.hooks.said[-1] == ("logs", [(0, JOB, 2)])


@forked
def test_it_waits_no_longer_than_until_the_next_thing_is_to_be_looked_at() -> None:
    stand = Stand()
    assert stand.worker._pause() == 1.0
    stand.records.record(0).running(JOB, 2, stand.clock.now + 0.5)
    assert stand.worker._pause() == 0.5
    stand.worker._next_lines = 0.3
    assert math.isclose(stand.worker._pause(), 0.3)
    stand.records.record(0).running(JOB, 2, stand.clock.now - 5.0)
    assert stand.worker._pause() == 0.01
    stand.records.record(0).idle()
    stand.worker._next_lines = None
    stand.worker._children.alert_until = stand.clock.now + 1.0
    assert stand.worker._pause() == 0.4
    stand.worker._children.strays_left = True
    assert stand.worker._pause() == 0.2


@forked
def test_a_child_that_a_signal_has_ended_is_told_at_once() -> None:
    stand = Stand()
    stand.worker._next_heartbeat = stand.clock.now + 100.0
    stand.runs()
    stand.exits[100] = -signal.SIGKILL
    stand.records.record(0)._backend_pid = 5

    stand.worker._turn()

    assert stand.heartbeats() == 1
    assert ("ended", ["crashed"]) in stand.hooks.said
    stand.worker._report()
    assert sum(said[0] == "ended" for said in stand.hooks.said) == 1


@forked
def test_what_could_not_be_recorded_is_told_again() -> None:
    stand = Stand()
    stand.runs()
    stand.exits[100] = 1
    stand.hooks.recorded = False
    stand.worker._turn()
    assert len(stand.worker._children.unreported) == 1
    stand.hooks.recorded = True
    stand.worker._report()
    assert stand.worker._children.unreported == []
    stand.worker._children.backends.append(7)
    stand.worker._report()
    assert stand.hooks.said[-1] == ("backend", 7)


@forked
def test_a_job_that_is_no_longer_its_own_is_stopped_or_killed() -> None:
    for cancelled, done in ((True, []), (False, [("kill", 100)])):
        stand = Stand()
        stand.runs()
        stand.hooks.lost = {(str(JOB), 2): cancelled}
        stand.worker._beat()
        assert stand.child().is_ending == cancelled
        assert [one for one in stand.done if one[0] == "kill"] == done
        ending = stand.child().ending
        assert ending is not None
        assert ending.outcome == "taken_away"
        stand.worker._beat()
        assert len([one for one in stand.done if one[0] == "kill"]) == (0 if cancelled else 2)


@forked
def test_a_job_that_has_just_ended_or_is_being_completed_is_left_alone() -> None:
    stand = Stand()
    stand.runs()
    stand.records.record(0)

    def lost(_status: str, _running: Any) -> Any:
        stand.records.record(0).idle()
        return {(str(JOB), 2): False}

    stand.hooks.heartbeat = lost
    stand.worker._beat()
    assert stand.child().ending is None
    pen = stand.records.record(0)
    pen.running(JOB, 2, stand.clock.now + 9.0)
    pen.completing()
    stand.hooks.heartbeat = lambda *_given: {(str(JOB), 2): False}
    stand.worker._beat()
    assert stand.child().ending is None


@forked
def test_commands_of_rq_are_obeyed() -> None:
    # The third one waits for a message.
    stand = Stand(3)
    stand.runs(0)
    stand.runs(1, UUID(int=2))
    command = b'{"command": "stop-job", "job_id": "%s_1"}' % str(JOB).encode()
    stand.redis.messages = [{"data": command}]
    stand.worker._beat_redis()
    assert [stand.child(index).is_ending for index in (0, 1)] == [True, False]
    ending = stand.child().ending
    assert ending is not None
    assert ending.outcome == "cancelled"
    stand.worker._obey({"command": "stop-job", "job_id": f"{UUID(int=2)}_2"})
    stand.worker._obey({})
    assert not stand.child(1).is_ending
    kill_at = stand.child().kill_at
    stand.clock.now += 1.0
    stand.worker._obey({"command": "stop-job", "job_id": f"{JOB}_1"})
    assert (stand.child().ending, stand.child().kill_at) == (ending, kill_at), "once is enough"
    ends = stand.records.record(2)
    ends.running(UUID(int=3), 2, stand.clock.now + 9.0)
    ends.completing()
    stand.worker._obey({"command": "stop-job", "job_id": f"{UUID(int=3)}_1"})
    assert not stand.child(2).is_ending, "it has come to its end"
    ends.idle()
    stand.done.clear()
    stand.worker._obey({"command": "kill-horse"})
    assert stand.done == [("kill", 100), ("kill", 101)]


@forked
def test_redis_learns_whether_the_worker_is_busy_and_tells_whether_it_is_suspended() -> None:
    stand = Stand()
    stand.worker._beat_redis()
    assert stand.done == ["rq heartbeat", "idle"]
    assert not stand.records.suspended
    stand.runs()
    stand.redis.keys.add(sys.modules["headrace.queue.registered_worker"].WORKERS_SUSPENDED)
    stand.worker._beat_redis()
    assert stand.done[-1] == "busy"
    assert stand.records.suspended
    stand.redis.away = True
    stand.redis.keys.clear()
    stand.worker._beat_redis()
    assert stand.records.suspended, "nobody has said otherwise"


class Told(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        logging.getLogger("headrace.worker").addHandler(self)
        logging.getLogger("headrace.worker").setLevel(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@forked
def test_an_outage_of_redis_is_said_once_and_the_worker_registers_anew_after_it() -> None:
    stand, told = Stand(), Told()
    stand.redis.away = True
    assert stand.worker.announce(busy=False) == (None, [])
    assert stand.worker.announce(busy=False) == (None, [])
    assert [line for line in told.lines if "waiting for it" in line] == [
        "Redis does not answer: reset by peer; waiting for it"
    ]
    registered: list[int] = []
    stand.worker._register = lambda: registered.append(1)
    stand.redis.away = False
    assert stand.worker.announce(busy=False) == (False, [])
    assert registered == [1]
    assert told.lines.count("Redis answers again") == 1
    stand.worker._registered = True
    stand.worker.announce(busy=False)
    assert (registered, told.lines.count("Redis answers again")) == ([1], 1)
    stand.redis.keys.clear()
    stand.worker.announce(busy=False)
    assert registered == [1, 1], "its key has expired"


@forked
def test_a_worker_is_removed_from_the_list_if_redis_answers() -> None:
    stand, told = Stand(), Told()
    removed: list[int] = []
    stand.worker.register_death = lambda: removed.append(1)
    stand.worker.unregister()
    assert removed == [1]
    stand.worker._registered = False
    stand.worker.unregister()
    assert removed == [1]

    def away() -> None:
        raise RedisConnectionError("reset by peer")

    stand.worker._registered, stand.worker.register_death = True, away
    stand.worker.unregister()
    assert told.lines[-1] == "Redis was not informed of the end"
    assert stand.worker.connection_timeout == 0


@forked
def test_the_first_signal_asks_to_stop_and_the_second_waits_for_nothing() -> None:
    stand, told = Stand(2), Told()
    stand.runs(0)
    stand.worker._on_stop(15, None)
    assert stand.records.draining
    assert stand.done == [("ask", 100), ("ask", 101)]
    assert "waiting up to 10 s for running jobs" in told.lines[-1]
    assert stand.worker._drain_until == stand.clock.now + 10.0
    stand.worker._turn()
    assert stand.hooks.said[-2] == ("heartbeat", "draining", [(str(JOB), 2)])
    assert stand.child().ending is None, "its job may end"
    stand.clock.now += 10.1
    stand.worker._turn()
    assert stand.child().is_ending
    assert ("kill", 101) in stand.done, "one at nothing is not waited for"
    stand.worker._on_stop(15, None)
    assert stand.worker._drain_until == 0.0
    assert stand.child().kill_at == 0.0
    stand.exits = {100: 0, 101: 0}
    stand.worker._turn()
    assert stand.worker._finished()
    assert not Stand().worker._finished()


@forked
def test_a_wait_for_postgresql_watches_and_is_given_up_only_at_an_end_that_was_asked_for() -> None:
    stand = Stand()
    turns: list[int] = []
    stand.worker.turns = lambda: turns.append(1)
    assert stand.worker._look(3600.0) == 1.0
    assert turns == [1]
    stand.worker._on_stop(15, None)
    stand.exits[100] = 0
    assert stand.worker._look(0.0) is not None
    stand.clock.now += 4.9
    assert stand.worker._look(0.0) is not None
    stand.clock.now += 0.2
    assert stand.worker._look(0.0) is None


@forked
def test_at_the_end_what_is_left_is_ended_reported_and_said() -> None:
    stand = Stand()
    stand.runs()
    stand.worker.unregister = lambda: stand.hooks.said.append("unregistered")
    stand.worker._on_stop(15, None)
    stand.worker._children.end_all()
    stand.exits[100] = -signal.SIGKILL
    tries: list[int] = []

    def ended(attempts: Any) -> bool:
        tries.append(len(attempts))
        return len(tries) > 2

    stand.hooks.ended = ended
    stand.worker._end()
    assert tries == [1, 1, 1]
    assert stand.hooks.said[-2:] == ["stopped", "unregistered"]
    never = Stand()
    never.runs()
    never.worker._registered = False
    began = never.clock.now
    never.worker._end()
    assert 5.0 <= never.clock.now - began < 6.0, "for no longer than that"


@forked
def test_a_worker_whose_loop_fails_ends_its_children_at_once_and_leaves_the_list() -> None:
    stand = Stand(2)
    stand.runs(0)
    stand.hooks.while_waiting = lambda _look: None
    stand.worker._children.begin = lambda: None
    stand.worker.unregister = lambda: stand.hooks.said.append("unregistered")
    children.kill_tree = lambda pid: stand.exits.__setitem__(pid, -signal.SIGKILL)  # type: ignore[attr-defined]
    began = stand.clock.now

    def fails() -> None:
        raise RuntimeError("a mistake of ours")

    stand.worker.turns = fails
    stand.worker._wait = lambda *_given: None
    with pytest.raises(RuntimeError, match=r"^a mistake of ours$"):
        stand.worker.work()

    assert stand.exits == {100: -signal.SIGKILL, 101: -signal.SIGKILL}
    assert ("ended", ["released"]) in stand.hooks.said
    assert stand.hooks.said[-2:] == ["stopped", "unregistered"]
    assert stand.clock.now - began < 1.0, "no job may tidy up"
