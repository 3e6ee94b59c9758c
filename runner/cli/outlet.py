"""Standard output as it may be: closed, full, or of another encoding. No reason for a traceback."""

import errno
import io
import os
import sys

# What writing to a full disk, a dead terminal or a closed descriptor gives.
_OF_OUTPUT = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT, errno.EFBIG)


def prepare() -> None:
    """Open what was closed, and have characters that the encoding lacks written as escapes."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The next file or connection would get this number, the lowest that is free, and what
            # is printed. Programs that are started get it, too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_of_output(error: OSError) -> bool:
    """Return whether an error says that standard output takes nothing more."""
    return error.filename is None and error.errno in _OF_OUTPUT


def silence() -> None:
    """Have what is still to be written, now and at the interpreter's end, go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def encodes_everything() -> bool:
    """Return whether standard output can hold every character as it is."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")


def flush() -> None:
    """Write what is left; where that cannot be, nobody is told of it once more."""
    try:
        sys.stdout.flush()
    except OSError:
        silence()
