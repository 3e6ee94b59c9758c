"""A child among fakes, whose jobs share a transaction."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.attempts.outcome import Handled
from headrace.engine.workers.child_lifetime import Life
from headrace.engine.workers.group_commit import shared_work
from headrace.engine.workers.group_commit.batch import Batch
from headrace.engine.workers.group_commit.shared_work import SharedWork
from headrace.store.attempt_transaction import EffectApplied
from headrace.store.attempts import Claimed, CompletedBatch
from headrace.store.log_lines import LogLines
from tests.support.claimed import claimed
from tests.support.noting import note

SQL = "INSERT INTO t VALUES (1)"
DONE = Handled("1")


def one(number: int, **more: Any) -> Claimed:
    return claimed(**{"id": UUID(int=number), "payload": {"sql": SQL}, **more})


def ids(jobs: Iterable[Claimed]) -> list[int]:
    return [job.id.int for job in jobs]


class Appends:
    """What the jobs have done, as `Sharing` tells it."""

    def __init__(self, stand: "Stand") -> None:
        self._stand, self.refused = stand, stand.refused

    def has_run(self, jobs: int) -> bool:
        return len(self._stand.ran) == jobs and not self.refused

    def only_appends(self) -> bool:
        return self._stand.appends


class Stand:
    """A child among fakes with three jobs, of which the first is at hand; `said` is in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[Any] = []
        self.ran: list[int] = []
        self.now = 0.0
        self.line, self.at_fault, self.appends, self.refused = 1, False, True, False
        self.elsewhere = False
        self.outcomes: dict[int, Any] = {}
        self.kept: dict[UUID, LogLines] = {}
        self.own = True
        self.refusing: BaseException | None = None
        self.applied = False
        self.life = Life()
        self.batch = Batch(16)
        self.batch.learn_brief("Short", 0.001, 0.001, alone=True, jobs=16)
        clock = SimpleNamespace(perf_counter=lambda: self.now, monotonic=lambda: self.now)
        monkeypatch.setattr(shared_work, "time", clock)
        monkeypatch.setattr(shared_work, "Sharing", lambda: Appends(self))
        self.sessions: Any = SimpleNamespace(
            sharing=None,
            kind_of=lambda place: "sqlite" if place == "shop" else "postgresql",
            commit_targets=self._commit_targets,
            roll_back=lambda: self.said.append("rolled back"),
        )
        executor: Any = SimpleNamespace(
            store=self, sessions=self.sessions, handle=self._handle,
            tidy=lambda: self.said.append("tidied"), lines_kept={},
            works_at_once=lambda _name: True, log_lines=lambda job: self.kept.get(job.id),
            commit=lambda following: note(self.said, ("committed", following)),
        )  # fmt: skip
        publishing: Any = SimpleNamespace(
            publish=lambda job: note(self.said, ("published", job.id.int)),
            withdraw=lambda: note(self.said, "withdrawn", self.own),
        )
        consumer: Any = SimpleNamespace(put_back_on_failure=self._putting_back)
        ending: Any = SimpleNamespace(
            take_ahead=lambda _room, done: note(self.said, ("asked", done), [])
        )
        rest: Any = SimpleNamespace(
            said=lambda _ended: None,
            recorded=lambda ended, *_: note(self.said, ("recorded", ids(ended))),
            complete_each=lambda ended: note(self.said, ("each", ids(job for job, _ in ended))),
            ran=lambda jobs: note(self.said, ("counted", jobs)),
        )
        self.work = SharedWork(executor, consumer, self.life, ending, self.batch, publishing, rest)
        self.lines_kept: dict[UUID, LogLines] = executor.lines_kept

    def done(self, *ahead: Claimed) -> bool:
        """Do job 1 with jobs 2 and 3, or others."""
        self.ran.clear()
        self.batch.ahead.clear()
        self.batch.ahead.extend(ahead or (one(2), one(3)))
        self.sessions.number = None if self.elsewhere else 1
        return self.work.done(one(1))

    def asked(self, what: str) -> list[Any]:
        return [said for said in self.said if said[0] == what]

    # -- the executor and its sessions --------------------------------------------------------

    def _handle(self, job: Claimed) -> Any:
        assert self.sessions.sharing is not None
        outcome = self.outcomes.get(job.id.int, DONE)
        if isinstance(outcome, BaseException):
            raise outcome
        self.ran.append(job.id.int)
        return outcome() if callable(outcome) else outcome

    def _commit_targets(self, *attempts: tuple[UUID, int]) -> None:
        self.said.append(("targets", [(job.int, number) for job, number in attempts]))
        if self.applied:
            raise EffectApplied

    @contextlib.contextmanager
    def _putting_back(self, _taken: Sequence[Any]) -> Iterator[None]:
        yield

    # -- the store ----------------------------------------------------------------------------

    def broken(self, _error: BaseException) -> bool:
        return self.at_fault

    def prepend(self, _text: str) -> None:
        self.said.append("prepended")

    def complete_batch(self, ended: Sequence[Any], *_: Any) -> tuple[CompletedBatch, list[Claimed]]:
        self.said.append(("completed", ids(job for job, _ in ended)))
        if self.refusing is not None:
            raise self.refusing
        return CompletedBatch(frozenset(job.id for job, _ in ended)), []
