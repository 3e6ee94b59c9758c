"""One process tree: parts that are forked, watched, started again and stopped together.

The supervisor imports what the parts need, reads the pipelines' files for them, and keeps nothing
open, neither connection nor thread: the parts share its memory, and nothing else.
"""

import gc
import logging
import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import HeadraceError
from headrace.queue.process import die_with_parent, kill_group, reset_signals, signal_name

log = logging.getLogger("headrace.up")

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# Who has lived this long begins anew with short pauses.
_STABLE_S = 60.0
# The exit code of wrong usage or configuration: to start again would not help.
_HOPELESS = 2


@dataclass
class Part:
    """One process of the tree. `live` is its whole life; `once`: its end is no accident."""

    name: str
    live: Callable[[], int | None]
    once: bool = False
    pid: int = 0
    born: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    start_at: float = 0.0
    code: int | None = field(default=None)


class Supervisor:
    """Runs parts until a signal asks to stop, or one part ends that is there `once`."""

    def __init__(self, parts: Sequence[Part], *, patience_s: float = 7.0) -> None:
        """`patience_s` is how long the parts have to end before they are killed."""
        self._parts = list(parts)
        self._patience_s = patience_s
        self._asked = 0
        self._code: int | None = None

    def run(self) -> int:
        """Return the exit code: 0 after a signal, else of the part that ended it all."""
        reader, writer = os.pipe()
        for end in (reader, writer):
            os.set_blocking(end, False)
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)
        old_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        # What is there now is shared with the parts: the collector must not write to it.
        gc.collect()
        gc.freeze()
        try:
            self._watch(reader)
            self._stop(reader)
        finally:
            self._kill_all()
            signal.set_wakeup_fd(old_wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reader)
            os.close(writer)
        return self._code or 0

    @property
    def asked_to_stop(self) -> bool:
        """Return whether a signal has ended it."""
        return self._asked > 0

    # -- while all is well ------------------------------------------------------------

    def _watch(self, reader: int) -> None:
        while not self._asked and self._code is None:
            self._start_due()
            self._wait(reader, self._pause())
            for part in self._reap():
                self._ended(part)

    def _pause(self) -> float | None:
        """Seconds until a part has to be started again; None: only a signal matters."""
        due = [part.start_at for part in self._parts if not part.pid and part.code is None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _start_due(self) -> None:
        now = time.monotonic()
        for part in self._parts:
            if not part.pid and part.code is None and part.start_at <= now:
                self._fork(part)

    def _fork(self, part: Part) -> None:
        parent = os.getpid()
        part.born = time.monotonic()
        # A signal that comes before the part has its own handlers must wait, not get lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            # Whatever happens in here must never run the parent's code, its clean-up included.
            code = 1
            try:
                _become_part(parent, own_group=not part.once)
                code = part.live() or 0
            except HeadraceError as error:
                log.error("%s", error)
                code = error.exit_code
            except KeyboardInterrupt:
                code = 130
            except BaseException:
                log.exception("%s failed", part.name)
            finally:
                logging.shutdown()
                os._exit(code)
        if not part.once:
            with suppress(OSError):
                # In both, so that the group exists whoever comes first.
                os.setpgid(pid, pid)
        part.pid = pid
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _ended(self, part: Part) -> None:
        code = part.code
        assert code is not None
        if part.once or code == _HOPELESS:
            # As a shell has it: 128 and the signal's number.
            self._code = code if code >= 0 else 128 - code
            return
        if time.monotonic() - part.born > _STABLE_S:
            part.pause_s = _FIRST_PAUSE_S
        log.warning(
            "%s has exited (%s); restarting it in %g s", part.name, _reason(code), part.pause_s
        )
        part.start_at = time.monotonic() + part.pause_s
        part.pause_s = min(part.pause_s * 2, _LONGEST_PAUSE_S)
        part.code = None

    # -- the end ----------------------------------------------------------------------

    def _stop(self, reader: int) -> None:
        """Ask all parts to end, remind them at a second signal, kill them at the end."""
        asked = self._asked
        give_up = time.monotonic() + self._patience_s
        self._signal_all(signal.SIGTERM)
        while self._living() and time.monotonic() < give_up:
            self._wait(reader, give_up - time.monotonic())
            self._reap()
            if self._asked > max(asked, 1):
                # The second time a worker gives its jobs back at once.
                asked = self._asked
                give_up = min(give_up, time.monotonic() + 1.0)
                self._signal_all(signal.SIGTERM)

    def _kill_all(self) -> None:
        for part in self._living():
            log.warning("%s does not exit; killed it", part.name)
            kill_group(part.pid)
        for part in self._living():
            with suppress(ChildProcessError):
                os.waitpid(part.pid, 0)
            part.pid = 0

    def _signal_all(self, number: int) -> None:
        for part in self._living():
            with suppress(ProcessLookupError):
                # A client ends as it does at a terminal's Ctrl-C, with its last words.
                os.kill(part.pid, signal.SIGINT if part.once else number)

    def _living(self) -> list[Part]:
        return [part for part in self._parts if part.pid]

    # -- signals ----------------------------------------------------------------------

    def _reap(self) -> list[Part]:
        """Return the parts that have ended; what they left in their groups is killed."""
        ended = []
        for part in self._living():
            pid, status = os.waitpid(part.pid, os.WNOHANG)
            if pid:
                if not part.once:
                    kill_group(pid)
                part.pid, part.code = 0, os.waitstatus_to_exitcode(status)
                ended.append(part)
        return ended

    def _wait(self, reader: int, seconds: float | None) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            if selector.select(seconds):
                os.read(reader, 4096)

    def _on_signal(self, number: int, _frame: Any) -> None:
        if number != signal.SIGCHLD:
            self._asked += 1


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def _become_part(parent: int, *, own_group: bool) -> None:
    """Belong to the supervisor alone: a terminal's Ctrl-C goes to it, and it passes it on."""
    signal.set_wakeup_fd(-1)
    if own_group:
        os.setpgid(0, 0)
    die_with_parent(parent)
    reset_signals()
    if not own_group:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _reason(code: int) -> str:
    return f"signal {signal_name(-code)}" if code < 0 else f"exit code {code}"
