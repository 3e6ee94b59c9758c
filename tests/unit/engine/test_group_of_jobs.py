"""A child's batch: which jobs join it, and how it ends, whatever one of them or the line does."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.attempts.outcome import Handled, Raised
from headrace.engine.workers.child_lifetime import Life
from headrace.engine.workers.group_commit import child_side
from headrace.engine.workers.group_commit.child_side import GroupCommit
from headrace.engine.workers.group_commit.polling import SharedBatches
from headrace.errors import JobStopped, StoreUnavailable
from headrace.queue.consumer import Taken
from headrace.store.attempts import Claimed, CompletedBatch
from headrace.store.log_lines import LogLines
from tests.support.claimed import claimed
from tests.support.noting import note

RUN = UUID(int=99)
SHORT = Handled("1", plain=True)


def one(number: int, **more: Any) -> Claimed:
    return claimed(**{"id": UUID(int=number), "run_id": RUN, **more})


def message(number: int) -> Taken:
    return (str(UUID(int=number)), 0, "low")


def lines(text: str, *, left_out: tuple[int, int] | None = None) -> LogLines:
    return LogLines(json.dumps([{"line": 1, "message": text}]), left_out)


class Stand:
    """A batch among fakes; `said` is what was done, in order."""

    def __init__(self, most: int = 4) -> None:
        self.said: list[Any] = []
        note = self.said.append
        self.line, self.lost, self.server_since = 1, False, "a"
        self.at_fault = False
        self.handled: Any = SHORT
        self.waiting: list[Taken] = []
        self.claims: list[Claimed] = []
        self.refusing: list[Exception | None] = []
        self.unknown: set[UUID] = set()
        self.kept: dict[UUID, LogLines] = {}
        self.executor: Any = SimpleNamespace(
            store=self,
            sessions=SimpleNamespace(before_use=None, sharing=None),
            handle=self._handle,
            log_lines=lambda job: self.kept.get(job.id),
            lines_kept={},
            progress=SimpleNamespace(
                release_dependants=lambda ids, _completed: [("released", ids)],
                finish_runs=lambda runs: [("finished", list(runs))],
            ),
        )
        self.consumer: Any = SimpleNamespace(
            send=lambda sent: note(("sent", sent)),
            done=lambda name: note(("done", name)),
            flush=lambda: note("flushed"),
            give_back=lambda taken: note(("returned", taken)),
            put_back_on_failure=self._putting_back,
        )
        self.record: Any = SimpleNamespace(
            draining=False, told_to_end=False, suspended=False,
            completing=lambda: note("completing"),
            idle=lambda: note("idle"),
            holding=lambda held: note(("holding", list(held))),
            wake_parent=lambda: note("woken"),
        )  # fmt: skip
        self.ending: Any = SimpleNamespace(
            others=None,
            give_back=lambda jobs: note(("given back", [job.id.int for job in jobs])),
            recover=lambda jobs, server: note(("recovered", [job.id.int for job in jobs], server)),
            take_more=self._take_more,
            guard=lambda _job, action: action(),
            succeed=lambda job, _handled, take: note(("succeeded", job.id.int, take)),
        )
        self.shared = SharedBatches(1)[0]
        self.life = Life(self.record)
        given: Any = (
            self.executor, self.consumer, self.record, self.shared, self.life, self.ending,
        )  # fmt: skip
        self.group = GroupCommit(*given, most=most)

    # -- the store ----------------------------------------------------------------------------

    def broken(self, _error: BaseException) -> bool:
        return self.at_fault

    def claim_several(self, wanted: Sequence[Any], classes: Sequence[str]) -> list[Claimed]:
        self.said.append(("claimed", [UUID(job).int for job, _ in wanted], list(classes)))
        return self.claims

    def complete_batch(
        self, ended: Sequence[Any], wanted: Sequence[Any], short: Sequence[str], said: str | None
    ) -> tuple[CompletedBatch, list[Claimed]]:
        error = self.refusing.pop(0) if self.refusing else None
        if error is not None:
            raise error
        self.said.append(("completed", [job.id.int for job, _ in ended], list(short), said))
        ids = frozenset(job.id for job, _ in ended) - self.unknown
        return CompletedBatch(ids), self.claims if wanted else []

    def _handle(self, _job: Claimed) -> Any:
        if isinstance(self.handled, BaseException):
            raise self.handled
        return self.handled() if callable(self.handled) else self.handled

    def _take_more(self, most: int) -> list[Taken]:
        self.said.append(("asked", most))
        return self.waiting[:most]

    @contextlib.contextmanager
    def _putting_back(self, taken: Sequence[Taken]) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.said.append(("put back", [UUID(job).int for job, _, _ in taken]))
            raise

    # -- what a child does --------------------------------------------------------------------

    def is_short(self, job_class: str = "Short") -> None:
        for _ in range(10):
            self.group.batch.learn(job_class, 0.0001, plain=True)

    def is_brief(self, job_class: str = "Short") -> None:
        for _ in range(10):
            self.group.batch.learn_brief(job_class, 0.0001, 0.0001, alone=True)

    def with_ahead(self, *numbers: int) -> None:
        """Have a batch: job 1 has ended, others were claimed ahead."""
        self.is_short()
        assert self.group.joins(one(1), SHORT)
        if numbers:
            self.waiting = [message(number) for number in numbers]
            self.claims = [one(number) for number in numbers]
            self.life_room()
            first = self.group.go_on()
            assert first is not None
            self.said.clear()
            self.current = first

    def life_room(self) -> None:
        self.group.batch.taken(4, left=0)

    def done(self, what: str) -> list[Any]:
        return [said for said in self.said if said[0] == what]


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Among fakes no job takes any time, however busy the machine is."""
    clock = SimpleNamespace(perf_counter=lambda: 0.0, monotonic=lambda: 0.0)
    monkeypatch.setattr("headrace.engine.workers.group_commit.child_side.time", clock)
    return Stand()


# -- joining --------------------------------------------------------------------------------------


def test_a_short_job_joins_and_one_that_is_not_yet_known_or_not_plain_does_not(
    stand: Stand,
) -> None:
    assert not stand.group.joins(one(1), SHORT)
    stand.is_short()
    assert not stand.group.joins(one(1), replace(SHORT, plain=False))
    assert stand.group.joins(one(1), SHORT)
    assert stand.group.batch.ended == [(one(1), SHORT)]


@pytest.mark.parametrize(
    ("said", "joins"),
    [
        (None, True),
        (lines("x"), True),
        (lines("x" * child_side._MOST_SAID), False),
        (lines("x", left_out=(1, 5)), False),
    ],
)
def test_a_job_that_says_much_is_completed_by_itself(
    stand: Stand, said: LogLines | None, joins: bool
) -> None:
    stand.is_short()
    if said is not None:
        stand.kept[UUID(int=1)] = said

    assert stand.group.joins(one(1), SHORT) == joins
    assert (UUID(int=1) in stand.executor.lines_kept) == (joins and said is not None)


def test_lines_of_an_earlier_batch_are_forgotten_with_the_next_ones_first_job(
    stand: Stand,
) -> None:
    stand.executor.lines_kept[UUID(int=7)] = lines("old")
    stand.is_short()

    stand.group.joins(one(1), SHORT)

    assert stand.executor.lines_kept == {}


def test_a_result_that_does_not_fit_beside_the_others_is_completed_by_itself(
    stand: Stand,
) -> None:
    stand.with_ahead(2, 3)
    stand.group.joins(stand.current, SHORT)

    assert not stand.group.joins(one(3), Handled("x" * 70_000, plain=True))
    assert stand.group.joins(one(3), SHORT)


# -- going on -------------------------------------------------------------------------------------


def test_the_first_of_a_batch_is_completed_with_the_claim_of_others(stand: Stand) -> None:
    stand.is_short()
    stand.life_room()
    stand.group.joins(one(1), SHORT)
    stand.waiting = [message(2), message(3), message(4)]
    stand.claims = [one(2), one(3)]

    assert stand.group.go_on() == one(2)

    assert stand.said == [
        "completing",
        ("given back", []),
        ("asked", 4),
        ("holding", [(UUID(int=number), 0) for number in (1, 2, 3, 4)]),
        ("completed", [1], ["Short"], None),
        ("returned", [message(4)]),
        ("done", f"{UUID(int=1)}_0"),
        ("sent", [("released", [UUID(int=1)])]),
        ("sent", [("finished", [])]),
    ]
    assert list(stand.group.batch.ahead) == [one(3)]
    assert stand.group.go_on() == one(3)


def test_one_alone_is_completed_by_itself_where_nothing_waits(stand: Stand) -> None:
    stand.is_short()
    stand.group.joins(one(1), SHORT)

    assert stand.group.go_on() is None

    assert stand.done("succeeded") == [("succeeded", 1, 0)]
    assert stand.done("done") == [("done", f"{UUID(int=1)}_0")]
    assert stand.said[-1] == "idle"
    assert stand.group.go_on() is None
    assert not stand.group.batch


def test_what_has_ended_is_completed_in_the_order_of_ids_with_its_lines(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.with_ahead(3, 2)
    stand.kept[UUID(int=2)] = lines("hello")
    stand.group.joins(one(3), SHORT)
    assert stand.group.go_on() == one(2)
    stand.group.joins(one(2), SHORT)
    stand.waiting, stand.unknown = [], {UUID(int=3)}

    assert stand.group.go_on() is None

    ((_, order, _, said),) = stand.done("completed")
    assert order == [2, 3]
    assert "hello" in str(said)
    assert "attempt 1 of job 00000000-0000-0000-0000-000000000003 is over" in caplog.text
    assert stand.done("sent") == [
        ("sent", [("released", [UUID(int=2)])]),
        ("sent", [("finished", [RUN])]),
    ]


def test_a_run_is_not_looked_at_while_one_of_its_jobs_goes_on_or_waits(stand: Stand) -> None:
    stand.is_short()
    stand.life_room()
    other, waited_for = one(1, run_id=UUID(int=5)), one(2, dependents=1)
    stand.group.joins(other, SHORT)
    stand.group.batch.ended.append((waited_for, SHORT))
    stand.waiting, stand.claims = [message(3)], [one(3)]

    stand.group.go_on()

    assert stand.done("sent")[1] == ("sent", [("finished", [UUID(int=5)])])


@pytest.mark.parametrize("broken", ["line", "lost"])
def test_over_another_line_nothing_is_completed_and_all_is_recovered(
    stand: Stand, broken: str
) -> None:
    stand.with_ahead(2, 3)
    stand.group.joins(stand.current, SHORT)
    if broken == "line":
        stand.line = 2
        assert stand.group.go_on() == one(3), "what was claimed ahead is dealt with by the fence"
        assert stand.done("recovered") == [("recovered", [2], "a")]
    else:
        stand.lost = True
        stand.waiting = []
        assert stand.group.go_on() is None
        assert stand.done("given back") == [("given back", [3])]
        assert stand.done("succeeded") == [("succeeded", 2, 0)]


def test_a_child_that_is_to_end_gives_back_what_it_has_not_begun(stand: Stand) -> None:
    stand.with_ahead(2, 3)
    stand.group.joins(stand.current, SHORT)
    stand.life.leave("a thread")
    stand.waiting = []

    assert stand.group.go_on() is None

    assert stand.done("given back") == [("given back", [3])]
    assert stand.done("asked") == [("asked", 0)]
    assert stand.done("succeeded") == [("succeeded", 2, 0)]


def test_a_batch_that_is_refused_is_completed_one_by_one(stand: Stand) -> None:
    stand.with_ahead(2, 3)
    stand.group.joins(stand.current, SHORT)
    stand.group.go_on()
    stand.group.joins(one(3), SHORT)
    stand.waiting = [message(4)]
    stand.refusing = [ValueError("violates foreign key")]

    stand.group.go_on()

    assert stand.done("put back") == [("put back", [4])]
    assert stand.done("succeeded") == [("succeeded", 2, 0), ("succeeded", 3, 0)]
    assert stand.done("recovered") == []


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), ValueError("server closed")])
def test_a_batch_whose_line_breaks_is_recovered_whole(stand: Stand, error: Exception) -> None:
    stand.with_ahead(2, 3)
    stand.group.joins(stand.current, SHORT)
    stand.group.go_on()
    stand.group.joins(one(3), SHORT)
    stand.waiting, stand.refusing = [], [error]
    stand.at_fault = isinstance(error, ValueError)

    assert stand.group.go_on() is None

    assert stand.done("recovered") == [("recovered", [2, 3], "a")]
    assert stand.done("succeeded") == []


# -- while a job runs -----------------------------------------------------------------------------


def test_a_batch_is_the_parents_while_a_job_runs_and_the_childs_again_after_it(
    stand: Stand,
) -> None:
    stand.with_ahead(2, 3)
    seen: list[Any] = []
    stand.handled = lambda: note(seen, stand.shared.began(), SHORT)

    stand.group.handle(stand.current)

    assert seen != [None]
    assert stand.shared.began() is None
    assert "woken" in stand.said, "it does not look by itself"
    assert list(stand.group.batch.ahead) == [one(3)]


def test_what_the_parent_has_collected_is_forgotten(stand: Stand) -> None:
    stand.with_ahead(2, 3)

    def collect() -> Handled:
        began = stand.shared.began()
        assert began is not None
        assert stand.shared.collect(began) is not None
        return SHORT

    stand.handled = collect
    stand.group.handle(stand.current)

    assert not stand.group.batch
    assert ("holding", []) in stand.said
    # It may be the first of another batch.
    assert stand.group.joins(stand.current, SHORT)


@pytest.mark.parametrize(
    ("error", "published"), [(JobStopped("stopped"), True), (KeyError("x"), False)]
)
def test_of_a_job_that_is_stopped_the_parent_completes_the_batch(
    stand: Stand, error: Exception, published: bool
) -> None:
    stand.with_ahead(2, 3)
    stand.handled = error

    with pytest.raises(type(error)):
        stand.group.handle(stand.current)

    assert (stand.shared.began() is not None) == published


def in_session(stand: Stand, then: Handled | Raised) -> Callable[[], Any]:
    """A job that opens a session."""

    def run() -> Any:
        stand.executor.sessions.before_use()
        return then

    return run


def test_before_the_session_of_jobs_that_share_a_transaction_none_of_them_is_given_back(
    stand: Stand,
) -> None:
    stand.group._ahead([one(4), one(6)], 0.0)
    stand.executor.sessions.sharing = object()

    stand.executor.sessions.before_use()

    assert [job.id.int for job in stand.group.batch.ahead] == [4, 6]
    assert stand.done("given back") == []


def test_before_a_session_the_others_are_completed_and_what_has_not_begun_given_back(
    stand: Stand,
) -> None:
    stand.with_ahead(2, 3)
    stand.group.joins(stand.current, SHORT)
    following = one(4)
    stand.group.batch.ended.append((one(5), SHORT))
    stand.group._ahead([following, one(6)], 0.0)
    stand.handled = in_session(stand, Handled(None))
    stand.group.batch.ahead.clear()
    stand.group.batch.ahead.append(one(6))

    stand.group.handle(following)

    assert [said[0] for said in stand.said if said[0] in ("completed", "given back")] == [
        "completed", "given back",
    ]  # fmt: skip
    assert stand.done("given back") == [("given back", [6])]
    assert "flushed" in stand.said
    assert not stand.group.batch
    assert stand.shared.remaining() is None


def test_an_error_then_does_not_come_out_in_the_jobs_own_code(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stand.with_ahead(2, 3)
    stand.group.joins(stand.current, SHORT)
    stand.group.go_on()
    stand.refusing = [ValueError("refused")]
    stand.handled = in_session(stand, Handled(None))
    published: list[Any] = []

    def run() -> Any:
        told = in_session(stand, Handled(None))()
        published.append(stand.shared.began())
        return told

    stand.handled = run
    stand.group.handle(one(3))

    assert "the outcome of a batch could not be determined: refused" in caplog.text
    assert published != [None], "the parent may see to it meanwhile"
    assert [job.id.int for job, _ in stand.group.batch.ended] == [2]


# -- brief jobs -----------------------------------------------------------------------------------


def test_brief_jobs_are_claimed_ahead_and_stay_published_through_the_one_at_hand(
    stand: Stand,
) -> None:
    stand.is_brief()
    stand.claims = [one(2), one(3)]

    assert stand.group.claim_ahead([message(2), message(3), message(4)]) == one(2)

    assert stand.done("claimed") == [("claimed", [2, 3, 4], ["Short"])]
    assert stand.done("returned") == [("returned", [message(4)])]
    stand.handled = in_session(stand, Handled(None))
    stand.group.handle(one(2))
    assert stand.shared.began() is not None
    assert stand.done("given back") == []
    stand.group.publishing.withdraw()
    assert stand.shared.began() is None
    assert stand.group.go_on() == one(3)
    assert stand.shared.remaining() is None, "nothing waits for the last one"


def test_messages_are_put_back_where_their_jobs_could_not_be_claimed(stand: Stand) -> None:
    def away(*_given: Any) -> Any:
        raise StoreUnavailable("away")

    of_store: Any = stand
    of_store.claim_several = away

    with pytest.raises(StoreUnavailable):
        stand.group.claim_ahead([message(2)])

    assert stand.done("put back") == [("put back", [2])]


@pytest.mark.parametrize(
    ("handled", "pool", "counts"),
    [
        (Handled(None), None, True),
        (Handled(None), "p", False),
        (SHORT, None, False),
        (Raised("bad", ""), None, False),
    ],
)
def test_a_class_is_brief_whose_jobs_are_completed_by_themselves(
    stand: Stand, handled: Any, pool: str | None, counts: bool
) -> None:
    stand.handled = handled
    for _ in range(10):
        job = one(1, pool=pool)
        stand.group.handle(job)
        if isinstance(handled, Handled) and not handled.plain:
            stand.group.completed(job)

    assert stand.group.batch.is_brief("Short") == counts


def test_all_that_is_in_hand_is_told_when_the_line_breaks(stand: Stand) -> None:
    stand.with_ahead(2, 3)
    stand.group.joins(stand.current, SHORT)

    assert [job.id.int for job in stand.ending.others()] == [2, 3]

    assert not stand.group.batch
    assert stand.shared.remaining() is None


def test_what_was_claimed_ahead_is_given_back_where_none_has_ended(stand: Stand) -> None:
    stand.claims = [one(1), one(2), one(3)]
    assert stand.group.claim_ahead([message(1), message(2), message(3)]) == one(1)
    stand.said.clear()
    stand.life.leave("a thread")

    assert stand.group.go_on() is None

    assert stand.said == ["completing", ("given back", [2, 3]), "idle"]


def test_what_a_target_has_committed_is_completed_one_by_one(stand: Stand) -> None:
    stand.group.complete_each([(one(3), SHORT), (one(2), SHORT)])

    assert stand.said == [
        ("succeeded", 3, 0), ("done", f"{UUID(int=3)}_0"),
        ("succeeded", 2, 0), ("done", f"{UUID(int=2)}_0"),
    ]  # fmt: skip
