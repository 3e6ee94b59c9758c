"""Counts what has ended into the totals of /metrics, each end once.

See docs/adr/0043-totals-of-ended-rows.md.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from headrace.engine.gating.ended_totals import count_ended, lock_totals
from headrace.errors import StoreUnavailable
from headrace.store.crash_points import crash_point
from headrace.store.database import Database, Transaction

log = logging.getLogger("headrace.daemon")

# Counting takes at most this share of the time of a connection.
_SHARE = 0.04
_LONGEST_REST_S = 60.0
# How long `count_all` waits for transactions that are open, and how often it looks.
_PATIENCE_S = 5.0
_LOOK_S = 0.02
# Totals that are older than this while something is to be counted are reported.
_LATE = timedelta(minutes=1)


@dataclass(slots=True)
class Horizon:
    """Finds a time before which no open transaction can end anything any more.

    `at` is the time of a look at which `writers` were open; when all of those are gone, everything
    that ended before it is visible.
    """

    at: datetime | None = None
    writers: frozenset[str] = frozenset()

    def look(self, tx: Transaction) -> datetime | None:
        """Look at the open transactions; return such a time if a later one is known now."""
        row = tx.row("open_writers")
        assert row is not None
        now: datetime = row["now"]
        writers = frozenset(row["writers"])
        if not writers:
            self.at = None
            return now
        if self.at is None:
            self.at, self.writers = now, writers
            return None
        if self.writers & writers:
            return None
        reached, self.at, self.writers = self.at, now, writers
        return reached


class Totals:
    """The active daemon's counting: it looks in the transaction of the lease, counts beside it."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._horizon = Horizon()
        self._until: datetime | None = None
        self._next = 0.0
        self._thread: threading.Thread | None = None
        self._reported = False

    def look(self, tx: Transaction) -> None:
        """Find out whether something can be counted; a look costs a row where nothing has ended."""
        state = tx.row("totals_behind")
        if state is None or not state["behind"]:
            self.saw_nothing()
            return
        self._until = self._horizon.look(tx) or self._until
        self._report(state["now"] - state["until"])

    def saw_nothing(self) -> None:
        """Take note that nothing has ended since the last counting."""
        self._until, self._reported = None, False

    def count_soon(self) -> None:
        """Count what the last look has found, in a thread: the lease must not wait for it."""
        running = self._thread is not None and self._thread.is_alive()
        if self._until is None or running or self._clock() < self._next:
            return
        until, self._until = self._until, None
        self._thread = threading.Thread(target=self._count, args=(until,), daemon=True)
        self._thread.start()

    def _count(self, until: datetime) -> None:
        began = time.monotonic()
        try:
            took_s = count(self._database, until)
        except Exception as error:
            took_s = time.monotonic() - began
            if isinstance(error, StoreUnavailable):
                log.debug("%s; what has ended is counted later", error)
            else:
                log.exception("the totals of /metrics could not be counted; tried again")
        self._next = self._clock() + min(took_s / _SHARE, _LONGEST_REST_S)

    def _report(self, age: timedelta) -> None:
        if age > _LATE and not self._reported:
            self._reported = True
            log.warning(
                "the totals of /metrics are %d s behind: a transaction that has written jobs or"
                " runs is still open, or much has ended at once",
                age.total_seconds(),
            )


def count(database: Database, until: datetime) -> float:
    """Count what ended before `until`, of which nothing may be invisible; return the seconds taken.

    To wait for another daemon, which was stopped while it counted, takes nothing.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; nothing was counted.
    """
    with database.transaction() as tx:
        mark = lock_totals(tx)
        began = time.monotonic()
        since = mark["until"]
        if mark["ahead"]:
            log.warning(
                "PostgreSQL's clock was set back, from %s or later to %s: what ends until it has"
                " caught up may be counted twice in /metrics",
                since,
                until,
            )
            count_ended(tx, mark, until=None)
        elif until > since:
            count_ended(tx, mark, until=until)
            tx.rows("count_attempts", since=since, until=until)
        else:
            return 0.0
        tx.rows("move_totals_mark", until=until)
        crash_point("totals-uncommitted")
    return time.monotonic() - began


def count_all(database: Database) -> None:
    """Count what has ended up to now, so that it can be deleted.

    What is still invisible after some seconds is left: `prune` keeps what is not counted.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    horizon, deadline = Horizon(), time.monotonic() + _PATIENCE_S
    while (until := horizon.look(database)) is None:
        if time.monotonic() > deadline:
            return
        time.sleep(_LOOK_S)
    count(database, until)
