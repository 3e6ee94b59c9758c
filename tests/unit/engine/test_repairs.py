"""What the active daemon repairs, and goes on with while Redis or another server is away."""

import logging
import socket
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import pytest

from headrace.engine.operations import recovery
from headrace.engine.operations.recovery import Recovery
from headrace.errors import ConfigError, QueueUnavailable, StoreUnavailable
from headrace.model.connection import NamedConnection
from headrace.queue.message import Message
from headrace.queue.process import host_mark
from tests.support.fake_database import FakeDatabase

AWAY = QueueUnavailable("Redis does not answer", "silent")


def job(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": UUID(int=number), "attempt": 1, "queue": "low", "timeout_s": 60.0, "run_id": None,
        "dependents": 0, "allow_failure": False, "status": "queued", **more,
    }  # fmt: skip


class FakeSender:
    """Takes messages; `refusing` names what Redis refuses at the moment."""

    def __init__(self) -> None:
        self.refusing: set[str] = set()
        self.sent: list[Message] = []
        self.forgotten: list[str] = []
        self.lost: list[Message] = []
        self.emptied = False

    def _may(self, what: str) -> None:
        if what in self.refusing:
            raise AWAY

    def memory_lost(self) -> bool:
        self._may("memory_lost")
        return self.emptied

    def send(self, messages: Sequence[Message]) -> None:
        self._may("send")
        self.sent += messages

    def missing(self, messages: Sequence[Message]) -> list[Message]:
        self._may("missing")
        return [one for one in messages if one in self.lost]

    def forget(self, ids: Sequence[str]) -> None:
        self._may("forget")
        self.forgotten += ids


class Stand:
    """A recovery by a clock that a test sets, among fakes."""

    def __init__(self, connections: Any = None, subpipelines: Any = None) -> None:
        self.now = 1000.0
        self.database, self.sender = FakeDatabase(), FakeSender()
        made: Any = self.database
        sender: Any = self.sender
        self.recovery = Recovery(made, sender, lambda: self.now, connections, subpipelines)

    def swept(self) -> bool:
        self.database.asked.clear()
        self.recovery.tick()
        return bool(self.database.values_of("overdue_messages"))

    def without_sweep(self) -> None:
        self.recovery.tick()
        self.database.asked.clear()


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_every_few_seconds_all_is_swept_and_at_once_where_redis_has_lost_its_memory(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    assert stand.swept()
    assert not stand.swept()
    stand.now += 4.9
    assert not stand.swept()
    stand.now += 0.2
    assert stand.swept()
    assert stand.database.values_of("overdue_messages") == [{"older_than_s": 5.0}]
    assert stand.database.values_of("stuck_jobs") == [{"older_than_s": 5.0}]
    stand.sender.emptied = True
    with caplog.at_level(logging.INFO):
        assert stand.swept()
    assert stand.database.values_of("overdue_messages") == [{"older_than_s": 0}]
    assert "Redis has lost Headrace's data" in caplog.text


def test_a_long_sweep_is_followed_by_a_rest_of_twenty_times_its_length_and_no_longer_than_a_minute(
    stand: Stand,
) -> None:
    for took_s, rests_s in ((1.0, 20.0), (10.0, 60.0)):
        stand.now += 1000.0

        def long(_took_s: float = took_s, **_values: Any) -> list[Any]:
            stand.now += _took_s
            return []

        stand.database.answers["overdue_messages"] = long
        assert stand.swept()
        stand.database.answers.clear()
        stand.now += rests_s - 0.5
        assert not stand.swept()
        stand.now += 1.0
        assert stand.swept()


def test_what_is_due_or_was_lost_is_sent_and_counted(stand: Stand) -> None:
    lost = [Message(UUID(int=number), 1, "low", 60.0) for number in (3, 4)]
    stand.sender.lost = lost
    stand.database.answers |= {
        "due_retries": [job(1)],
        "overdue_messages": [job(number) for number in (2, 3, 4)],
        # One of them was claimed meanwhile.
        "still_queued": [job(4)],
        "wake_forgotten_parents": [job(5)],
        "forgotten_runs": [{"id": UUID(int=9)}],
        "finish_run": [
            {"id": UUID(int=9), "pipeline": "p", "status": "failed", "concurrency_group": None,
             "parent_job": None}
        ],
    }  # fmt: skip

    done = stand.recovery.tick()

    assert [message.job_id.int for message in stand.sender.sent] == [1, 5, 4]
    assert (done.retried, done.resent, done.finished_runs, done.lost) == (1, 1, 1, 0)
    assert stand.database.values_of("add_total") == [{"name": "recoveries", "by": 1}]


def test_nothing_is_counted_where_nothing_was_lost(stand: Stand) -> None:
    stand.database.answers["overdue_messages"] = [job(2)]

    assert stand.recovery.tick().resent == 0

    assert stand.database.values_of("add_total") == []
    assert stand.database.values_of("still_queued") == []


@pytest.mark.parametrize("refused", ["memory_lost", "send", "missing", "forget"])
def test_whatever_redis_refuses_the_rest_is_done_and_said_once(
    stand: Stand, caplog: pytest.LogCaptureFixture, refused: str
) -> None:
    caplog.set_level(logging.INFO)
    stand.sender.lost = [Message(UUID(int=3), 1, "low", 60.0)]
    stand.sender.refusing = {refused}
    stand.database.answers |= {
        "due_retries": [job(1)],
        "attempts_of_workers": [{"id": UUID(int=2), "attempt": 4}],
        "lose_attempts": [job(2, attempt=4)],
        "overdue_messages": [job(3)],
        "still_queued": [job(3)],
    }

    for _ in range(2):
        stand.now += 100.0
        done = stand.recovery.tick()
        assert (done.retried, done.lost) == (1, 1)
        assert done.resent == (0 if refused in ("missing", "send") else 1)
    assert caplog.text.count("Redis does not answer; waiting for it") == 1
    assert "continuing" not in caplog.text
    stand.sender.refusing = set()
    stand.now += 100.0
    stand.recovery.tick()
    assert "continuing after" in caplog.text


def test_a_refusal_outside_of_a_sweep_is_not_over_before_a_whole_one_has_gone_well(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stand.recovery.tick()
    stand.sender.refusing = {"memory_lost"}
    stand.recovery.tick()
    stand.sender.refusing = set()
    stand.now += 10.0
    stand.recovery.tick()
    assert "continuing" not in caplog.text
    stand.now += 10.0
    stand.recovery.tick()
    assert "continuing" in caplog.text


def stale(name: str = "w", *, expired: bool, host: str = "far", ticks: int = 1) -> dict[str, Any]:
    return {"name": name, "hostname": host, "pid": 1, "birth_ticks": ticks, "expired": expired}


def lost_workers(stand: Stand) -> list[str]:
    stand.database.asked.clear()
    stand.recovery.tick()
    return [name for values in stand.database.values_of("lose_workers") for name in values["names"]]


def test_a_silent_worker_is_lost_but_not_for_a_while_after_postgresql_was_away(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "SILENCE_S", 10.0)
    stand.database.answers["stale_workers"] = [stale(expired=True)]
    assert lost_workers(stand) == ["w"]
    stand.database.away = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        stand.recovery.tick()
    stand.database.away = None

    stand.now += 9.9
    assert lost_workers(stand) == []
    stand.now += 0.2
    assert lost_workers(stand) == ["w"]
    (ended,) = stand.database.values_of("terminate_backends")
    assert ended == {"application_names": ["headrace:w"]}
    assert stand.database.values_of("add_idle_crashes") == [{"names": ["w"]}]


def test_a_worker_of_this_host_is_lost_with_its_process_and_one_of_another_only_by_its_silence(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = socket.gethostname()
    mine, container = f"{here}.1.{host_mark()}abcdef", f"{here}.1.0000abcdef"
    monkeypatch.setattr(recovery, "birth_ticks", lambda _pid: 7)
    cases = [
        (stale(mine, expired=False, host=here, ticks=7), False),
        (stale(mine, expired=False, host=here, ticks=8), True),
        (stale(container, expired=False, host=here, ticks=8), False),
        (stale(mine, expired=False, host="far", ticks=8), False),
        (stale(container, expired=True, host=here, ticks=7), True),
    ]
    for row, is_lost in cases:
        stand.database.answers["stale_workers"] = [row]
        assert lost_workers(stand) == ([row["name"]] if is_lost else [])


def test_workers_that_are_lost_are_told_by_name(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.database.answers["stale_workers"] = [
        stale(name, expired=True) for name in ("far.1", "far.2")
    ]

    assert lost_workers(stand) == ["far.1", "far.2"]
    stand.database.answers["stale_workers"] = []
    assert lost_workers(stand) == []

    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in told] == ["lost the worker far.1, far.2"]


def test_what_a_dead_worker_held_is_given_back_and_its_messages_forgotten(stand: Stand) -> None:
    stand.database.answers |= {
        "attempts_of_workers": [{"id": UUID(int=number), "attempt": 4} for number in (1, 2)],
        "lose_attempts": [job(1, attempt=4), job(2, attempt=4, status="failed", dependents=1)],
    }

    done = stand.recovery.tick()

    (values,) = stand.database.values_of("lose_attempts")
    assert (values["outcome"], values["error"], values["crash_budget"]) == (
        "crashed", "its worker died", 3,
    )  # fmt: skip
    assert stand.sender.sent == [Message(UUID(int=1), 4, "low", 60.0)]
    assert stand.sender.forgotten == [f"{UUID(int=number)}_3" for number in (1, 2)]
    assert (done.lost, done.workers) == (2, [])
    assert stand.database.values_of("update_dependants") == [{"upstream": [UUID(int=2)]}]


def test_sessions_of_lost_workers_end_on_every_server_that_can_be_reached(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[tuple[str, list[str]]] = []

    def end(url: str, workers: list[str]) -> None:
        if "away" in url:
            raise StoreUnavailable("it does not answer")
        if "wrong" in url:
            raise ConfigError("no such database")
        ended.append((url, workers))

    monkeypatch.setattr(recovery, "is_there", lambda one: "unmade" not in one.url)
    monkeypatch.setattr(recovery, "end_sessions", end)
    urls = [f"postgresql://{name}/x" for name in ("away", "wrong", "unmade", "last")]
    others = {f"n{n}": NamedConnection(url) for n, url in enumerate([*urls, "sqlite:///x.db"])}

    Stand(others).recovery._end_sessions(["w"])

    assert ended == [("postgresql://last/x", ["w"])]
    assert [cast("Any", record.args)[0] for record in caplog.records] == ["n0", "n1"]


def test_slots_and_runs_of_steps_are_looked_at_in_each_tick(stand: Stand) -> None:
    started: list[tuple[Any, Any]] = []

    class Subpipelines:
        def start(self, children: list[Any], term: int | None) -> list[Message]:
            started.append((children, term))
            return [Message(UUID(int=8), 0, "low")]

    made = Stand(subpipelines=Subpipelines())
    made.without_sweep()
    made.sender.sent.clear()
    made.database.answers |= {
        "wanted_pools": [{"pool": "p", "slots": 2}],
        "assign_slots": [job(6)],
        "wanted_children": [{"id": 1}],
    }
    led: list[Any] = []

    made.recovery.tick(led.append, 5)

    assert led == [made.database]
    assert started[-1] == ([{"id": 1}], 5)
    assert [message.job_id.int for message in made.sender.sent] == [6, 8]
