"""Starting, watching and ending the servers' processes."""

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headrace.store.embedded.place import Place, open_log, refuse
from headrace.store.readiness import is_ready

_LAUNCHER = Path(__file__).with_name("launch.py")
_POLL_S = 0.01
SELF = "self"


def run(
    identity: str, command: Sequence[str], *, cwd: Path, given: str = ""
) -> tuple[int, str, str]:
    """Run a program to its end under an identity; returns its exit code and what it said.

    That is its standard output, and its standard error or what there was instead.
    """
    done = subprocess.run(
        _launch(identity, "run", command),
        cwd=cwd, env=_environment(), input=given, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, (done.stderr or done.stdout).strip()


class Starting:
    """A server that was just started: a pipe, held open by its processes, says when it is gone."""

    def __init__(
        self, place: Place, server: str, identity: str, command: Sequence[str], cwd: Path
    ) -> None:
        self._place, self._server = place, server
        self._gone, kept = os.pipe()
        log = open_log(place, server)
        try:
            launched = subprocess.run(
                _launch(identity, "detach", command),
                cwd=cwd, env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=(kept,), start_new_session=True, check=False,
            )  # fmt: skip
        finally:
            os.close(kept)
            os.close(log)
        if launched.returncode != 0:
            raise self._failed("could not be launched")

    def wait(self, ready: Callable[[], bool], *, limit_s: float) -> bool:
        """Wait until the server is ready. Returns False if it ended before that.

        Raises:
            EmbeddedError: it is neither ready nor gone after `limit_s` seconds.
        """
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            if ready():
                return True
            if is_ready(self._gone, within_s=_POLL_S):
                return ready()
        raise self._failed(f"is not ready after {limit_s:.0f} s")

    def close(self) -> None:
        """Stop watching; the server is left alone."""
        os.close(self._gone)

    def _failed(self, cause: str) -> Exception:
        return refuse(self._place.home, f"{self._server} {cause}", self._place.log(self._server))


def acceptable_identity(data: Path, paths: Sequence[Path]) -> str:
    """Return under which identity PostgreSQL can work on `data`; it refuses to run as root.

    As root, a user namespace is tried first: inside it we are `nobody`, outside and on disk
    nothing changes. Where namespaces are forbidden (in many containers), the data is given to
    `nobody` instead, and nothing else. What was given away so stays `nobody`'s.

    Raises:
        EmbeddedError: neither is possible here.
    """
    holder = data.stat().st_uid if data.exists() else os.geteuid()
    if os.geteuid() != 0:
        return SELF if _known(os.geteuid()) or data.exists() else _namespace()
    if holder != 0:
        return _user(holder)
    said = []
    for identity in (_namespace(), _user(_nobody())):
        failure = _check(identity, paths)
        if failure is None:
            return identity
        said.append(f"{identity}: {failure}")
    cause = "PostgreSQL does not run as root, and no alternative works here (" + "; ".join(said)
    raise refuse(data.parent, cause + "). Running as an ordinary user also helps.")


def user_to_become(identity: str) -> int | None:
    """Return the user id that an identity has on disk, None where it is our own."""
    kind, *numbers = identity.split(":")
    return int(numbers[0]) if kind == "setuid" else None


def listens(path: Path) -> bool:
    """Return whether anybody holds a Unix socket open, even one who does not answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # its queue is full, or it is a stranger's
            return True
    return True


def alive(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return Path("/proc/self/stat").exists() is False


def end(pid: int, steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Send each signal in turn and wait its seconds for the process to go."""
    for number, patience_s in steps:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        limit = time.monotonic() + patience_s
        while alive(pid):
            if time.monotonic() > limit:
                break
            time.sleep(_POLL_S)
        else:
            return


def _launch(identity: str, action: str, command: Sequence[str]) -> list[str]:
    return [sys.executable, "-I", "-S", str(_LAUNCHER), identity, action, *command]


def _check(identity: str, paths: Sequence[Path]) -> str | None:
    done = subprocess.run(
        _launch(identity, "check", [str(path) for path in paths]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return None
    return done.stderr.strip() or "cannot enter " + " or ".join(str(path) for path in paths)


def _environment() -> dict[str, str]:
    # Not ours: PGDATA, PGOPTIONS and the like would steer these servers, and their processes
    # would show our secrets in their environment.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _known(uid: int) -> bool:
    # initdb asks for the name of its user and gives up where there is none.
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _nobody() -> int:
    others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    named = [entry.pw_uid for entry in others if entry.pw_name == "nobody"]
    return (named or [entry.pw_uid for entry in others] or [65534])[0]


def _namespace() -> str:
    return f"userns:{_nobody()}"


def _user(uid: int) -> str:
    gid = pwd.getpwuid(uid).pw_gid if _known(uid) else uid
    return f"setuid:{uid}:{gid}"
