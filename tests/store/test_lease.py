"""The leader's lease, when clocks are set back or its holder is gone."""

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from headrace.queue.process import has_ended, host_mark, process_name
from headrace.store.database import Database

HOLD = {"lease_s": 60.0}


@pytest.fixture
def opened(database: str) -> Iterator[Database]:
    opened = Database(database, application_name="test")
    yield opened
    opened.close()


def set_lease(opened: Database, interval: str) -> None:
    with opened.transaction() as tx:
        tx.connection.exec_driver_sql(
            f"UPDATE headrace.leader SET expires_at = clock_timestamp() + interval '{interval}'"
        )


def term_of(opened: Database, holder: str) -> int:
    row = opened.row("acquire_lease", holder=holder, **HOLD)
    assert row is not None
    return int(row["term"])


def test_a_lease_that_lies_further_ahead_than_its_own_length_is_void(opened: Database) -> None:
    assert term_of(opened, "one") == 1
    assert opened.row("acquire_lease", holder="two", **HOLD) is None

    # As after the clock was set back by an hour.
    set_lease(opened, "58 minutes")

    leader = opened.row("leader")
    assert leader is not None
    assert (leader["live"], leader["late"]) == (False, True)
    assert term_of(opened, "two") == 2
    leader = opened.row("leader")
    assert leader is not None
    assert (leader["live"], leader["late"]) == (True, False)


def test_a_lease_that_is_over_is_taken_for_another_term_and_renewed_for_the_same(
    opened: Database,
) -> None:
    def holds(term: int) -> bool:
        return bool(opened.rows("holds_term", term=term))

    assert term_of(opened, "one") == 1
    set_lease(opened, "-1 second")
    assert not holds(1)
    assert term_of(opened, "one") == 1
    assert holds(1)
    set_lease(opened, "-1 second")

    assert term_of(opened, "two") == 2

    assert (holds(1), holds(2)) == (False, True)
    assert opened.row("acquire_lease", holder="one", **HOLD) is None
    opened.rows("give_up_lease", holder="two")
    assert term_of(opened, "one") == 3


def test_a_long_lease_is_good_for_its_whole_length(opened: Database) -> None:
    opened.rows("acquire_lease", holder="one", lease_s=600.0)

    assert opened.row("acquire_lease", holder="two", **HOLD) is None


def test_a_leader_that_gave_up_is_not_late(opened: Database) -> None:
    opened.rows("acquire_lease", holder="one", **HOLD)
    opened.rows("give_up_lease", holder="one")

    leader = opened.row("leader")
    assert leader is not None
    assert (leader["live"], leader["late"]) == (False, False)
    set_lease(opened, "-1 minute")
    leader = opened.row("leader")
    assert leader is not None
    assert leader["late"]


def test_a_holder_on_this_host_whose_process_is_gone_is_gone() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    host, mark = socket.gethostname()[:24], host_mark()

    assert has_ended(f"{host}.{gone.pid}.{mark}abcdef")
    assert not has_ended(process_name())
    # Nothing is known of processes elsewhere: another host, another container of this one.
    assert not has_ended(f"elsewhere.{gone.pid}.{mark}abcdef")
    assert not has_ended(f"{host}.{gone.pid}.0000abcdef")
    assert not has_ended("test")
    assert not has_ended(f"{host}.{os.getpid()}.{mark}abcdef")
