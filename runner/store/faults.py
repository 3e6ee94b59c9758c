"""Named points at which a test has a process die.

`HEADRACE_CRASH_POINT=name` arms one, `HEADRACE_CRASH_ONCE=path` lets only the first process
that gets there die: it leaves the file behind. Off, a point is one comparison.
"""

import os
import signal

_ARMED = os.environ.get("HEADRACE_CRASH_POINT")
_ONCE = os.environ.get("HEADRACE_CRASH_ONCE")


def crash_point(name: str) -> None:
    """Die here by SIGKILL where this point is armed."""
    if _ARMED is None or name != _ARMED:
        return
    if _ONCE is not None:
        try:
            os.close(os.open(_ONCE, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
