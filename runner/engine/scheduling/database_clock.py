"""PostgreSQL's clock, which decides about schedules as it does about leases."""

import logging
import time
from datetime import UTC, datetime, timedelta

from headrace.store.database import Database

log = logging.getLogger("headrace.daemon")

# What a machine's clock may differ by before it is worth a word.
_TOLERATED = timedelta(seconds=5)


class ServerClock:
    """Reads the server's clock, and says when this machine's differs from it.

    A daemon may move to another machine, and a machine's clock may be hours off for some seconds:
    no run may be started or left out for that.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: datetime | None = None
        self._read_at = 0.0
        self._told: timedelta | None = None

    def now(self) -> datetime:
        """Return what PostgreSQL's clock says.

        Raises:
            StoreUnavailable: It does not answer.
        """
        row = self._database.row("clock")
        assert row is not None
        self.saw(row["now"])
        return row["now"]  # type: ignore[no-any-return]

    def saw(self, now: datetime) -> None:
        """Take over what a statement has read that was sent for something else as well."""
        self._read, self._read_at = now, time.monotonic()
        self._compare(now)

    @property
    def last(self) -> datetime:
        """What it said last."""
        return self._read or self.now()

    def estimate(self) -> datetime:
        """Return what it says by now, without asking: good for the length of a wait only."""
        if self._read is None:
            return datetime.now(UTC)
        return self._read + timedelta(seconds=time.monotonic() - self._read_at)

    def _compare(self, now: datetime) -> None:
        off = datetime.now(UTC) - now
        if abs(off) <= _TOLERATED:
            if self._told is not None:
                log.info("this machine's clock agrees with PostgreSQL's again")
            self._told = None
        elif self._told is None or abs(off - self._told) > _TOLERATED:
            self._told = off
            log.warning(
                "this machine's clock is %.0f s %s PostgreSQL's (%s); PostgreSQL's decides",
                abs(off.total_seconds()),
                "ahead of" if off > timedelta(0) else "behind",
                now.isoformat(" ", "seconds"),
            )
