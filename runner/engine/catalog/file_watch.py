"""Looking at files in a thread, so that a disk that hangs stops nobody.

A file on a network mount whose server is gone keeps whoever looks at it for as long as it likes,
and no signal ends that. So a thread looks, and others wait for it only so long.
"""

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("headrace.engine")

_SAY_AFTER_S = 5.0


class BackgroundLook:
    """Runs `look` in a thread, one at a time. `what` names what is looked at."""

    def __init__(self, look: Callable[[], bool], *, what: str) -> None:
        self._look = look
        self._what = what
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._began = 0.0
        self._changed = False
        self._error: BaseException | None = None
        self._said = False

    def changed(self, *, patience_s: float | None) -> bool:
        """Look, and return whether anything has changed that was not told of yet.

        Waits at most `patience_s` seconds since the look began, without end where it is None; a
        look that takes longer goes on, and its outcome is told to a later caller.
        """
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._began = time.monotonic()
                self._thread.start()
            thread, began = self._thread, self._began
        self._wait(thread, began, patience_s)
        with self._lock:
            error, self._error = self._error, None
            changed, self._changed = self._changed, False
        if error is not None:
            raise error
        return changed

    @property
    def pending(self) -> bool:
        """Return whether a look goes on, or has an outcome that nobody was told of yet."""
        with self._lock:
            at_work = self._thread is not None and self._thread.is_alive()
            return at_work or self._changed or self._error is not None

    def _wait(self, thread: threading.Thread, began: float, patience_s: float | None) -> None:
        while True:
            age_s = time.monotonic() - began
            if patience_s is not None and age_s >= patience_s:
                break
            rest_s = _SAY_AFTER_S if patience_s is None else patience_s - age_s
            thread.join(rest_s)
            if not thread.is_alive():
                if self._said:
                    log.warning("%s can be read again", self._what)
                self._said = False
                return
            if patience_s is None:
                self._say("nothing has been read yet")
        self._say("what was read before stays active until then")

    def _say(self, meanwhile: str) -> None:
        if not self._said:
            self._said = True
            log.warning(
                "reading %s takes long (many files, or a mount that hangs?); %s",
                self._what,
                meanwhile,
            )

    def _run(self) -> None:
        try:
            changed = self._look()
        except BaseException as error:  # noqa: BLE001 - the caller's, whatever it is
            with self._lock:
                self._error = error
        else:
            with self._lock:
                self._changed = self._changed or changed
