"""Starts the embedded servers again where one of them has died while somebody uses them.

The system ends a process that takes too much memory, and a person may kill the wrong one.
Daemon and workers outlive that, as they outlive any outage, but only if a server comes back.
"""

import logging
import time
from pathlib import Path

from headrace.errors import EmbeddedError
from headrace.store.embedded import find, start
from headrace.store.embedded.place import bound_log, place_of

log = logging.getLogger("headrace.up")

_LOOK_EVERY_S = 1.0
_LONGEST_PAUSE_S = 30.0


def keep_running(home: Path) -> None:
    """Look after the servers of `home` until this process is ended."""
    place = place_of(home)
    pause_s = _LOOK_EVERY_S
    said = ""
    while True:
        time.sleep(pause_s)
        for server in ("postgres", "valkey"):
            bound_log(place, server)
        if find(home) is not None:
            pause_s, said = _LOOK_EVERY_S, ""
            continue
        try:
            log.warning("an embedded server has exited; restarting it")
            start(home)
        except EmbeddedError as error:
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            if str(error) != said:
                log.error("%s", error)
                said = str(error)
        else:
            log.warning("the embedded servers are running again")
