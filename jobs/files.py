"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from runner import jobapi


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
    return jobapi.current().resolve_path(relative)


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """Give a file that becomes `path` when the block ends, and vanishes where it fails.

    Missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        written = Path(file.name)
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            written.chmod(0o644)
            written.replace(path)
        except BaseException:
            written.unlink(missing_ok=True)
            raise
