"""The daemon's look each second: nothing escapes it, and what does not concern it wakes nobody."""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from headrace.engine.operations.glance import Glance, glance
from headrace.engine.operations.recovery import Recovery
from headrace.errors import QueueUnavailable
from headrace.model.ids import new_id
from headrace.model.status import JobStatus
from headrace.queue.process import birth_ticks, process_name
from tests.support.rows import Rows

SLOT = "pool = 'p', pool_slots = 1"


def look(rows: Rows, *waiting: str) -> Glance:
    seen = glance(rows.database, "me", 60.0, waiting)
    assert seen is not None
    return seen


def worker(
    rows: Rows, *, host: str = "elsewhere", seen: str = "0 s", status: str = "running"
) -> None:
    rows.sql(
        "INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes, status,"
        " seen_at) VALUES ('tests', %(host)s, %(pid)s, %(ticks)s, '{medium}', 1, %(status)s,"
        " clock_timestamp() + %(seen)s::interval)",
        host=host,
        pid=os.getpid(),
        ticks=birth_ticks(os.getpid()),
        status=status,
        seen=seen,
    )


def job(rows: Rows, status: str, changed: str = "attempt = attempt") -> None:
    rows.add(status)
    rows.sql(f"UPDATE headrace.job SET {changed}")


def pending_notification(rows: Rows) -> None:
    rows.sql(
        "INSERT INTO headrace.notification (kind, receiver, pipeline, content)"
        " VALUES ('failure', 'pager', 'p', '{}')"
    )


def ended_upstream(rows: Rows) -> None:
    rows.sql(
        "UPDATE headrace.total_mark SET until = clock_timestamp() + interval '1 h';"
        "INSERT INTO headrace.trigger (pipeline, upstream, statuses)"
        " VALUES ('totals', 'load', '{completed}');"
        "INSERT INTO headrace.run (id, pipeline, version, status, trigger, logical_date, plan,"
        " started_at, finished_at) VALUES (%(id)s, 'load', '1', 'completed', 'manual',"
        " '2026-07-01', '{}', clock_timestamp(), clock_timestamp())",
        id=str(new_id()),
    )


def lost_workers_job(rows: Rows, status: str = "lost") -> None:
    worker(rows, status=status)
    job(rows, "started")


@pytest.mark.parametrize(
    "left",
    [
        lambda rows: job(rows, "retrying", "next_retry_time = clock_timestamp()"),
        lambda rows: job(rows, "retrying", f"next_retry_time = clock_timestamp(), {SLOT}"),
        lambda rows: job(rows, "waiting", f"slot_wanted = true, {SLOT}"),
        lambda rows: job(rows, "waiting", "child_state = 'wanted'"),
        lambda rows: job(rows, "completed", "finished_at = clock_timestamp()"),
        lambda rows: worker(rows, seen="-11 s"),
        lambda rows: worker(rows, seen="1 h"),
        lost_workers_job,
        lambda rows: job(rows, "started"),
        lambda rows: lost_workers_job(rows, "stopped"),
        lambda rows: worker(rows, seen="-11 s", status="draining"),
        pending_notification,
        ended_upstream,
    ],
    ids=[
        "a retry is due",
        "a retry that needs a slot is due",
        "a job waits for a slot",
        "a step's run is to be started",
        "what has ended is not counted",
        "a worker is silent",
        "a worker's heartbeat is in the future",
        "a lost worker's job is started",
        "an unknown worker's job is started",
        "a stopped worker's job is started",
        "a worker that is to stop is silent",
        "a notification is to be sent",
        "a run that a pipeline waits for has ended",
    ],
)
def test_a_look_sees_what_there_is_to_do(rows: Rows, left: Callable[[Rows], None]) -> None:
    assert not look(rows, "totals").busy

    left(rows)

    assert look(rows, "totals").busy


def test_a_look_leaves_alone_what_others_are_about(rows: Rows) -> None:
    worker(rows)
    rows.add("queued")
    rows.add("waiting")
    rows.add("started")
    rows.add("retrying")
    rows.sql(
        "UPDATE headrace.job SET next_retry_time = clock_timestamp() + interval '1 h'"
        " WHERE status = 'retrying'"
    )

    assert not look(rows).busy


def test_a_look_leaves_alone_what_is_over(rows: Rows) -> None:
    """Whatever a job or a worker still says of a wait, once it has ended or goes on."""
    for status in ("stopped", "lost"):
        rows.sql(
            "INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes,"
            " status, seen_at) VALUES (%(status)s, %(host)s, 1, 1, '{medium}', 1, %(status)s,"
            " clock_timestamp() - interval '1 h')",
            status=status, host=socket.gethostname(),
        )  # fmt: skip
        for one in JobStatus:
            if one != "started":
                rows.add(one)
                rows.sql(f"UPDATE headrace.job SET worker = '{status}' WHERE worker = 'tests'")
    rows.sql(
        f"UPDATE headrace.job SET {SLOT}, slot_wanted = true, child_state = 'wanted',"
        " next_retry_time = clock_timestamp() WHERE status NOT IN ('waiting', 'retrying');"
        "UPDATE headrace.job SET next_retry_time = clock_timestamp() WHERE status = 'waiting';"
        "INSERT INTO headrace.notification (kind, receiver, pipeline, content, status)"
        " VALUES ('failure', 'pager', 'p', '{}', 'sent')"
    )
    worker(rows)

    seen = look(rows)

    assert not seen.busy
    assert seen.workers == []


def test_a_look_renews_the_lease_and_tells_the_servers_clock(rows: Rows) -> None:
    first = look(rows)
    second = look(rows)

    assert first.term == second.term
    assert first.now < second.now
    assert glance(rows.database, "another", 60.0, ()) is None


def test_a_look_names_the_workers_of_this_host_only(rows: Rows) -> None:
    worker(rows, host=socket.gethostname())
    rows.sql(
        "INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes)"
        " VALUES ('far', 'elsewhere', 1, 1, '{medium}', 1)"
    )

    assert look(rows).workers == [("tests", os.getpid(), birth_ticks(os.getpid()))]


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowRedis:
    """A sender that has nothing to do and takes its time for it; or that waits in vain."""

    def __init__(self, clock: Clock, *, answers: bool) -> None:
        self._clock, self._answers = clock, answers

    def memory_lost(self) -> bool:
        return False

    def send(self, messages: Sequence[object]) -> None:
        assert not messages
        self._clock.now += 2.0
        if not self._answers:
            raise QueueUnavailable("Redis does not answer")


class NoRedis:
    """A sender that has nothing to do."""

    def memory_lost(self) -> bool:
        return False

    def send(self, messages: Sequence[object]) -> None:
        assert not messages


@dataclass
class Ticks:
    """A recovery by a clock that stands still, and how often it took the lead in a transaction."""

    recovery: Recovery
    seen: Glance
    led: int = 0

    def tick(self) -> int:
        before = self.led
        self.recovery.tick(self._lead, 1, lambda: self.seen)
        return self.led - before

    def _lead(self, _tx: object) -> None:
        self.led += 1


@pytest.fixture
def ticks(rows: Rows) -> Ticks:
    recovery = Recovery(rows.database, cast("Any", NoRedis()), lambda: 0.0)
    return Ticks(recovery, Glance(1, datetime.now(UTC), False, []))


def test_between_two_sweeps_repairs_are_made_only_where_a_look_has_seen_work(ticks: Ticks) -> None:
    assert ticks.tick() == 1  # The first one sweeps.
    assert ticks.tick() == 0

    ticks.seen = replace(ticks.seen, busy=True)
    assert ticks.tick() == 1
    ticks.seen = replace(ticks.seen, busy=False)
    assert ticks.tick() == 1  # Not asked again until the next sweep: where is work, there is more.


def test_a_worker_of_this_host_whose_process_is_gone_is_work_at_once(ticks: Ticks) -> None:
    ticks.tick()

    mine = (process_name(), os.getpid(), -1)
    # Of another container nothing is known here.
    ticks.seen = replace(ticks.seen, workers=[("elsewhere.1.0000abcdef", 1, -1)])
    assert ticks.tick() == 0
    ticks.seen = replace(ticks.seen, workers=[mine])
    assert ticks.tick() == 1


@pytest.mark.parametrize("answers", [True, False])
def test_a_long_sweep_is_followed_by_a_long_rest_unless_redis_held_it_up(
    rows: Rows, answers: bool
) -> None:
    clock = Clock()
    sender = cast("Any", SlowRedis(clock, answers=answers))
    ticks = Ticks(Recovery(rows.database, sender, clock), Glance(1, datetime.now(UTC), False, []))
    ticks.tick()

    clock.now += 6.0

    # A tick that is no sweep has nothing to do.
    assert ticks.tick() == (0 if answers else 1)
