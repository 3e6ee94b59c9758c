"""The thread of the daemon that looks for what is late, and sends notifications while it leads."""

import logging
import threading
import time
from collections.abc import Callable

from headrace.declarations.config import Settings
from headrace.engine.notifications.heartbeat import HeartbeatCaller
from headrace.engine.notifications.outbox import Outbox
from headrace.errors import StoreUnavailable
from headrace.model.duration import format_duration
from headrace.queue.sender import Sender
from headrace.store.database import Database, Transaction

log = logging.getLogger("headrace.daemon")

_TICK_S = 1.0
# What is under way when the daemon is asked to stop; nobody waits longer for it.
_LAST_SENDS_S = 1.0


class Notifier:
    """Works in a thread of its own: the lease waits for no mail server.

    `term` returns the term in which this daemon leads, or None.
    """

    def __init__(
        self,
        database: Database,
        sender: Sender,
        settings: Settings,
        term: Callable[[], int | None],
    ) -> None:
        self._database = database
        self._term = term
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="notifier", daemon=True)
        self._wanted = False
        self._next_look = 0.0
        notifications = settings.notifications
        self._outbox = Outbox(database, notifications, settings.public_url)
        heartbeat = notifications.heartbeat
        self._heartbeat = (
            HeartbeatCaller(heartbeat, notifications.allowed_hosts, database, sender)
            if heartbeat is not None
            else None
        )

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self, tx: Transaction) -> None:
        """Find out, in the transaction that renews the lease, whether there is anything to do.

        So that has no transaction of its own.
        """
        row = tx.row("notifier_wanted")
        self._wanted = row is not None and row["wanted"]
        if self._wanted:
            self._outbox.woken.set()

    def saw_nothing(self) -> None:
        """Take note that a look has found nothing to do."""
        self._wanted = False

    def stop(self) -> None:
        """Begin nothing any more, and wait a moment for what is under way."""
        self._stop.set()
        self._outbox.woken.set()
        self._outbox.wait(_LAST_SENDS_S)

    def _live(self) -> None:
        while not self._stop.is_set():
            self._outbox.woken.wait(_TICK_S)
            self._outbox.woken.clear()
            term = self._term()
            if term is None or self._stop.is_set():
                continue
            try:
                self._look(term)
            except StoreUnavailable as error:
                # The daemon's loop, which renews the lease there, says so.
                log.debug("%s; notifications are sent later", error)
                self._stop.wait(_TICK_S)
            except Exception:
                log.exception("notifications were not sent; continuing")

    def _look(self, term: int) -> None:
        if self._wanted:
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + _TICK_S
                self._note_late(term)
            self._outbox.tick(term)
        if self._heartbeat is not None:
            self._heartbeat.tick(term)

    def _note_late(self, term: int) -> None:
        for row in self._database.rows("note_late", term=term):
            log.warning(
                "run %s of %s%s is late: its %s of %s has passed",
                row["id"],
                row["pipeline"],
                f", step {row['step']}," if row["step"] else "",
                row["rule"],
                format_duration(row["limit_s"]),
            )
