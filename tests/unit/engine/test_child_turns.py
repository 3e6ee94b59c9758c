"""The turns of a worker's child: taken, claimed, executed, and what is told of each step."""

import logging
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.attempts.outcome import Handled, Raised
from headrace.engine.workers import child_loop
from headrace.engine.workers.child_lifetime import Stop
from headrace.engine.workers.child_loop import ChildLoop
from headrace.engine.workers.group_commit.polling import SharedBatches
from headrace.engine.workers.job_leftovers import ProcessState
from headrace.errors import JobStopped, QueueUnavailable, StoreUnavailable
from headrace.queue.consumer import Taken
from headrace.store.attempts import Claimed
from tests.support.claimed import claimed

JOB = UUID(int=1)
TAKEN: Taken = (str(JOB), 0, "low")
OUTAGE = StoreUnavailable("PostgreSQL does not answer")
SILENCE = QueueUnavailable("Redis does not answer", "silent")


class Stand:
    """A loop among fakes: `said` is what was told, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, max_jobs: int = 0, **given: Any) -> None:
        self.said: list[Any] = []
        note = self.said.append
        # Among fakes no job takes any time, however busy the machine is.
        clock = SimpleNamespace(perf_counter=lambda: 0.0, monotonic=lambda: 0.0)
        monkeypatch.setattr("headrace.engine.workers.group_commit.child_side.time", clock)
        self.messages: list[Any] = []
        self.claims: list[Any] = []
        self.lost, self.suspended = False, False
        self.wait_for_end = False
        self.hooked = False
        self.succeeding: Any = None
        self.too_new: list[Any] = []
        self.raw = SimpleNamespace(backend_pid=55)
        sessions: Any = SimpleNamespace(
            clean=lambda: note("cleaned"), before_use=None, roll_back=lambda: note("rolled back")
        )
        executor: Any = SimpleNamespace(
            store=self, sessions=sessions, handle=lambda _claimed: Handled(None), lines_kept={},
            log_lines=lambda _claimed: None,
            hooks=SimpleNamespace(wait_for_end=self.wait_for_end, after=lambda: self.hooked),
        )  # fmt: skip
        self.executor = executor
        consumer: Any = SimpleNamespace(
            take=self._take,
            done=lambda name: note(("done", name)),
            flush=self._flush,
            close=lambda: note("closed"),
            give_back=lambda taken: note(("returned", taken)),
        )
        self.consumer = consumer
        outer = self

        class Record(SimpleNamespace):
            @property
            def suspended(self) -> bool:
                return outer.suspended

        record: Any = Record(
            index=0, draining=False, told_to_end=False,
            connected=lambda pid: note(("connected", pid)),
            taken=lambda job, number: note(("taken", job, number)),
            running=lambda job, number, _deadline: note(("running", job.int, number)),
            idle=lambda *, finished=True: note(("idle", finished)),
            finished=lambda: note("finished"),
            wake_parent=lambda: None,
            completing=lambda: note("completing"),
        )  # fmt: skip
        monkeypatch.setattr(ProcessState, "remember", lambda _state: note("remembered"))
        self.left: list[str] = []
        monkeypatch.setattr(ProcessState, "put_back", lambda _state: self.left)
        self.loop = ChildLoop(
            executor, consumer, record, SharedBatches(1)[0], max_jobs=max_jobs, **given
        )
        inner: Any = self.loop
        self.life = inner._life
        self.life.begin = lambda: note("begun")
        self.life.sit_out = lambda error: note(("waited for", str(error)))
        self.life.sleep = self._sleep
        inner._ending.succeed = self._succeed
        inner._ending.fail = lambda _claimed, why: note(("failed", why.error))

    def _sleep(self, seconds: float) -> None:
        self.said.append(("slept", seconds))
        self.suspended = False

    def _flush(self) -> None:
        self.said.append("flushed")

    def _take(self) -> Any:
        following = self.messages.pop(0) if self.messages else Stop()
        if isinstance(following, BaseException):
            raise following
        return following

    def _succeed(self, _claimed: Claimed, _handled: Handled, **given: Any) -> Any:
        self.said.append(("succeeded", given))
        following = self.succeeding
        self.succeeding = None
        return following, []

    # -- the store ----------------------------------------------------------------------------

    line, server_since = 1, "a"

    def end_ahead(self) -> None:
        self.said.append("ended ahead")

    def drop(self) -> None:
        self.said.append("dropped")

    def broken(self, _error: BaseException) -> bool:
        return False

    def claim(self, _job: str, _number: int) -> Any:
        following = self.claims.pop(0) if self.claims else None
        if isinstance(following, BaseException):
            raise following
        return following

    def rows(self, _statement: Any, **_values: Any) -> list[Any]:
        return self.too_new


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(monkeypatch)


def test_a_message_is_taken_claimed_and_executed_and_each_step_told(stand: Stand) -> None:
    stand.messages, stand.claims = [TAKEN], [claimed(id=JOB)]

    stand.loop.run()

    assert stand.said == [
        "begun",
        "remembered",
        "ended ahead",
        ("taken", str(JOB), 0),
        ("running", 1, 1),
        ("succeeded", {"take": 1, "ahead": None}),
        ("done", f"{JOB}_0"),
        ("idle", True),
        "cleaned",
        "ended ahead",
        "flushed",
        "closed",
        "dropped",
    ]


def test_the_job_that_was_claimed_on_the_way_follows_at_once(stand: Stand) -> None:
    stand.messages, stand.claims = [TAKEN], [claimed(id=JOB)]
    stand.succeeding = claimed(id=UUID(int=2))

    stand.loop.run()

    told = [said for said in stand.said if said[0] in ("running", "idle", "taken", "done")]
    assert told == [
        ("taken", str(JOB), 0),
        ("running", 1, 1),
        ("done", f"{JOB}_0"),
        # Before the line is tidied up: a child that dies now has this one in hand.
        ("running", 2, 1),
        ("done", f"{UUID(int=2)}_0"),
        ("idle", True),
    ]


def test_a_message_of_a_job_that_is_not_to_be_had_is_done_with_and_told(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.messages, stand.too_new = [TAKEN], [{"needs": 99}]

    stand.loop.run()

    assert ("done", f"{JOB}_0") in stand.said
    assert ("idle", False) in stand.said
    assert "needs a worker of schema version 0099 or later" in caplog.text


def test_a_wait_without_a_message_is_begun_again(stand: Stand) -> None:
    stand.messages = [None, None]

    stand.loop.run()

    assert stand.said.count("ended ahead") == 3


def test_an_outage_ends_no_child(stand: Stand) -> None:
    stand.messages, stand.claims = [SILENCE, TAKEN], [claimed(id=JOB)]
    stand.loop.run()

    assert ("waited for", str(SILENCE)) in stand.said
    assert ("running", 1, 1) in stand.said


def test_a_message_stays_in_hand_while_postgresql_is_away(stand: Stand) -> None:
    stand.messages, stand.claims = [TAKEN], [OUTAGE, OUTAGE, claimed(id=JOB)]
    stand.loop.run()

    assert stand.said.count(("waited for", str(OUTAGE))) == 2
    assert ("running", 1, 1) in stand.said


def test_a_message_in_hand_is_given_back_where_the_child_is_to_end(stand: Stand) -> None:
    stand.messages, stand.claims = [TAKEN], [OUTAGE]

    def stop(_error: Exception) -> None:
        raise Stop

    stand.life.sit_out = stop
    stand.loop.run()

    assert ("returned", [TAKEN]) in stand.said
    assert stand.said[-3:] == ["flushed", "closed", "dropped"]


def test_a_job_that_is_stopped_ends_the_child_in_order(stand: Stand) -> None:
    stand.messages, stand.claims = [TAKEN], [claimed(id=JOB)]

    def stopped(_claimed: Claimed) -> Any:
        raise JobStopped("stopped")

    stand.executor.handle = stopped
    stand.loop.run()

    assert stand.said[-3:] == ["flushed", "closed", "dropped"]
    assert ("done", f"{JOB}_0") not in stand.said, "the parent tells how it ended"


def test_a_redis_that_is_away_at_the_end_keeps_nothing_open(stand: Stand) -> None:
    def away() -> None:
        raise SILENCE

    stand.consumer.flush = away
    stand.loop.run()

    assert stand.said[-2:] == ["closed", "dropped"]


def test_while_rq_suspends_its_workers_nothing_is_taken(stand: Stand) -> None:
    stand.suspended = True
    stand.messages, stand.claims = [TAKEN], [claimed(id=JOB)]
    stand.loop.run()

    slept = stand.said.index(("slept", 1.0))
    assert stand.said[slept - 1] == "flushed", "what was held back is said before"
    assert ("running", 1, 1) in stand.said


def test_a_message_that_came_as_workers_were_suspended_is_given_back(stand: Stand) -> None:
    def take() -> Any:
        stand.suspended = True
        return stand._take()

    stand.messages = [TAKEN]
    stand.consumer.take = take
    stand.loop.run()

    assert ("returned", [TAKEN]) in stand.said
    assert ("idle", False) in stand.said
    assert ("running", 1, 1) not in stand.said


def test_a_new_line_is_told_to_the_parent(stand: Stand) -> None:
    stand.loop.run()
    assert not [said for said in stand.said if said[0] == "connected"]
    stand.lost = True
    stand.loop.run()
    assert ("connected", 55) in stand.said


def test_a_child_ends_after_as_many_jobs_as_it_may_do(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand(monkeypatch, max_jobs=2)
    stand.messages = [TAKEN] * 5
    stand.claims = [claimed(id=JOB) for _ in range(5)]

    stand.loop.run()

    assert len(stand.messages) == 3


def test_dead_processes_are_reaped_now_and_then(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaped: list[int] = []
    monkeypatch.setattr(child_loop, "reap_adopted", lambda: reaped.append(stand.life.jobs))
    stand.messages = [TAKEN] * 130
    stand.claims = [claimed(id=JOB) for _ in range(130)]

    stand.loop.run()

    assert reaped == [64, 128]


def test_a_job_that_leaves_something_behind_is_its_childs_last(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stand.messages, stand.claims = [TAKEN] * 2, [claimed(id=JOB) for _ in range(2)]
    stand.left = ["a thread"]
    stand.executor.handle = lambda _claimed: stand.executor.tidy() or Handled(None)

    stand.loop.run()

    assert len(stand.messages) == 1
    assert "replacing this process: a thread" in caplog.text


def test_what_a_hook_leaves_behind_counts_as_well(stand: Stand) -> None:
    stand.messages, stand.claims = [TAKEN] * 2, [claimed(id=JOB) for _ in range(2)]
    stand.left = ["a thread"]
    stand.hooked = True

    stand.loop.run()

    assert len(stand.messages) == 1


def test_a_job_that_has_raised_fails_and_is_not_completed(stand: Stand) -> None:
    stand.messages, stand.claims = [TAKEN], [claimed(id=JOB)]
    stand.executor.handle = lambda _claimed: Raised("bad", "")

    stand.loop.run()

    assert ("failed", "bad") in stand.said
    assert not [said for said in stand.said if said[0] == "succeeded"]


def test_with_hooks_nothing_is_taken_ahead(stand: Stand) -> None:
    stand.messages, stand.claims = [TAKEN], [claimed(id=JOB)]
    stand.executor.hooks.wait_for_end = True

    stand.loop.run()

    assert ("succeeded", {"take": 0, "ahead": None}) in stand.said


def test_a_class_of_brief_jobs_has_several_taken_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand(monkeypatch, jobs_per_commit=4)
    inner: Any = stand.loop
    for _ in range(10):
        inner._group_commit.batch.learn_brief("Short", 0.0001, 0.0001, alone=True)
    stand.messages, stand.claims = [TAKEN], [claimed(id=JOB)]

    stand.loop.run()

    ((_, given),) = [said for said in stand.said if said[0] == "succeeded"]
    assert given["take"] == 4


def test_a_message_is_done_with_when_its_job_is_completed_and_not_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand = Stand(monkeypatch, jobs_per_commit=4)
    inner: Any = stand.loop
    for _ in range(10):
        inner._group_commit.batch.learn("Short", 0.0001, plain=True)
    inner._ending.take_more = lambda _most: []
    stand.executor.handle = lambda _claimed: Handled(None, plain=True)
    stand.messages, stand.claims = [TAKEN], [claimed(id=JOB)]

    stand.loop.run()

    told = [said for said in stand.said if said[0] in ("succeeded", "done") or said == "finished"]
    assert told == ["finished", ("succeeded", {"take": 0}), ("done", f"{JOB}_0")]


def test_what_a_session_cannot_be_tidied_up_for_is_no_error(stand: Stand) -> None:
    def away() -> None:
        raise OUTAGE

    stand.executor.sessions.clean = away
    stand.messages, stand.claims = [TAKEN], [claimed(id=JOB)]

    stand.loop.run()

    assert ("idle", True) in stand.said
    assert ("waited for", str(OUTAGE)) not in stand.said
