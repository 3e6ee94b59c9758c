"""Folders in memory for the data of servers that many tests share.

A database of one's own is three hundred files, made and removed 2,500 times: on a disk that costs
twice as much computing as in memory, seven times as much where others write to it, too.
What a killed run has left in memory is removed by the next one.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_MEMORY = Path("/dev/shm")
# A container has 64 MB there if nothing else is asked for; four processes take half of this.
_LEAST_FREE_BYTES = 4 << 30


def new_folder(prefix: str) -> Path:
    """Make a folder in memory, or beside other temporary files where there is too little of it."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_of_this_process()))


@contextmanager
def memory_folder(prefix: str) -> Iterator[Path]:
    """Yield such a folder, which is removed at the end."""
    folder = new_folder(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _of_this_process() -> Path | None:
    """The folder in memory that this process keeps locked while it lives."""
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _LEAST_FREE_BYTES:
        return None
    base = _MEMORY / f"headrace-tests-{os.geteuid()}"
    base.mkdir(exist_ok=True)
    base.chmod(0o755)  # Whatever mask a test has left: some servers run under another account.
    with _locked(base):
        for other in base.iterdir():
            if _is_left(other):
                shutil.rmtree(other, ignore_errors=True)
        own = Path(tempfile.mkdtemp(dir=base))
        own.chmod(0o755)
        fcntl.flock(os.open(own, os.O_RDONLY), fcntl.LOCK_EX)
    return own


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_left(folder: Path) -> bool:
    """Tell whether nobody holds its lock any more."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
