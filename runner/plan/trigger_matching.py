"""Matches runs that have ended with the pipelines that they trigger.

Pure: the rows and the time are arguments. Two calls, one after the other, with what the first
has left and what is new decide as one call with all of it would.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID


class Ended(NamedTuple):
    """A run of an upstream pipeline that has ended as wanted and is not used up yet."""

    finished_at: datetime
    run: UUID
    pipeline: str


@dataclass(frozen=True, slots=True)
class Start:
    """One run to start: the upstream runs in the order in which they ended."""

    runs: tuple[Ended, ...]

    @property
    def last(self) -> Ended:
        """The run that ended last, whose logical date the new run has."""
        return self.runs[-1]


@dataclass(frozen=True, slots=True)
class Matched:
    """Outcomes of upstream runs; each is in one of the four.

    `superseded` ones were overtaken by a newer run of their pipeline, `expired` ones left
    behind by more than the window. `waiting` ones wait for the other pipelines.
    """

    starts: list[Start]
    superseded: list[Ended]
    expired: list[Ended]
    waiting: list[Ended]


class Known(NamedTuple):
    """Runs up to a moment before which all are known, and that moment; None: all are."""

    runs: list[Ended]
    until: datetime | None


def known(read: Iterable[Ended], most: int) -> Known:
    """Return what can be decided about where the first `most` runs of each pipeline were read.

    Of a pipeline that has that many there may be more: what others did after its last one
    cannot be decided about yet.
    """
    by_pipeline: dict[str, list[Ended]] = {}
    for one in sorted(read):
        by_pipeline.setdefault(one.pipeline, []).append(one)
    lasts = [runs[-1] for runs in by_pipeline.values() if len(runs) >= most]
    runs = sorted(one for runs in by_pipeline.values() for one in runs)
    if not lasts:
        return Known(runs, None)
    last = min(lasts)
    return Known([one for one in runs if one <= last], last.finished_at)


def match(
    upstream: Sequence[str],
    window_s: float,
    ended: Iterable[Ended],
    now: datetime,
    limit: int | None = None,
) -> Matched:
    """Decide about the runs of the pipelines `upstream` that are not used up.

    In the order in which they ended, each takes the place of an earlier one of its pipeline;
    as soon as there is one of each, no two further apart than `window_s` seconds, they start a
    run. A run that ended more than `window_s` before another one, or before `now`, has
    expired: whatever ends from now on ends later. After `limit` starts the rest is left as it
    is, for a further call: it is in none of the four.
    """
    window = timedelta(seconds=window_s)
    matched = Matched([], [], [], [])
    held: dict[str, Ended] = {}
    for one in sorted(ended):
        if limit is not None and len(matched.starts) >= limit:
            break
        if one.pipeline in held:
            matched.superseded.append(held.pop(one.pipeline))
        matched.expired.extend(_left_behind(held, one.finished_at - window))
        held[one.pipeline] = one
        if len(held) == len(set(upstream)):
            matched.starts.append(Start(tuple(sorted(held.values()))))
            held.clear()
    else:
        matched.expired.extend(_left_behind(held, now - window))
    matched.waiting.extend(sorted(held.values()))
    return matched


def _left_behind(held: dict[str, Ended], oldest: datetime) -> list[Ended]:
    """Take out of `held` what ended before `oldest`."""
    gone = [name for name, one in held.items() if one.finished_at < oldest]
    return [held.pop(name) for name in gone]
