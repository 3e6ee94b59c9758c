"""Holds a child's short jobs that share a commit.

A job of a class whose last runs were all short is not completed at once. The child claims a few
more like it in the same commit that completes the ones before, so that a commit, a round trip
and a lock on a common dependant serve all of them. See docs/adr/0010-short-jobs-share-a-commit.md.
A job that works on a database is completed by itself; where those of its class were all brief, the
child claims a few ahead all the same: docs/adr/0036-brief-jobs-are-claimed-ahead.md.
"""

from collections import deque
from dataclasses import dataclass, field
from uuid import UUID

from headrace.engine.attempts.outcome import Handled
from headrace.store.attempts import Claimed

_SHORT_S = 0.002
# A job that works on a database, likewise, without its commit, which may wait for a slow disk.
_BRIEF_S = 0.01
# How many runs of a class have to have been short, or brief, one after the other. What is claimed
# ahead of a brief one is given back where it takes long, so that fewer tell enough.
_RUNS = 10
_BRIEF_RUNS = 4
# A brief class that has waited for a core, or a lock, this long is brief after a few more runs.
_HELD_UP_S = 0.1
# Of jobs that have dependants twice as many share a commit, while they take no longer than this
# together: each commit locks the dependants' rows, and other children wait for them.
_TOGETHER_S = 0.03


@dataclass
class Batch:
    """`ended` are to be completed, `ahead` have been claimed and not begun.

    At most `most` share a commit, up to twice as many where they have dependants.
    """

    most: int
    ended: list[tuple[Claimed, Handled]] = field(default_factory=list)
    ahead: deque[Claimed] = field(default_factory=deque)
    # How many messages are worth taking at once: fewer where other jobs stand between them.
    _worth: int = field(init=False)
    _short_runs: dict[str, int] = field(default_factory=dict)
    _brief_runs: dict[str, int] = field(default_factory=dict)
    # How long a short job takes, and how long a brief one, in seconds; of the last ones.
    _mean_s: float = _SHORT_S
    _mean_brief_s: float = _BRIEF_S
    _brief_seen: int = 0

    def __post_init__(self) -> None:
        self._worth = self.most

    def __bool__(self) -> bool:
        return bool(self.ended or self.ahead)

    def learn(self, job_class: str, took_s: float, *, plain: bool) -> None:
        """Note how a run of a class has gone; `plain` as in `Handled`."""
        short = plain and took_s < _SHORT_S
        self._short_runs[job_class] = self._short_runs.get(job_class, 0) + 1 if short else 0
        if short:
            self._mean_s += (took_s - self._mean_s) / self.most

    def learn_brief(
        self, job_class: str, ran_s: float, took_s: float, *, alone: bool, jobs: int = 1
    ) -> None:
        """Note the same of one that is completed by itself: `alone`, and of no pool.

        `ran_s` is the time of its own code, `took_s` that with its commit; where several `jobs`
        have shared a transaction, the share of each.
        """
        runs = self._brief_runs.get(job_class, 0)
        if not alone or ran_s >= _HELD_UP_S:
            runs = 0
        else:
            brief = ran_s < _BRIEF_S
            runs = min(runs + jobs, 2 * _BRIEF_RUNS) if brief else max(0, runs - _BRIEF_RUNS // 2)
            self._learn_mean(min(took_s, _HELD_UP_S), jobs)
            # Taken one at a time, none is left to others, and nothing else would tell so.
            self._worth = min(2 * self.most, self._worth + jobs)
        self._brief_runs[job_class] = runs

    def _learn_mean(self, took_s: float, jobs: int) -> None:
        """Move the mean of brief jobs: of all at first, later of about the last `most`."""
        self._brief_seen = min(self._brief_seen + jobs, self.most)
        weight = min(1.0, jobs / self._brief_seen)
        self._mean_brief_s += (took_s - self._mean_brief_s) * weight

    def is_brief(self, job_class: str) -> bool:
        """Tell whether jobs of this class may be claimed ahead, and completed by themselves."""
        return self.most > 1 and self._brief_runs.get(job_class, 0) >= _BRIEF_RUNS

    @property
    def brief(self) -> list[str]:
        """The classes whose jobs may be claimed ahead, and are completed by themselves."""
        return [name for name, runs in self._brief_runs.items() if runs >= _BRIEF_RUNS]

    @property
    def together_s(self) -> float:
        """For how long jobs may be put to a transaction, in seconds: others wait for its locks."""
        return _TOGETHER_S

    @property
    def room_ahead(self) -> int:
        """How many messages of brief jobs to take ahead."""
        together = int(_TOGETHER_S / max(self._mean_brief_s, 1e-6))
        return max(1, min(self._worth, self.most, together))

    def is_short(self, job_class: str) -> bool:
        """Tell whether jobs of this class may share a commit."""
        return self.most > 1 and self._short_runs.get(job_class, 0) >= _RUNS

    @property
    def short(self) -> list[str]:
        """The classes whose jobs may share a commit."""
        return [name for name, runs in self._short_runs.items() if runs >= _RUNS]

    @property
    def room(self) -> int:
        """How many messages to take with the next commit."""
        most = self.most
        if any(claimed.dependents for claimed, _ in self.ended):
            most = min(2 * most, max(most, int(_TOGETHER_S / self._mean_s)))
        return min(self._worth, most)

    def taken(self, taken: int, *, left: int) -> None:
        """Note that of as many messages some were left to others: jobs that may take long."""
        self._worth = max(1, taken - left) if left else min(2 * self.most, self._worth * 2)

    def has_ended(self, claimed: Claimed) -> bool:
        """Tell whether this one is the last that has ended."""
        return bool(self.ended) and self.ended[-1][0] is claimed

    def in_order(self) -> list[tuple[Claimed, Handled]]:
        """Return what has ended in the order in which everybody locks rows: that of ids."""
        return sorted(self.ended, key=lambda one: one[0].id)

    def messages(self) -> list[tuple[UUID, int]]:
        """Return the messages of all of its jobs, as a record holds them."""
        claimed = [*(one for one, _ in self.ended), *self.ahead]
        return [(one.id, one.attempt - 1) for one in claimed]

    def take_ended(self) -> list[tuple[Claimed, Handled]]:
        """Return what is to be completed and forget it."""
        ended, self.ended = self.ended, []
        return ended

    def take_ahead(self) -> list[Claimed]:
        """Return what has not begun and forget it."""
        ahead, self.ahead = list(self.ahead), deque()
        return ahead

    def take_all(self) -> list[Claimed]:
        """Return everything that is in hand and forget it."""
        return [*(claimed for claimed, _ in self.take_ended()), *self.take_ahead()]
