"""Reading a file that may be none: never waiting, never more than a bound."""

import errno
import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


class NotRegular(OSError):
    """The path names no regular file; `strerror` says what it is."""


class TooLarge(OSError):
    """The file is larger than it may be."""


def read_regular(path: Path, most_bytes: int) -> bytes:
    """Return a regular file's bytes.

    Whoever opens a named pipe waits for its writer, perhaps for ever, and a device has no end: so
    what is no regular file is not opened, and what has become one meanwhile is not waited for.

    Raises:
        NotRegular: It is something else.
        TooLarge: It has more than `most_bytes`; it was not read to its end.
        OSError: It cannot be read.
    """
    _refuse_others(path, path.stat().st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        _refuse_others(path, status.st_mode)
        # One byte more than allowed: it may have grown.
        content = b"" if status.st_size > most_bytes else stream.read(most_bytes + 1)
    if status.st_size > most_bytes or len(content) > most_bytes:
        raise TooLarge(errno.EFBIG, f"is larger than {most_bytes // 1_000_000} MB", str(path))
    return content


def _refuse_others(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((kind for is_one, kind in _KINDS if is_one(mode)), "no regular file")
        raise NotRegular(errno.EINVAL, f"is {kind}", str(path))
