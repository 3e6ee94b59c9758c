"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi.progress import open_metered

# A name has 255 bytes at most, a character up to four.
_NAME_CHARACTERS = 40
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def to_read(relative: str) -> Path:
    """Return what a path of a step means for reading.

    Raises:
        JobFailure: it leads where nothing may be read.
    """
    return jobapi.current().resolve_path(relative)


def to_write(relative: str) -> Path:
    """Return where a path of a step means to write.

    Raises:
        JobFailure: it leads where nothing may be written.
    """
    return jobapi.current().output_path(relative)


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Give a file that becomes `path` when the block ends, and vanishes where it fails.

    Raises:
        JobFailure: another attempt of the job has taken over.
    """
    with hidden_file(path) as (partial, file):
        yield file
    appear(partial, path)


@contextmanager
def hidden_file(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Give a hidden file beside `path`: complete when the block ends, gone where it fails.

    Missing folders are made. The name tells the job and the attempt: what a killed attempt leaves
    is removed by the job's next one, or by the daemon.

    Raises:
        JobFailure: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    attempt = jobapi.current()
    _remove_earlier(path.parent, attempt.job_id, attempt.attempt)
    partial = path.with_name(partial_name(path.name, attempt.job_id, attempt.attempt))
    try:
        with open_metered(partial, "wb", attempt.meter) as file:
            yield partial, file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise JobFailure(
                f"{path.name} cannot be written to {path.parent}: {error.strerror}; nothing of it "
                "is kept. Make room there, or name another folder in `output_folders`"
            ) from None
        raise
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def appear(partial: Path, path: Path) -> None:
    """Let a complete hidden file be `path`, in place of what is there.

    Raises:
        JobFailure: another attempt of the job has taken over.
    """
    try:
        partial.replace(path)
    except FileNotFoundError:
        raise JobFailure(f"{path.name}: a newer attempt of this job is writing it") from None
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _remove_earlier(folder: Path, job_id: str, attempt: int) -> None:
    for left in folder.glob(f".*.{job_id}.*.part"):
        number = left.name.split(".")[-2]
        # A job may write several files; and an attempt that wakes up late removes no newer one's.
        if number.isdecimal() and int(number) < attempt:
            left.unlink(missing_ok=True)


def partial_name(name: str, job_id: str, attempt: int) -> str:
    """Return how a file is called while a job writes it: short enough, and no other file's."""
    if len(name) > _NAME_CHARACTERS:
        name = f"{name[:_NAME_CHARACTERS]}-{sha256(name.encode()).hexdigest()[:12]}"
    return f".{name}.{job_id}.{attempt}.part"
