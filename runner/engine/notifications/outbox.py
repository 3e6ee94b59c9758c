"""The outbox: the active daemon sends what is due in it, each notification to its receiver once.

A row is claimed in a transaction, sent, and marked. Only what happens between the last two can have
a receiver get a notification twice: the answer is lost, or the daemon is killed. It comes with the
same id then.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

from headrace.engine.notifications.messages import message_of
from headrace.engine.notifications.sending import SEND_S, send
from headrace.errors import StoreUnavailable
from headrace.errors.shortened import shortened
from headrace.jobapi.outbound.failures import NotSent
from headrace.model.notifications import Notifications
from headrace.observe.redaction import redacted
from headrace.store.crash_points import crash_point
from headrace.store.database import Database, Row

log = logging.getLogger("headrace.daemon")

# How long nobody else takes a notification that is being sent: longer than a send may take. Tests
# may shorten it by a variable.
_CLAIM_S = "60"
_CLAIM_VARIABLE = "HEADRACE_NOTIFICATION_CLAIM_S"
_LONGEST_DELAY_S = 900.0
_MOST_ERROR = 1000
_PAUSE_S = 0.5
# Sends under way at once, each to another receiver.
_MOST_SENDS = 16


class Outbox:
    """Sends what is due, a thread for each receiver that something is due for."""

    def __init__(self, database: Database, settings: Notifications, public_url: str | None) -> None:
        self._database = database
        self._settings = settings
        self._public_url = public_url
        self._claim_s = float(os.environ.get(_CLAIM_VARIABLE, _CLAIM_S))
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Thread] = {}
        self._away: set[str] = set()
        # Set where there may be something to do before the next tick.
        self.woken = threading.Event()

    def tick(self, term: int) -> int:
        """Begin to send what is due; returns how many sends were begun.

        Raises:
            StoreUnavailable: Nothing was begun.
        """
        with self._lock:
            busy = list(self._busy)
        began = time.monotonic()
        rows = self._database.rows(
            "claim_notifications",
            busy=busy,
            most=max(0, _MOST_SENDS - len(busy)),
            claim_s=self._claim_s,
            term=term,
        )
        for row in rows:
            thread = threading.Thread(
                target=self._carry_out, args=(row, began), name="notification", daemon=True
            )
            with self._lock:
                self._busy[row["receiver"]] = thread
            thread.start()
        return len(rows)

    def wait(self, seconds: float) -> None:
        """Wait for the sends under way: what is not recorded is sent again."""
        end = time.monotonic() + seconds
        with self._lock:
            threads = list(self._busy.values())
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    # -- one send ---------------------------------------------------------------------

    def _carry_out(self, row: Row, claimed_at: float) -> None:
        receiver, sent = row["receiver"], False
        try:
            sent = self._send(row, claimed_at)
        except StoreUnavailable as error:
            log.debug("%s; the notification %s may be sent twice", error, row["id"])
        except Exception:
            log.exception("the notification %s was not sent", row["id"])
        finally:
            with self._lock:
                self._busy.pop(receiver, None)
            if sent:
                self.woken.set()  # The next one for it need not wait for a tick.

    def _send(self, row: Row, claimed_at: float) -> bool:
        """Return whether the receiver was reached."""
        # Paused since, perhaps: another daemon may have it.
        if time.monotonic() - claimed_at > max(self._claim_s - SEND_S, self._claim_s / 2):
            return False
        try:
            told = self._reach(row)
        except NotSent as error:
            self._note_failure(row, error)
            return False
        crash_point("notification-sent")
        self._record(row, told)
        if told:
            log.warning("the notification %s to %s was %s", row["id"], row["receiver"], told)
        if row["tries"] > 1 or row["receiver"] in self._away:
            # Also after a change of daemons: the one before may have seen it away.
            self._away.discard(row["receiver"])
            log.info("%s can be notified again", row["receiver"])
            self._database.rows("hurry_notifications", receiver=row["receiver"])
        return True

    def _reach(self, row: Row) -> str | None:
        """Send, as `send` does; what nobody has thought of is a failure like others."""
        receiver = self._settings.receivers.get(row["receiver"])
        if receiver is None:
            raise NotSent(
                f'there is no receiver "{row["receiver"]}" in config.yaml any more'
                " (notifications.receivers)"
            )
        try:
            return send(message_of(row, self._public_url), receiver, self._settings)
        except NotSent:
            raise
        except Exception as error:
            log.exception("the notification %s was not sent", row["id"])
            raise NotSent(f"{type(error).__name__}: {error}", is_outage=False) from None

    def _record(self, row: Row, told: str | None) -> None:
        """Record that a receiver was reached, as soon as PostgreSQL answers.

        Until then the receiver stays busy: nothing is sent again because of an outage.
        """
        while True:
            try:
                self._end(row, "sent", told)
                return
            except StoreUnavailable as error:
                log.debug("%s; the end of the notification %s is recorded later", error, row["id"])
                time.sleep(_PAUSE_S)

    def _note_failure(self, row: Row, error: NotSent) -> None:
        why = shortened(redacted(str(error)), _MOST_ERROR)
        if error.is_final or row["age_s"] >= self._settings.give_up_after_s:
            self._end(row, "given_up", why)
            log.error(
                "gave up the notification %s (%s of %s) to %s after %d attempts: %s",
                row["id"], row["kind"], row["pipeline"], row["receiver"], row["tries"], why,
            )  # fmt: skip
            return
        wait_s = max(self._delay_s(row["tries"]), error.wait_s or 0.0)
        known = row["receiver"] in self._away
        if error.is_outage:
            self._away.add(row["receiver"])
        self._database.rows(
            "postpone_notification", id=row["id"], tries=row["tries"], wait_s=wait_s, error=why
        )
        say: Callable[..., None] = log.debug if known and error.is_outage else log.warning
        say("%s was not notified: %s; tried again in %g s", row["receiver"], why, wait_s)

    def _delay_s(self, tries: int) -> float:
        doubled = self._settings.retry_delay_s * 2.0 ** min(tries - 1, 20)
        return float(min(doubled, max(_LONGEST_DELAY_S, self._settings.retry_delay_s)))

    def _end(self, row: Row, status: str, error: str | None) -> None:
        self._database.rows(
            "end_notification", id=row["id"], tries=row["tries"], status=status, error=error
        )
