"""Finds, adopts and ends the descendants of a process.

A group or a session can be left (`setsid`), descent cannot: on Linux a process may adopt those
of its descendants whose own parent has died, so that they stay below it in the tree. Elsewhere
(macOS) nothing is adopted or found here.
"""

import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_LINUX = sys.platform.startswith("linux")
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37


@dataclass(frozen=True, slots=True)
class Process:
    """One process; `birth` is in clock ticks since boot. A zombie has ended already."""

    pid: int
    parent: int
    birth: int
    zombie: bool


def read_process(pid: int | str) -> Process | None:
    """Return a process of this host, None where there is none, or no /proc."""
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        stat = os.read(file, 4096)
    except OSError:
        # It has ended since.
        return None
    finally:
        os.close(file)
    # The name in parentheses may hold spaces and parentheses: count from its end.
    fields = stat.rpartition(b")")[2].split(None, 20)
    return Process(int(pid), int(fields[1]), int(fields[19]), fields[0] in (b"Z", b"X"))


def descendants(root: int, spare: Collection[int] = ()) -> list[Process]:
    """Return all that descends from a process, without those in `spare` and their descendants.

    Reads all of /proc, some ten microseconds a process of the host.
    """
    below: dict[int, list[Process]] = {}
    for process in _all():
        below.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    known = read_process(root)
    waiting = [known] if known else []
    while waiting:
        parent = waiting.pop()
        for process in below.get(parent.pid, ()):
            # Who is older than its parent was read before the parent's number was used again.
            if process.pid not in spare and process.birth >= parent.birth:
                found.append(process)
                waiting.append(process)
    return found


def _all() -> Iterator[Process]:
    if not _LINUX:
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 - a Path for each would be half the time
        if name.isdecimal() and (process := read_process(name)) is not None:
            yield process


def kill(process: Process) -> bool:
    """SIGKILL a process, unless its number is another one's by now.

    Returns False where it may not be killed; True also where it has ended by itself.
    """
    present = read_process(process.pid)
    if present is not None and present.birth == process.birth:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
    return True


def adopt_orphans(yes: bool = True) -> None:
    """Have this process become the parent of its orphaned descendants; Linux only.

    It holds for the whole process, through exec, and is not inherited by a fork.
    """
    if _LINUX:
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Adopt orphans for a while, see `adopt_orphans`."""
    if _adopts_orphans():
        yield
        return
    adopt_orphans()
    try:
        yield
    finally:
        adopt_orphans(False)


def _adopts_orphans() -> bool:
    if not _LINUX:
        return True
    import ctypes

    found = ctypes.c_int(1)
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(found), 0, 0, 0)
    return bool(found.value)


class Strays:
    """Ends what this process has adopted. What are its children at the start are none."""

    def __init__(self) -> None:
        self._others = _children()

    def end(self, spare: Collection[int] = ()) -> bool:
        """Kill, once, all descendants but those in `spare` and below, and reap the dead.

        Returns whether there were any: they may have started others meanwhile, so ask again.
        """
        any_left = False
        for stray in descendants(os.getpid(), {*spare, *self._others}):
            any_left |= _reap(stray) if stray.zombie else kill(stray)
        return any_left


def _children() -> frozenset[int]:
    own = os.getpid()
    return frozenset(process.pid for process in _all() if process.parent == own)


def _reap(zombie: Process) -> bool:
    if zombie.parent != os.getpid():
        return False
    try:
        return os.waitpid(zombie.pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def reap_adopted() -> None:
    """Reap every child that has ended: for a moment in which nobody waits for one."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
