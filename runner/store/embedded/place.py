"""Locates files inside `HEADRACE_HOME`, and checks that the folder is ours."""

import contextlib
import hashlib
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import EmbeddedError
from headrace.store.embedded.home import why_not_ours

# A Unix socket's path ends at 107 bytes on Linux and at 103 on macOS.
_MAX_SOCKET_PATH = 103
_LONGEST_SOCKET_NAME = len("/.s.PGSQL.5432.lock")
# Beyond these, a path means something else to libpq (a comma separates hosts) or to a server's
# own argument parser.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/@+=~ -]+")
_MAX_LOG_BYTES = 10 * 1024 * 1024
_REMEDY = "Set DATABASE_URL and REDIS_URL to use your own servers, or choose another HEADRACE_HOME."


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one pair of embedded servers; every path is absolute and resolved."""

    home: Path
    sockets: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.home / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's working folder."""
        return self.home / "valkey"

    def log(self, server: str) -> Path:
        """Return the log file of one server."""
        return self.home / "log" / f"{server}.log"


def place_of(home: Path) -> Place:
    """Return the places of `home`. The sockets' folder follows from the path alone.

    So two processes agree on it without asking each other, whatever their environment, and a
    copied home can never point at the sockets of the original.
    """
    resolved = home.expanduser().resolve()
    inside = resolved / "run"
    length = len(os.fsencode(inside)) + _LONGEST_SOCKET_NAME
    if length <= _MAX_SOCKET_PATH and _PLAIN_PATH.fullmatch(str(inside)):
        return Place(resolved, inside)
    digest = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:16]
    return Place(resolved, Path("/tmp") / f"headrace-{digest}")  # noqa: S108 - checked by _private


def prepare(place: Place) -> None:
    """Create the folders, none of them open to other users.

    Raises:
        EmbeddedError: a folder cannot be made, or is somebody else's.
    """
    check(place)
    try:
        place.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (place.valkey, place.log("postgres").parent, place.sockets):
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
    except OSError as error:
        raise refuse(place.home, f"cannot be prepared: {error.strerror}") from error
    check(place)
    _private(place.sockets)


def check(place: Place) -> None:
    """Refuse a home that is there and not ours.

    Raises:
        EmbeddedError: it belongs to another user, or everybody may write into it.
    """
    wrong = why_not_ours(place.home) if place.home.exists() else None
    if wrong:
        raise refuse(place.home, wrong)


def _private(folder: Path) -> None:
    # PostgreSQL trusts everybody who reaches its socket, so nobody else may reach this folder,
    # and nobody else may have made it (under /tmp, anybody could have).
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise refuse(folder, f"should be a folder of user id {os.geteuid()}, and is not")
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def open_log(place: Place, server: str) -> int:
    """Open a server's log for appending; a file above 10 MB is set aside first, one is kept."""
    path = place.log(server)
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def bound_log(place: Place, server: str) -> None:
    """Set the log of a running server aside where it is above 10 MB: copied, then emptied.

    The server goes on writing to the file that it has open; it appends, so that it begins anew.
    """
    path = place.log(server)
    with contextlib.suppress(OSError):
        if path.stat().st_size > _MAX_LOG_BYTES:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            path.with_suffix(".log.1").chmod(0o600)
            os.truncate(path, 0)


def refuse(where: Path, cause: str, log: Path | None = None) -> EmbeddedError:
    """Word an error: the place, the cause, the last lines of the log, and what can be done."""
    lines = [f"{where}: {cause}"]
    if log is not None and log.exists():
        lines.append(f"The last lines of {log}:")
        lines.extend(f"  {line}" for line in _tail(log))
    lines.append(_REMEDY)
    return EmbeddedError("\n".join(lines))


def _tail(path: Path, lines: int = 12, most_bytes: int = 8192) -> list[str]:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most_bytes))
        return file.read().decode(errors="replace").splitlines()[-lines:]
