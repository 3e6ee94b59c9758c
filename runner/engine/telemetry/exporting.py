"""Sends ended runs to the receivers of `telemetry`, beside the active daemon's loop.

Nothing of it touches a job: a receiver that is away gets what has ended when it is back.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from headrace.engine.telemetry.ended_runs import EndedRun, runs_to_export
from headrace.errors import StoreUnavailable, TelemetryRefused
from headrace.store.database import Database

log = logging.getLogger("headrace.daemon")

_AT_ONCE = 50
_LOOK_EVERY_S = 1.0
_LONGEST_PAUSE_S = 60.0
# Of runs that a receiver refuses for so long, those at hand are given up, so that the others go on.
_PATIENCE_S = 3600.0


class Receiver(Protocol):
    """What takes ended runs."""

    def export(self, runs: Sequence[EndedRun]) -> None:
        """Send them.

        Raises:
            TelemetryRefused: They were not taken, and are sent again.
        """
        ...


class Exporting:
    """Sends to one receiver, a few runs at a time, each at least once and in their order."""

    def __init__(self, name: str, receiver: Receiver, database: Database) -> None:
        self._name = name
        self._receiver = receiver
        self._database = database
        self._refused_since: float | None = None
        self.pause_s = _LOOK_EVERY_S

    def turn(self) -> bool:
        """Send the next runs; return whether there may be more at once.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        runs = runs_to_export(self._database, self._name, _AT_ONCE)
        if not runs:
            return False
        try:
            self._receiver.export(runs)
        except TelemetryRefused as error:
            if not self._give_up(len(runs), error):
                return False
        else:
            if self._refused_since is not None:
                log.info("%s takes what is sent again", self._name)
            self._refused_since, self.pause_s = None, _LOOK_EVERY_S
        last = runs[-1].row
        self._database.rows(
            "move_telemetry_mark",
            receiver=self._name,
            finished_at=last["finished_at"],
            run=last["id"],
        )
        return len(runs) == _AT_ONCE

    def _give_up(self, runs: int, error: TelemetryRefused) -> bool:
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
            log.warning("%s: %s; tried again, jobs are not affected", self._name, error)
        self.pause_s = min(2 * self.pause_s, _LONGEST_PAUSE_S)
        if now - self._refused_since < _PATIENCE_S:
            return False
        log.error("%s: %d ended runs were not sent, after an hour: %s", self._name, runs, error)
        self._refused_since = None
        return True


class Telemetry:
    """All receivers of an installation, each with a thread while there is something to do."""

    def __init__(
        self,
        receivers: Mapping[str, Receiver],
        database: Database,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._database = database
        self._exports = {name: Exporting(name, one, database) for name, one in receivers.items()}
        self._next = dict.fromkeys(self._exports, 0.0)
        self._threads: dict[str, threading.Thread] = {}
        self._has_begun = False

    def act(self) -> None:
        """Start what is to be sent now, in threads."""
        for name, at in self._next.items():
            thread = self._threads.get(name)
            if self._clock() >= at and (thread is None or not thread.is_alive()):
                self._threads[name] = threading.Thread(
                    target=self._export, args=(name,), daemon=True
                )
                self._threads[name].start()

    def _export(self, name: str) -> None:
        exporting = self._exports[name]
        try:
            if not self._has_begun:
                self._database.rows("begin_telemetry", receivers=list(self._exports))
                self._has_begun = True
            while exporting.turn():
                pass
        except StoreUnavailable as error:
            log.debug("%s; what has ended is sent later", error)
        except Exception:
            log.exception("%s: ended runs could not be sent; tried again", name)
            exporting.pause_s = _LONGEST_PAUSE_S
        self._next[name] = self._clock() + exporting.pause_s
