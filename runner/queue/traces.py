"""Asks a child for its Python stack by a signal, before it is killed.

The C-level handler of `faulthandler` answers even while the interpreter waits in a driver or
an extension; only a process that is stopped altogether does not.
"""

import faulthandler
import os
import signal
import tempfile
import time

_WAIT_S = 0.2
_MOST_BYTES = 20_000


class Traces:
    """One scratch file a child, made before the first fork."""

    def __init__(self, count: int) -> None:
        # Open for as long as the worker lives.
        self._files = [tempfile.TemporaryFile() for _ in range(count)]  # noqa: SIM115

    def listen(self, index: int) -> None:
        """In the child: answer to SIGUSR1."""
        faulthandler.register(signal.SIGUSR1, file=self._files[index], all_threads=True)

    def ask(self, pid: int, index: int) -> str:
        """Return the child's stack as text, empty where it does not answer in time."""
        file = self._files[index]
        os.ftruncate(file.fileno(), 0)
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        try:
            os.kill(pid, signal.SIGUSR1)
        except ProcessLookupError:
            return ""
        give_up = time.monotonic() + _WAIT_S
        size = -1
        while time.monotonic() < give_up:
            time.sleep(0.02)
            previous, size = size, os.fstat(file.fileno()).st_size
            if size > 0 and size == previous:
                break
        return os.pread(file.fileno(), _MOST_BYTES, 0).decode(errors="replace")
