"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi.progress import open_metered


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

    Missing folders are made. The file is hidden until then, and its name tells the job and the
    attempt: what a killed attempt leaves is removed by the job's next one, or by the daemon.

    Raises:
        JobFailure: another attempt of the job has taken over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    attempt = jobapi.current()
    own = f".{attempt.job_id}.{attempt.attempt}.part"
    for left in path.parent.glob(f".*.{attempt.job_id}.*.part"):
        if not left.name.endswith(own):  # A job may write several files.
            left.unlink(missing_ok=True)
    partial = path.with_name(partial_name(path.name, attempt.job_id, attempt.attempt))
    try:
        with open_metered(partial, "wb", attempt.meter) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except FileNotFoundError as error:
        if error.filename != str(partial):
            raise
        raise JobFailure(f"{path.name}: a newer attempt of this job is writing it") from None
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def partial_name(name: str, job_id: str, attempt: int) -> str:
    """Return how a file is called while a job writes it."""
    return f".{name[:80]}.{job_id}.{attempt}.part"
