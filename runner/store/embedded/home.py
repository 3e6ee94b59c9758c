"""`HEADRACE_HOME`: a folder of one's own, and the token in it.

Whoever owns the folder decides which data and which server Headrace works with, so it has to
belong to the user who runs it. Root is no exception: a folder that another user has put in its
way would have root execute that user's jobs.
"""

import os
import pwd
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from headrace.errors import ConfigError

TOKEN_FILE = "token"  # noqa: S105 - its name
# A shorter one can be guessed over a network.
SHORTEST_TOKEN = 8

_TOKEN_BYTES = 32


def why_not_ours(home: Path) -> str | None:
    """Return why an existing home cannot be used, None where it can; links are followed."""
    found = home.stat()
    if not stat.S_ISDIR(found.st_mode):
        return "is not a folder"
    if found.st_uid != os.geteuid():
        owner = _name(found.st_uid)
        return f"belongs to {owner}: run Headrace as {owner}, or choose another HEADRACE_HOME"
    if found.st_mode & stat.S_IWOTH:
        return "everybody can write to it: run chmod o-w, or choose another HEADRACE_HOME"
    return None


def claim(home: Path) -> None:
    """Make the folder, open to nobody else, or check the one that is there.

    Raises:
        ConfigError: It cannot be made, or is not ours.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        wrong = why_not_ours(home)
    except OSError as error:
        wrong = f"cannot be created: {error.strerror}; choose another HEADRACE_HOME"
    if wrong:
        raise ConfigError(f"{home}: {wrong}")


def token_of(home: Path) -> str:
    """Return the token of this home; it is made at the first call.

    Raises:
        ConfigError: The home, or the file, is not ours alone.
    """
    claim(home)
    file = home / TOKEN_FILE
    try:
        if not os.path.lexists(file):
            _make(file)
        return _read(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be used: {error.strerror}") from None


def _make(file: Path) -> None:
    """Make the file whole or not at all; of several processes, the first one's stays."""
    draft = file.with_name(f".{TOKEN_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{secrets.token_urlsafe(_TOKEN_BYTES)}\n".encode())
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        os.close(descriptor)
        draft.unlink()


def _read(file: Path) -> str:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as opened:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise ConfigError(
                f"{file}: does not belong to Headrace; remove it, and a new one is created"
            )
        if found.st_mode & 0o077:
            raise ConfigError(
                f"{file}: other users can read it; remove it, and a new one is created"
            )
        token = opened.read(1000).strip()
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(f"{file}: contains no token; remove it, and a new one is created")
    return token


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"
