"""The dead man's switch: a URL that is called while all is well, and not called otherwise."""

import logging
import threading
import time

from headrace.errors import HeadraceError
from headrace.jobapi.outbound.allowed_hosts import OF_NOTIFICATIONS, AllowedHosts
from headrace.jobapi.outbound.http_call import Call, call
from headrace.model.notifications import Heartbeat
from headrace.observe.redaction import redacted
from headrace.queue.sender import Sender
from headrace.store.database import Database

log = logging.getLogger("headrace.daemon")

# A worker's heartbeat is believed in for this long.
_LEASE_S = 10.0
_CALL_S = 20.0


class HeartbeatCaller:
    """Calls the URL in an own thread, as often as its interval says."""

    def __init__(
        self,
        heartbeat: Heartbeat,
        allowed_hosts: tuple[str, ...],
        database: Database,
        sender: Sender,
    ) -> None:
        self._heartbeat = heartbeat
        self._allowed = AllowedHosts(allowed_hosts, OF_NOTIFICATIONS)
        self._database = database
        self._sender = sender
        self._next = 0.0
        self._thread: threading.Thread | None = None
        self._said = ""

    def tick(self, term: int) -> None:
        """Call the URL if its time has come and all is well."""
        if time.monotonic() < self._next or (self._thread and self._thread.is_alive()):
            return
        self._next = time.monotonic() + self._heartbeat.interval_s
        self._thread = threading.Thread(
            target=self._beat, args=(term,), name="heartbeat", daemon=True
        )
        self._thread.start()

    def _beat(self, term: int) -> None:
        try:
            ailments = self._ailments(term)
            if ailments:
                self._say(f"the heartbeat is not sent: {'; '.join(ailments)}")
                return
            call(Call(self._heartbeat.url, method="GET"), self._allowed, _CALL_S)
        except HeadraceError as error:
            self._say(f"the heartbeat was not taken: {redacted(str(error))}")
            return
        except Exception:
            log.exception("the heartbeat was not sent")
            return
        if self._said:
            log.info("the heartbeat is sent again")
        self._said = ""

    def _ailments(self, term: int) -> list[str]:
        """Return what is not well.

        Raises:
            StoreUnavailable, QueueUnavailable: A server does not answer.
        """
        rows = self._database.rows("ails", lease_s=_LEASE_S, term=term)
        self._sender.ping()
        return [row["why"] for row in rows][:3]

    def _say(self, text: str) -> None:
        if text != self._said:
            log.warning("%s", text)
        self._said = text
