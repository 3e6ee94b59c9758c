"""A parent writes what jobs say that go on for long, and what children have left."""

import json
import logging
import os
import time
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.attempts import log_keeper
from headrace.engine.attempts.log_keeper import LogKeeper
from headrace.errors import StoreUnavailable
from headrace.observe.joblog import JobLog
from tests.support.fake_database import FakeDatabase

JOB, OTHER = UUID(int=1), UUID(int=2)


class Stand:
    """A keeper of two children, by a clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = time.time()
        monkeypatch.setattr("headrace.engine.attempts.log_keeper.time.time", lambda: self.now)
        self.database = FakeDatabase({"may_keep_log": [{}]})
        made: Any = self.database
        self.keeper = LogKeeper(made, 2)

    def say(self, *messages: str, index: int = 0, job: UUID = JOB, attempt: int = 1) -> None:
        log = JobLog(self.keeper.pages[index])
        log.begin(job, attempt)
        for message in messages:
            log.emit(logging.LogRecord("headrace.job", logging.INFO, "", 0, message, None, None))

    def keep(self, job: UUID = JOB, attempt: int = 1) -> float | None:
        return self.keeper.keep([(0, job, attempt)])

    def written(self) -> list[tuple[UUID, str]]:
        return [
            (values["id"], values["entries"]) for values in self.database.values_of("add_log_lines")
        ]


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(monkeypatch)


def test_a_line_is_written_once_half_a_second_after_it_was_said(stand: Stand) -> None:
    assert stand.keep() is None, "nothing was said"
    stand.say("hello")
    wait_s = stand.keep()
    assert wait_s is not None
    assert 0.2 < wait_s <= 0.5
    assert stand.written() == []
    stand.now += 0.6
    assert stand.keep() is None
    ((job, entries),) = stand.written()
    assert (job, "hello" in entries) == (JOB, True)
    assert [name for name, _ in stand.database.asked] == [
        "may_keep_log", "hold_log", "forget_left_out", "add_log_lines",
    ]  # fmt: skip
    assert stand.database.values_of("may_keep_log") == [{"id": JOB, "attempt": 1, "running": True}]
    stand.keep()
    assert len(stand.written()) == 1


def test_of_several_children_the_next_line_is_waited_for(stand: Stand) -> None:
    stand.say("first")
    stand.say("second", index=1, job=OTHER)
    stand.now += 0.3

    wait_s = stand.keeper.keep([(0, JOB, 1), (1, OTHER, 1)])

    assert wait_s is not None
    assert wait_s <= 0.25


def test_lines_of_another_attempt_are_not_taken_for_its_own(stand: Stand) -> None:
    stand.say("hello")
    stand.now += 10.0

    assert stand.keep(OTHER) is None
    assert stand.keep(JOB, 2) is None
    assert stand.written() == []


def test_a_line_from_a_clock_ahead_is_written_at_once(stand: Stand) -> None:
    stand.say("hello")
    stand.now -= 100.0

    assert stand.keep() is None
    assert len(stand.written()) == 1


def ended(stand: Stand, index: int = 0, job: UUID = JOB, attempt: int = 1) -> None:
    stand.keeper.open_pipe(index)
    stand.keeper.forked(index)
    stand.keeper.ended(index, job, attempt)


def test_what_a_child_has_left_is_written_in_order_as_soon_as_postgresql_answers(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.say("hello")
    ended(stand)
    stand.say("bye", index=1, job=OTHER)
    ended(stand, 1, OTHER)
    stand.database.away = StoreUnavailable("away")
    with caplog.at_level(logging.DEBUG):
        stand.keeper.keep_last_words()
    assert f"log lines of job {JOB} will be written later: away" in caplog.text
    assert stand.written() == []
    stand.database.away = None

    stand.keeper.keep_last_words()

    assert [job for job, _ in stand.written()] == [JOB, OTHER]
    assert {values["running"] for values in stand.database.values_of("may_keep_log")} == {False}
    stand.keeper.keep_last_words()
    assert len(stand.written()) == 2


def test_an_outage_while_a_job_runs_costs_none_of_its_lines(stand: Stand) -> None:
    stand.say("hello")
    stand.now += 1.0
    stand.database.away = StoreUnavailable("away")
    assert stand.keep() is None
    stand.database.away = None

    stand.keep()

    assert len(stand.written()) == 1


def test_lines_whose_job_is_gone_are_dropped_and_those_of_a_cancelled_one_wait_for_its_end(
    stand: Stand,
) -> None:
    stand.database.answers["may_keep_log"] = []
    stand.say("hello")
    stand.now += 1.0
    stand.keep()
    stand.keep()
    assert len(stand.database.values_of("may_keep_log")) == 2, "asked again"
    ended(stand)
    stand.keeper.keep_last_words()
    stand.keeper.keep_last_words()
    assert len(stand.database.values_of("may_keep_log")) == 3
    assert stand.written() == []


def test_no_more_is_remembered_than_fits(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_keeper, "_MOST_WAITING", 1)
    for job in (JOB, OTHER):
        stand.say("hello", job=job)
        ended(stand, job=job)

    stand.keeper.keep_last_words()

    assert [job for job, _ in stand.written()] == [JOB]


@pytest.mark.parametrize(
    ("page_of", "attempt", "written"),
    [
        # What the job has said by itself comes first; the output is the same attempt's.
        ((JOB, 1), 1, [(JOB, ["said", "Killed", "  for its memory"])]),
        # The child died before it took the page for its next job.
        ((OTHER, 1), 1, [(JOB, ["Killed", "  for its memory"])]),
        ((JOB, 1), 2, [(JOB, ["Killed", "  for its memory"])]),
        # It had no job.
        ((JOB, 1), 0, [(JOB, ["said"])]),
    ],
)
def test_the_last_output_of_a_child_is_a_line_of_its_last_attempt(
    stand: Stand, page_of: tuple[UUID, int], attempt: int, written: list[tuple[UUID, list[str]]]
) -> None:
    job, of_page = page_of
    stand.say("said", job=job, attempt=of_page)
    stand.keeper.open_pipe(0)
    os.write(stand.keeper.pipes[0][1], b"Killed\n  for its memory")
    stand.keeper.forked(0)

    stand.keeper.ended(0, JOB, attempt)

    stand.keeper.keep_last_words()
    found = [
        (one, [entry["message"] for entry in json.loads(entries)])
        for one, entries in stand.written()
    ]
    assert found == written
    if attempt:
        assert {one["attempt"] for one in stand.database.values_of("add_log_lines")} == {attempt}
