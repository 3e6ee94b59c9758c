"""Named points at which a test has a process die, or stop for a while.

`HEADRACE_CRASH_POINT=name` arms one, `HEADRACE_CRASH_ONCE=path` lets only the first process
that gets there die: it leaves the file behind. `HEADRACE_CRASH_SIGNAL=STOP` pauses it instead,
`HEADRACE_CRASH_PARENT=1` means its parent as well. Off, a point is one comparison.
"""

import os
import signal

_ARMED = os.environ.get("HEADRACE_CRASH_POINT")
_ONCE = os.environ.get("HEADRACE_CRASH_ONCE")
_SIGNAL = signal.Signals[f"SIG{os.environ.get('HEADRACE_CRASH_SIGNAL', 'KILL')}"]
_PARENT = "HEADRACE_CRASH_PARENT" in os.environ


def is_armed(name: str) -> bool:
    """Return whether a process is to die there: within a message it cannot."""
    return name == _ARMED


def crash_point(name: str) -> None:
    """Die here by SIGKILL where this point is armed."""
    if _ARMED is None or name != _ARMED:
        return
    if _ONCE is not None:
        try:
            os.close(os.open(_ONCE, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
    if _PARENT:
        os.kill(os.getppid(), _SIGNAL)
    os.kill(os.getpid(), _SIGNAL)
