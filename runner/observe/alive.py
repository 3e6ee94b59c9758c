"""Shows that the loop of a daemon or worker turns, by the time of a file, for programs that watch.

An HTTP server would be one more thing to secure in processes that serve nobody. The file says
nothing about PostgreSQL or Redis: a restart of the process would cure neither.
"""

import logging
import time
from pathlib import Path

from headrace.errors import ConfigError

log = logging.getLogger("headrace")

_EVERY_S = 5.0


class _AliveFile:
    """The file of this process, if there is one."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.next = 0.0
        self.broken = False


_file = _AliveFile()


def show_in(path: Path | None) -> None:
    """Have `beat` touch this file from now on.

    Raises:
        ConfigError: It cannot be written.
    """
    _file.path, _file.next, _file.broken = path, 0.0, False
    if path is None:
        return
    try:
        path.touch()
    except OSError as error:
        raise ConfigError(f"alive_file: {path} cannot be written: {error.strerror}") from None


def beat() -> None:
    """Touch the file, every five seconds at most. Called once in each turn of the loop."""
    now = time.monotonic()
    if _file.path is None or now < _file.next:
        return
    _file.next = now + _EVERY_S
    try:
        _file.path.touch()
    except OSError as error:
        if not _file.broken:
            log.warning("alive_file: %s cannot be written: %s", _file.path, error.strerror)
        _file.broken = True
    else:
        _file.broken = False
