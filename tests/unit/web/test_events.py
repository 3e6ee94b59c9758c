"""The stream of a run's events: each change once, signs of life meanwhile, and an end."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from headrace.errors import StoreUnavailable
from headrace.web import events

RUN, JOB = UUID(int=1), UUID(int=2)


def state(status: str, *jobs: str) -> dict[str, Any]:
    return {
        "id": RUN,
        "status": status,
        "jobs": [{"id": UUID(int=2 + n), "status": one} for n, one in enumerate(jobs)],
    }


class Watched:
    """What the run is at each look; the clock moves by what a look and a rest take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, looks: list[Any]) -> None:
        self.looks = looks
        self.now = 0.0
        self.look_s = 0.0
        self.rests: list[float] = []
        monkeypatch.setattr(events, "RunWatch", lambda *_: self)
        monkeypatch.setattr("headrace.web.events.time.monotonic", lambda: self.now)
        monkeypatch.setattr(events, "_rest", self.rest)
        self.database = None

    def look(self) -> Any:
        self.now += self.look_s
        found = self.looks.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def with_progress(self, jobs: Any) -> Any:
        return jobs

    async def rest(self, pause_s: float, _stopping: Any) -> None:
        self.rests.append(pause_s)
        self.now += pause_s

    def said(self, **more: Callable[[], bool]) -> list[str]:
        async def all_of_it() -> list[str]:
            stream = events.run_events(
                self,  # type: ignore[arg-type]
                RUN,
                **{"stopping": lambda: not self.looks, **more},
            )
            return [event async for event in stream]

        return asyncio.run(all_of_it())


def test_each_change_is_told_once_and_the_end_last(monkeypatch: pytest.MonkeyPatch):
    looks = [
        state("running", "queued", "waiting"),
        state("running", "queued", "waiting"),
        state("running", "started", "waiting"),
        state("completed", "completed", "waiting"),
    ]
    said = Watched(monkeypatch, looks).said()

    assert said[0] == "retry: 2000\n\n"
    assert [one.count("event: ") for one in said[1:]] == [3, 1, 3]
    assert said[2].startswith("event: job\ndata: {")
    assert '"status":"started"' in said[2]
    assert '"jobs"' not in said[1]
    assert said[-1].endswith("event: end\ndata: {}\n\n")


def test_a_quiet_run_gives_a_sign_of_life_every_ten_seconds(monkeypatch: pytest.MonkeyPatch):
    watched = Watched(monkeypatch, [state("running") for _ in range(46)])

    said = watched.said()

    assert said[2:] == [": still running\n\n"] * 2
    assert set(watched.rests) == {0.5}


def test_what_is_long_to_read_is_read_less_often(monkeypatch: pytest.MonkeyPatch):
    watched = Watched(monkeypatch, [state("running") for _ in range(2)])
    watched.look_s = 0.2
    watched.said()
    assert watched.rests == pytest.approx([2.0, 2.0])

    watched = Watched(monkeypatch, [state("running")])
    watched.look_s = 3.0
    watched.said()
    assert watched.rests == [5.0]


def test_while_postgresql_is_away_the_line_stays_open_and_is_asked_less_often(
    monkeypatch: pytest.MonkeyPatch,
):
    away: list[Any] = [StoreUnavailable("away")] * 5
    watched = Watched(monkeypatch, [*away, state("failed")])

    said = watched.said()

    assert said[1:6] == [": PostgreSQL does not answer; waiting for it\n\n"] * 5
    assert watched.rests == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert said[-1].endswith("event: end\ndata: {}\n\n")


def test_a_caller_who_is_not_allowed_any_more_and_a_run_that_is_deleted_get_the_end(
    monkeypatch: pytest.MonkeyPatch,
):
    end = ["retry: 2000\n\n", "event: end\ndata: {}\n\n"]

    assert Watched(monkeypatch, [None]).said() == end
    assert Watched(monkeypatch, [state("running")]).said(allowed=lambda: False) == end


def test_a_service_that_stops_ends_its_streams_without_the_end(monkeypatch: pytest.MonkeyPatch):
    assert Watched(monkeypatch, []).said() == ["retry: 2000\n\n"]
