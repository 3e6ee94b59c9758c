"""Processes of this host: who they are, and how they die with their parent."""

import ctypes
import hashlib
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from headrace.queue.process_tree import descendants, kill, read_process

_PR_SET_PDEATHSIG = 1


def birth_ticks(pid: int) -> int | None:
    """Return when a process began, in clock ticks since boot; None where there is none.

    With the pid it names one process for ever: pids are used again, birth and pid are not.
    Where there is no /proc (macOS) a living process has birth 0.
    """
    process = read_process(pid)
    if process is None:
        return 0 if not sys.platform.startswith("linux") and _alive(pid) else None
    return None if process.zombie else process.birth


def host_mark() -> str:
    """Return a mark of this boot of this host and of its process namespace, four hex digits.

    Two containers may share a hostname, and each see the other's pids as nobody's.
    """
    parts = []
    for name in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        path = Path(name)
        with suppress(OSError):
            parts.append(str(path.readlink()) if path.is_symlink() else path.read_text("ascii"))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:4]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory in bytes, 0 where it cannot be told."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def runnable_ns(pid: int) -> int | None:
    """Return the processor time, in nanoseconds, of a process that runs or waits for a processor.

    None if it sleeps, is stopped or has ended, and where there is no /proc.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        if stat.rpartition(")")[2].split()[0] != "R":
            return None
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])
    except (OSError, IndexError, ValueError):
        return None


def signal_name(number: int) -> str:
    """Return what a signal is called: Python knows two of the real-time ones."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN{number - signal.SIGRTMIN:+d}"


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies; Linux only."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have died before the call above.
    if os.getppid() != parent_pid:
        os._exit(1)


def kill_group(pid: int, signal_number: int = signal.SIGKILL) -> None:
    """Send a signal to a process and to all that it started in its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal_number)
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal_number)


def kill_tree(pid: int) -> None:
    """SIGKILL a process, its group, and all that descends from it in whatever session."""
    # Looked up before: whose parent has died descends from another one.
    found = descendants(pid)
    kill_group(pid)
    for process in found:
        kill(process)


def reset_signals() -> None:
    """Undo what a supervising process has installed, in a process forked from it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def process_name() -> str:
    """Return a name for this process that no other one ever has.

    Its last part begins with the host's mark: see `Recovery`, which looks at processes.
    """
    return f"{socket.gethostname()[:24]}.{os.getpid()}.{host_mark()}{uuid4().hex[:6]}"


def has_ended(name: str) -> bool:
    """Return whether the process of a name lived on this host and is gone; False where unknown."""
    host, pid, mark = [*name.rsplit(".", 2), "", ""][:3]
    here = host == socket.gethostname()[:24] and mark.startswith(host_mark())
    return here and pid.isdigit() and birth_ticks(int(pid)) is None
