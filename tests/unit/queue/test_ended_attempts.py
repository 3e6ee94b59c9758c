"""What a worker's parent tells of attempts that their children did not end."""

import signal
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.workers.interrupted_attempts import messages_of
from headrace.queue import children
from headrace.queue.child import Child, Patience
from headrace.queue.shared_memory import COMPLETING, IDLE, RUNNING, TAKEN, ChildRecords, ChildView
from headrace.queue.worker_callbacks import Ended

JOB, OTHER = UUID(int=1), UUID(int=2)
HELD = ((UUID(int=3), 0),)


def view(state: int = RUNNING, job: UUID = JOB, attempt: int = 2) -> ChildView:
    return ChildView(state, job, attempt, 5.0, 0, 0, HELD)


def told(outcome: str, error: str, trace: str = "", *, claimed: bool = True) -> Ended:
    return Ended(str(JOB), 2, outcome, error, trace, claimed, HELD)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (
            Ended.crashed(view(), 7, -signal.SIGSEGV),
            told("crashed", "the worker process 7 was killed by SIGSEGV"),
        ),
        (
            Ended.crashed(view(), 7, -(signal.SIGRTMIN + 6)),
            told("crashed", "the worker process 7 was killed by SIGRTMIN+6"),
        ),
        (
            Ended.crashed(view(COMPLETING), 7, 0),
            told("crashed", "the worker process 7 left with exit code 0"),
        ),
        (
            Ended.crashed(view(TAKEN), 7, 3),
            told("crashed", "the worker process 7 left with exit code 3", claimed=False),
        ),
        (
            Ended.too_large(view(), 7, 300 << 20),
            told("crashed", "the worker process 7 was stopped: it used more than 300 MB"),
        ),
        (
            Ended.timed_out(view(), "File x, line 1"),
            told(
                "timed_out",
                "timed out: the job ran longer than its timeout and was stopped",
                "File x, line 1",
            ),
        ),
        (Ended.given_back(view()), told("released", "the worker was stopped")),
        (
            Ended.given_back(view(TAKEN)),
            told("released", "the worker was stopped", claimed=False),
        ),
        (Ended.stopped(view()), told("cancelled", "stopped on request")),
        (Ended.taken_away(view()), told("taken_away", "")),
    ],
)
def test_each_end_says_whose_it_is_and_why(ended: Ended, expected: Ended) -> None:
    assert ended == expected


def test_a_message_bears_the_number_before_the_claim() -> None:
    claimed, taken = Ended.stopped(view()), Ended.given_back(view(TAKEN))

    assert messages_of(claimed) == [f"{JOB}_1", f"{HELD[0][0]}_0"]
    assert messages_of(taken) == [f"{JOB}_2", f"{HELD[0][0]}_0"]


def test_what_was_decided_about_a_child_is_told_and_not_that_it_was_killed() -> None:
    ending = Ended.stopped(view())

    def ends(state: int, ended: Ended | None, job: UUID = JOB, attempt: int = 2) -> list[Ended]:
        child = Child(0, 7, ending=ended)
        return children._ends(child, view(state, job, attempt), -signal.SIGKILL)

    assert ends(IDLE, None) == []
    assert [one.outcome for one in ends(RUNNING, None)] == ["crashed"]
    assert ends(IDLE, ending) == [ending]
    assert ends(IDLE, ending, OTHER) == [ending], "nothing has begun since"
    assert ends(RUNNING, ending) == [ending]
    # It had come to the end of that one, and had begun another, which is not to blame.
    for job, attempt in ((OTHER, 2), (JOB, 3)):
        both = ends(RUNNING, ending, job, attempt)
        assert both == [ending, Ended.given_back(view(RUNNING, job, attempt))]


class Hooks:
    """Knows the worker at the second time of asking."""

    def __init__(self) -> None:
        self.asked = 0
        self.ended: list[tuple[ChildView, int]] = []

    def register(self) -> bool:
        self.asked += 1
        return self.asked > 1

    def child_ended(self, seen: ChildView, index: int) -> None:
        self.ended.append((seen, index))


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(children, "time", made)
    return made


class Stand:
    """Children without processes: what is done to them is noted."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock, *, count: int, memory: int = 0
    ) -> None:
        self.records, self.clock = ChildRecords(count), clock
        self.hooks = Hooks()
        self.done: list[tuple[str, int]] = []
        self.exits: dict[int, int] = {}
        made: Any = self.hooks
        monkeypatch.setattr(children, "spawn", self._spawn)
        monkeypatch.setattr(children, "kill_tree", lambda pid: self.done.append(("kill", pid)))
        monkeypatch.setattr(children, "kill_group", lambda pid: self.done.append(("sweep", pid)))
        monkeypatch.setattr(Child, "poll", lambda child: self.exits.get(child.pid))

        def tell(child: Child, within_s: float) -> None:
            self.done.append(("end", child.pid))
            child.kill_at = self.clock.now + within_s

        monkeypatch.setattr(Child, "tell_to_end", tell)
        self.all = children.Children(
            self.records, made, Patience(kill_after_s=5.0), lambda: None,
            max_memory_bytes=memory,
        )  # fmt: skip

    def _spawn(self, index: int, *_rest: Any) -> Child:
        self.done.append(("spawn", index))
        return Child(index, 100 + len(self.done), born=self.clock.now)

    def child(self, index: int = 0) -> Child:
        return next(child for child, _ in self.all.each() if child.index == index)


def test_children_are_forked_once_the_worker_is_known(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stand = Stand(monkeypatch, clock, count=2)

    stand.all.spawn_missing()
    assert (stand.done, stand.hooks.asked) == ([], 1)
    clock.now += 0.9
    stand.all.spawn_missing()
    assert stand.hooks.asked == 1, "asked once a second"
    clock.now += 0.2
    stand.all.spawn_missing()
    stand.all.spawn_missing()

    assert stand.done == [("spawn", 0), ("spawn", 1)]
    assert stand.hooks.asked == 2


def started(monkeypatch: pytest.MonkeyPatch, clock: Clock, **more: int) -> Stand:
    stand = Stand(monkeypatch, clock, **{"count": 1, **more})
    stand.hooks.asked = 1
    stand.all.spawn_missing()
    clock.now += 10.0
    stand.done.clear()
    return stand


def test_a_child_that_cannot_start_is_not_forked_again_at_once(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stand = started(monkeypatch, clock)
    child = stand.child()
    child.born = clock.now - 0.5
    stand.exits[child.pid] = 1

    assert not stand.all.reap()
    stand.all.spawn_missing()
    assert stand.done == [("sweep", child.pid)]
    clock.now += 1.1
    stand.all.spawn_missing()
    assert ("spawn", 0) in stand.done


@pytest.mark.parametrize(("age_s", "status"), [(5.0, 1), (0.5, 0)])
def test_a_child_that_has_lived_or_has_left_by_itself_is_replaced_at_once(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, age_s: float, status: int
) -> None:
    stand = started(monkeypatch, clock)
    child = stand.child()
    child.born = clock.now - age_s
    stand.exits[child.pid] = status

    stand.all.reap()
    stand.all.spawn_missing()

    assert ("spawn", 0) in stand.done


def test_what_a_killed_child_leaves_is_told_and_looked_for_a_while(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stand = started(monkeypatch, clock)
    child, pen = stand.child(), stand.records.record(0)
    pen.finished()
    pen.running(JOB, 2, 5000.0)
    assert (stand.all.busy, stand.all.finished_any, bool(stand.all)) == (True, True, True)
    stand.exits[child.pid] = -signal.SIGKILL

    assert stand.all.reap()

    assert [one.outcome for one in stand.all.unreported] == ["crashed"]
    assert [(seen.job_id, index) for seen, index in stand.hooks.ended] == [(JOB, 0)]
    assert stand.all.alert_until == clock.now + 2.0
    assert stand.all.strays_left
    assert (stand.all.busy, stand.all.finished_any, bool(stand.all)) == (False, True, False)
    assert not stand.all.reap()


def test_a_job_past_its_deadline_is_told_to_end_and_then_killed(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stand = started(monkeypatch, clock)
    monkeypatch.setattr(stand.all._traces, "ask", lambda pid, index: f"stack of {pid}, {index}")
    child, pen = stand.child(), stand.records.record(0)
    pen.connected(55)
    pen.running(JOB, 2, clock.now)

    stand.all.kill_overdue()
    assert stand.done == [], "it has until then"
    assert stand.all.deadlines() == [clock.now]
    clock.now += 0.1
    stand.all.kill_overdue()
    stand.all.kill_overdue()

    assert stand.done == [("end", child.pid)]
    assert stand.records.told_to_end(0)
    assert child.ending == Ended.timed_out(stand.records.read(0), f"stack of {child.pid}, 0")
    assert stand.all.deadlines() == [clock.now - 0.1, clock.now + 5.0]
    clock.now += 5.1
    stand.all.kill_overdue()
    stand.all.kill_overdue()
    assert stand.done[1:] == [("kill", child.pid)]
    assert stand.all.backends == [55]
    clock.now += 1.1
    stand.all.kill_overdue()
    assert stand.done[2:] == [("kill", child.pid)], "what could not be killed is tried again"


def test_a_job_that_ends_while_its_stack_is_asked_for_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stand = started(monkeypatch, clock)
    pen = stand.records.record(0)
    pen.running(JOB, 2, clock.now - 1)

    def ask(_pid: int, _index: int) -> str:
        pen.idle()
        return ""

    monkeypatch.setattr(stand.all._traces, "ask", ask)

    stand.all.kill_overdue()

    assert stand.done == []


@pytest.mark.parametrize(
    ("used", "most", "killed"), [(10, 0, False), (10, 10, False), (11, 10, True)]
)
def test_a_child_that_grows_too_large_in_a_job_is_killed(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, used: int, most: int, killed: bool
) -> None:
    stand = started(monkeypatch, clock, memory=most)
    monkeypatch.setattr(children, "resident_bytes", lambda _pid: used)
    stand.all.kill_overdue()
    assert stand.done == [], "where nothing runs it is looked at by itself"
    stand.records.record(0).running(JOB, 2, clock.now + 60)

    stand.all.kill_overdue()

    child = stand.child()
    assert stand.done == ([("kill", child.pid)] if killed else [])
    assert stand.all.backends == [], "it had not connected"
    if killed:
        assert child.ending == Ended.too_large(stand.records.read(0), child.pid, most)


def test_at_the_end_of_a_worker_an_idle_child_is_killed_and_a_job_may_tidy_up(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    stand = started(monkeypatch, clock, count=3)
    idle, busy, ending = (stand.child(index) for index in range(3))
    stand.records.record(1).running(JOB, 2, clock.now + 60)
    stand.records.record(2).running(OTHER, 2, clock.now + 60)
    stand.all.stop(ending, Ended.stopped(stand.records.read(2)))
    stand.done.clear()

    stand.all.end_all()

    assert stand.done == [("kill", idle.pid), ("end", busy.pid)]
    assert idle.ending is None
    assert busy.ending == Ended.given_back(stand.records.read(1))
    assert ending.ending is not None
    assert ending.ending.outcome == "cancelled"
    stand.all.wait_no_more()
    assert [one.kill_at for one in (busy, ending)] == [0.0, 0.0]
    assert not idle.is_ending
