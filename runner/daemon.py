"""The daemon: leadership, schedules and repairs, in one loop that nothing but a signal ends."""

import logging
import random
import signal
import threading
import time
from datetime import UTC, datetime
from typing import Any

from runner.engine.recovery import Recovery
from runner.engine.scheduler import Scheduler
from runner.engine.wiring import Headrace, process_name
from runner.errors import HeadraceError, LeadershipLost, QueueUnavailable, StoreUnavailable

log = logging.getLogger("headrace.daemon")

# A standby leads within this and a tick of the leader's death.
_LEASE_S = 3.0
_TICK_S = 1.0
_LONGEST_PAUSE_S = 5.0


class Daemon:
    """Leads where nobody else does; otherwise waits for the lease to end."""

    def __init__(self, headrace: Headrace) -> None:
        self._headrace = headrace
        self._name = process_name()
        self._stop = threading.Event()
        self._term: int | None = None
        self._outage = ""
        self._pause_s = 0.1
        self._shown: set[str] = set()
        self._recovery = Recovery(
            headrace.database, headrace.sender, time.monotonic, headrace.settings.connections
        )
        self._scheduler = Scheduler(
            headrace.database, headrace.dispatcher, headrace.pipelines, headrace.planner
        )

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        log.info("daemon %s is up", self._name)
        while not self._stop.is_set():
            try:
                self._turn()
                self._well_again()
                self._stop.wait(self._wait_s())
            except LeadershipLost as error:
                log.warning("%s; what is due is the next leader's", error)
            except (StoreUnavailable, QueueUnavailable) as error:
                self._wait_out(error)
            except Exception:
                # Whatever it was, tomorrow's runs must not wait for a person.
                log.exception("a turn of the daemon failed; going on")
                self._stop.wait(_TICK_S)
        self._resign()

    def _turn(self) -> None:
        self._reload()
        row = self._headrace.database.row("take_leadership", holder=self._name, lease_s=_LEASE_S)
        term = row["term"] if row else None
        if term != self._term:
            self._changed_hands(term)
        if term is None:
            return
        self._scheduler.tick(datetime.now(UTC), term)
        done = self._recovery.tick()
        if done.resent or done.lost:
            log.info(
                "sent %d messages again, requeued %d jobs of lost workers", done.resent, done.lost
            )

    def _changed_hands(self, term: int | None) -> None:
        if term is None:
            log.info("another daemon leads; standing by")
        else:
            log.info("leading, term %d", term)
            self._scheduler.refresh(datetime.now(UTC))
        self._term = term

    def _reload(self) -> None:
        if not self._headrace.pipelines.refresh():
            return
        problems = self._headrace.pipelines.problems
        texts = {str(problem) for problem in problems}
        for text in sorted(texts - self._shown):
            log.error("%s", text)
        self._shown = texts
        log.info("%d pipelines are in force", len(self._headrace.pipelines.by_name))
        if self._term is not None:
            self._scheduler.refresh(datetime.now(UTC))

    def _wait_s(self) -> float:
        """Seconds to the next turn: a tick, or less where a run is due before."""
        due = self._scheduler.next_due()
        if self._term is None or due is None:
            return _TICK_S
        return min(_TICK_S, max(0.0, (due - datetime.now(UTC)).total_seconds()))

    def _wait_out(self, error: HeadraceError) -> None:
        if self._outage != error.code:
            log.warning("%s; waiting for it", error)
            self._outage = error.code
        self._stop.wait(random.uniform(0, self._pause_s))
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def _well_again(self) -> None:
        if self._outage:
            log.info("going on after %s", self._outage)
            self._outage = ""
        self._pause_s = 0.1

    def _resign(self) -> None:
        if self._term is None:
            return
        try:
            self._headrace.database.rows("give_up_leadership", holder=self._name)
        except StoreUnavailable:
            log.debug("the lease ends by itself")

    def _on_stop(self, _signal: int, _frame: Any) -> None:
        self._stop.set()
