"""How a child ends an attempt, whatever goes wrong with that; nothing here is a real server."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.attempts.outcome import Handled, Raised
from headrace.engine.attempts.recorded_end import record_end
from headrace.engine.workers import attempt_outcome
from headrace.engine.workers.attempt_outcome import Ending
from headrace.engine.workers.child_lifetime import Life
from headrace.errors import QueueUnavailable, StaleAttempt, StoreUnavailable
from headrace.queue.consumer import Taken
from headrace.queue.message import Message
from headrace.store.attempts import Claimed, Completed
from tests.support.claimed import claimed as made

RUN = UUID(int=9)
DONE = Handled("1")
NEXT: Taken = (str(UUID(int=7)), 0, "low")


class Refused(Exception):
    """A constraint of a job's own."""

    pgcode = "23503"


class Deadlock(Exception):
    """An end for another transaction's sake."""

    pgcode = "40P01"


class Stand:
    """An `Ending` among fakes. `said` is what was done, in order."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.server, self.at_fault = "a", False
        self.failing: list[Exception | None] = []
        self.completing: list[Exception | None] = []
        self.losing: list[Exception | None] = []
        self.waiting: list[Taken] | Exception = []
        self.completed = Completed(RUN, 0)
        self.following: Claimed | None = None
        self.together: list[Exception | None] = []
        self.stale_together = False
        note = self.said.append
        self.sessions = SimpleNamespace(
            roll_back=lambda: note("rolled back"), verdict=lambda: None, dirty=False,
            refuse_disorder=lambda: note("refused disorder"), number="5",
        )  # fmt: skip
        self.executor: Any = SimpleNamespace(
            sessions=self.sessions,
            store=self,
            progress=SimpleNamespace(
                finish_run=lambda one: [("finished", one.run_id)],
                finish_runs=lambda runs: [("finished", run) for run in runs],
                release_dependants=lambda ids, _completed: [("released", ids)],
            ),
            complete=self._complete,
            give_up=self._give_up,
            log_lines=lambda _claimed: None,
            write_log=lambda one: note(("log", one.id)),
            commit=lambda following: note(("committed", following)),
        )
        consumer: Any = SimpleNamespace(
            send=self._send,
            take_waiting=self._take,
            put_back_on_failure=self._putting_back,
            done=lambda message: note(("done", message)),
            queues=("low",),
        )
        self.record: Any = SimpleNamespace(
            completing=lambda: note("completing"),
            holding=lambda messages: note(("holding", messages)),
            suspended=False,
            draining=False,
            told_to_end=False,
        )
        self.life = Life(self.record)
        self.slept: list[str] = []
        self.life.sit_out = lambda error: self.slept.append(str(error))  # type: ignore[method-assign]
        given: Any = (self.executor, consumer, self.record, self.life)
        self.ending = Ending(*given)

    # -- the executor and its store -----------------------------------------------------------

    @property
    def server_since(self) -> str:
        return self.server

    def broken(self, _error: BaseException) -> bool:
        return self.at_fault

    def drop(self) -> None:
        self.said.append("dropped")

    def transaction(self) -> Any:
        return contextlib.nullcontext(self)

    def rows(self, statement: Any, **values: Any) -> list[Any]:
        _next(self.losing)
        self.said.append((statement.name, values["outcome"], values["error"], values["attempts"]))
        return []

    def complete_and_claim(self, *_given: Any, **_named: Any) -> Any:
        _next(self.together)
        return None if self.stale_together else self.completed, self.following

    def claim_released(self, job_id: str, number: int) -> Claimed | None:
        self.said.append(("claimed", job_id, number))
        return self.following

    def _complete(self, _claimed: Claimed, _handled: Handled, then: Any = None) -> Completed:
        _next(self.completing)
        if callable(then):
            then(self.completed)
        else:
            self.said.append(("then", then))
        return self.completed

    def _give_up(self, one: Claimed, why: Raised) -> list[Any]:
        _next(self.failing)
        return [("failed", one.id, why)]

    def _send(self, messages: Sequence[Any]) -> None:
        self.said += messages

    def _take(self, most: int) -> list[Taken]:
        self.said.append(("asked", most))
        if isinstance(self.waiting, Exception):
            raise self.waiting
        return self.waiting

    @contextlib.contextmanager
    def _putting_back(self, taken: Sequence[Taken]) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.said.append(("put back", list(taken)))
            raise


def _next(errors: list[Exception | None]) -> None:
    error = errors.pop(0) if errors else None
    if error is not None:
        raise error


def raising(error: Exception) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


@pytest.fixture
def stand() -> Stand:
    return Stand()


JOB = made(id=UUID(int=1), run_id=RUN)
LOST = '[{"id": "00000000-0000-0000-0000-000000000001", "attempt": 1}]'


def test_what_an_action_returns_is_returned(stand: Stand) -> None:
    assert stand.ending.guard(JOB, lambda: 5) == 5
    assert stand.said == []


def test_an_attempt_that_is_over_changes_nothing_and_says_so(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.failing = [StaleAttempt("attempt 1 is over")]

    assert stand.ending.guard(JOB, raising(StaleAttempt("attempt 1 is over"))) is None

    assert stand.said == ["rolled back", "completing"]
    assert "attempt 1 is over; its effect on the control database was rolled back" in caplog.text


def test_a_job_that_has_changed_its_own_row_fails_for_good(stand: Stand) -> None:
    stand.ending.guard(JOB, raising(StaleAttempt("attempt 1 is over")))

    _, _, (what, job, why), finished = stand.said
    assert (what, job, finished) == ("failed", JOB.id, ("finished", RUN))
    assert why.permanent
    assert "leave the rows of the running job alone" in why.error


def test_an_outage_while_that_is_found_out_is_recovered_from(stand: Stand) -> None:
    stand.failing = [StoreUnavailable("gone")]

    stand.ending.guard(JOB, raising(StaleAttempt("attempt 1 is over")))

    assert ("lose_attempts", "crashed", f"{attempt_outcome._LOST}: gone", LOST) in stand.said


@pytest.mark.parametrize(
    ("error", "reason", "dropped"),
    [
        (StoreUnavailable("idled too long"), f"{attempt_outcome._LOST}: idled too long", False),
        (ValueError("a slip of ours"), "the worker failed: a slip of ours", True),
    ],
)  # fmt: skip
def test_whatever_breaks_the_attempt_is_ended_with_the_reason(
    stand: Stand, error: Exception, reason: str, dropped: bool
) -> None:
    stand.ending.guard(JOB, raising(error))

    assert stand.said == [
        "rolled back",
        *(["dropped"] if dropped else []),
        ("lose_attempts", "crashed", reason, LOST),
        ("log", JOB.id),
        ("finished", RUN),
    ]


def test_no_job_is_to_blame_for_a_server_that_was_started_anew(stand: Stand) -> None:
    other = made(id=UUID(int=2), attempt=3)
    stand.ending.others = lambda: [other]
    stand.losing = [StoreUnavailable("away"), None]
    stand.server = "b"

    stand.ending.recover([JOB], "a", "why")

    assert stand.slept == ["away"]
    assert [one[:3] for one in stand.said if one[0] == "lose_attempts"] == [
        ("lose_attempts", "released", "why"),
        ("lose_attempts", "released", ""),
    ]
    assert Message(other.id, 3, "low", 60.0) in stand.said


def test_a_session_that_has_ended_its_transaction_fails_the_one_job_it_can_be_of(
    stand: Stand,
) -> None:
    stand.sessions.verdict = lambda: "its SQL ended the transaction"

    stand.ending.recover([JOB, made(id=UUID(int=2))], "a")
    assert not [one for one in stand.said if one[0] == "failed"]
    stand.failing = [StaleAttempt("over")]
    stand.ending.recover([JOB], "a")
    assert not [one for one in stand.said if one[0] == "failed"], "it is somebody else's"
    stand.ending.recover([JOB], "a")

    (failed,) = [one for one in stand.said if one[0] == "failed"]
    assert failed[2].permanent


# -- completing ---------------------------------------------------------------------------------


def succeed(stand: Stand, one: Claimed = JOB, **given: Any) -> Any:
    return stand.ending.succeed(one, DONE, **{"take": 0, **given})


@pytest.mark.parametrize("error", [StaleAttempt("over"), StoreUnavailable("gone")])
def test_what_ends_the_attempt_is_left_to_the_guard(stand: Stand, error: Exception) -> None:
    stand.completing = [error]

    with pytest.raises(type(error)):
        succeed(stand)


def test_a_completion_that_is_refused_fails_the_job_with_the_reason(stand: Stand) -> None:
    stand.completing = [Refused("violates foreign key")]

    assert succeed(stand) == (None, [])

    (failed,) = [one for one in stand.said if one[0] == "failed"]
    assert "violates foreign key" in failed[2].error


def test_a_completion_that_gave_way_to_another_transaction_is_given_back(stand: Stand) -> None:
    stand.completing = [Deadlock("deadlock detected")]

    assert succeed(stand) == (None, [])

    assert stand.said[1:] == [
        "rolled back",
        ("lose_attempts", "released", "", LOST),
        Message(JOB.id, 1, "low", 60.0),
    ]


def test_an_error_that_has_broken_the_line_is_an_outage(stand: Stand) -> None:
    stand.completing, stand.at_fault = [Refused("server closed the connection")], True

    with pytest.raises(StoreUnavailable, match="server closed"):
        succeed(stand)


@pytest.mark.parametrize(
    ("dependents", "pool", "ahead_in", "looks"),
    [
        (0, None, None, True),
        (0, None, UUID(int=8), True),
        (0, None, RUN, False),
        (2, None, None, False),
        (2, "p", None, True),
        (0, "p", RUN, True),
    ],
)
def test_a_run_is_looked_at_where_this_may_have_been_its_last_job(
    stand: Stand, dependents: int, pool: str | None, ahead_in: UUID | None, looks: bool
) -> None:
    ahead = None if ahead_in is None else made(run_id=ahead_in)

    succeed(stand, JOB._replace(dependents=dependents, pool=pool), ahead=ahead)

    assert ("released", [JOB.id]) in stand.said
    assert (("finished", RUN) in stand.said) == looks


# -- taking ahead -------------------------------------------------------------------------------


def test_the_next_job_is_claimed_with_the_completion_where_one_waits(stand: Stand) -> None:
    stand.waiting, stand.following = [NEXT], made(id=UUID(int=7))

    following, taken = succeed(stand, take=1)

    assert (following, taken) == (stand.following, [])
    assert ("holding", [(UUID(int=7), 0)]) in stand.said
    assert ("committed", stand.following) in stand.said
    assert "refused disorder" in stand.said
    assert not [one for one in stand.said if one[0] == "done"]


def test_a_message_whose_job_was_not_to_be_had_is_done_with(stand: Stand) -> None:
    stand.waiting = [NEXT]

    assert succeed(stand, take=1) == (None, [])

    assert ("done", f"{NEXT[0]}_0") in stand.said


def test_the_next_job_is_given_back_where_the_attempt_was_over(stand: Stand) -> None:
    stand.waiting, stand.following = [NEXT], made(id=UUID(int=7))
    stand.stale_together = True

    with pytest.raises(StaleAttempt, match=f"attempt 1 of job {JOB.id} is over"):
        succeed(stand, take=1)

    assert Message(UUID(int=7), 1, "low", 60.0) in stand.said


def test_a_message_is_put_back_where_its_job_could_not_be_claimed(stand: Stand) -> None:
    stand.waiting, stand.together = [NEXT], [StoreUnavailable("gone")]

    with pytest.raises(StoreUnavailable):
        succeed(stand, take=1)

    assert stand.said[-1] == ("put back", [NEXT])


def test_several_messages_are_handed_out_after_the_completion_or_put_back(stand: Stand) -> None:
    stand.waiting = [NEXT, (str(UUID(int=8)), 1, "low")]

    assert succeed(stand, take=2) == (None, stand.waiting)
    assert ("asked", 2) in stand.said
    assert ("holding", [(UUID(int=7), 0), (UUID(int=8), 1)]) in stand.said
    stand.completing = [StoreUnavailable("gone")]
    with pytest.raises(StoreUnavailable):
        succeed(stand, take=2)
    assert stand.said[-1] == ("put back", stand.waiting)


@pytest.mark.parametrize("alone", ["take", "dirty", "suspended", "full"])
def test_nothing_is_asked_for_where_nothing_may_follow(stand: Stand, alone: str) -> None:
    stand.sessions.dirty = alone == "dirty"
    stand.record.suspended = alone == "suspended"
    if alone == "full":
        stand.life._max_jobs = 1

    succeed(stand, take=0 if alone == "take" else 1)

    assert not [one for one in stand.said if one[0] == "asked"]


def test_a_chain_goes_on_without_a_message_where_none_waits(stand: Stand) -> None:
    released = (str(UUID(int=5)), 0, "low", 60.0)
    stand.completed = Completed(RUN, 1, [released])
    stand.following = made(id=UUID(int=5), run_id=RUN)

    following, _ = succeed(stand, JOB._replace(dependents=1), take=1)

    assert following is stand.following
    assert ("claimed", released[0], 0) in stand.said
    assert ("holding", [(UUID(int=5), 0)]) in stand.said


@pytest.mark.parametrize(
    "completed",
    [
        Completed(RUN, 1),
        Completed(RUN, 1, [("a", 0, "low", 1.0), ("b", 0, "low", 1.0)]),
        Completed(RUN, 1, [(str(UUID(int=5)), 0, "high", 1.0)]),
        Completed(RUN, 1, [(str(UUID(int=5)), 0, "low", 1.0)], recount=True),
        Completed(RUN, 1, [(str(UUID(int=5)), 0, "low", 1.0)], undecided=["x"]),
    ],
)
def test_a_chain_goes_on_by_messages_where_more_is_to_be_done(
    stand: Stand, completed: Completed
) -> None:
    stand.completed, stand.following = completed, made()

    assert succeed(stand, JOB._replace(dependents=1), take=1) == (None, [])

    assert not [one for one in stand.said if one[0] == "claimed"]


def test_a_queue_that_was_empty_is_asked_again_after_twice_as_many_jobs_each_time(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_outcome, "_FRESH_S", 3600.0)
    asked = []
    for number in range(300):
        stand.ending.take_more(1)
        if stand.said:
            asked.append(number)
            stand.said.clear()

    pauses = [late - soon for soon, late in pairwise(asked)]
    assert pauses == [2, 4, 8, 16, 32, 64, 64, 64]
    # A class that its dependant waits for asks anew, if nobody has a moment ago.
    assert stand.ending.take_more(1, anew=True) == []
    assert stand.said == []
    monkeypatch.setattr(attempt_outcome, "_FRESH_S", 0.0)
    stand.waiting = [NEXT]
    assert stand.ending.take_more(1) == [], "another has to wait for its turn"
    assert stand.ending.take_more(1, anew=True) == [NEXT]


def test_a_message_that_had_been_there_has_the_queue_asked_for_more(stand: Stand) -> None:
    for _ in range(3):
        stand.ending.take_more(1)
    stand.waiting = [NEXT]
    stand.ending.waited(0.5)
    assert stand.ending.take_more(1) == [], "one that was waited for was the only one"

    stand.ending.waited(0.0001)

    assert stand.ending.take_more(1) == [NEXT]


def test_messages_that_wait_have_the_next_job_asked_for_at_once(stand: Stand) -> None:
    for _ in range(3):
        stand.ending.take_more(1)
    stand.ending._abstain = 0
    stand.waiting = [NEXT]
    assert stand.ending.take_more(1) == [NEXT]
    assert stand.ending.take_more(1) == [NEXT]
    stand.waiting = QueueUnavailable("Redis is away", "silent")
    assert stand.ending.take_more(1) == [], "an outage of Redis ends no attempt"
    assert stand.ending.take_more(0) == []


# -- a stock worker's end -----------------------------------------------------------------------


def test_a_stock_worker_leaves_an_outage_to_the_daemon_and_fails_what_is_refused(
    stand: Stand,
) -> None:
    for error in (StoreUnavailable("gone"), StaleAttempt("over")):
        stand.completing = [error]
        with pytest.raises(type(error)):
            record_end(stand.executor, JOB, DONE)
    stand.completing = [Refused("violates foreign key")]
    refused: Any = record_end(stand.executor, JOB, DONE)
    raised: Any = record_end(stand.executor, JOB, Raised("bad", ""))
    well: Any = record_end(stand.executor, JOB, DONE)

    assert "violates foreign key" in refused[0][2].error
    assert raised[0][2].error == "bad"
    assert well == [("released", [JOB.id]), ("finished", RUN)]
    assert [one[-1] for one in (refused, raised)] == [("finished", RUN)] * 2
