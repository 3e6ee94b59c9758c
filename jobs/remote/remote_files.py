"""Fetches remote files before they are read, and stores files that have been written whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Any, Self

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi.progress import open_metered
from headrace.jobs.files.text_files import FileSource
from headrace.jobs.remote.file_system import file_system, told
from headrace.jobs.remote.locations import Location, location_of

_WILD = "*?["


def refuse_remote(url: str) -> None:
    """Refuse a place that jobs may not reach, without asking it anything.

    Raises:
        StorageRefused, InvalidPayload: it is not listed, or the URL is none.
    """
    location_of(url)


@contextmanager
def fetched(url: str) -> Iterator[list[FileSource]]:
    """Give the files that a URL means, in the order of their names; they lie here meanwhile.

    A folder means the files in it, hidden ones left out; a pattern may have `**`. No transaction
    of the job is open while a server takes its time.

    Raises:
        JobFailure: a file is missing, or did not come whole.
    """
    location = location_of(url)
    with TemporaryDirectory(prefix="headrace-") as folder, file_system(location) as system:
        with told(url):
            found = _listed(system, location)
        sources = []
        for number, (path, size) in enumerate(found):
            name = _url_of(location, path)
            local = Path(folder) / f"{number}{''.join(PurePosixPath(path).suffixes[-2:])}"
            with told(name):
                system.get_file(path, str(local))
            if size is not None and local.stat().st_size != size:
                raise JobFailure(
                    f"{name}: {local.stat().st_size} of {size} bytes have come: the file has "
                    "changed meanwhile, or did not come whole"
                )
            sources.append(FileSource.at(local, name))
        yield sources


class StoredFiles:
    """Files of one export that are stored together, once all of them have been written here.

    An object appears with its last byte. On an SFTP server it has a hidden name until it is
    whole, which tells the job and the attempt.
    """

    def __init__(self, path: str) -> None:
        location_of(path)
        self._folder = TemporaryDirectory(prefix="headrace-")
        self._opened = 0
        self._written: dict[str, Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._store_all()
        finally:
            self._folder.cleanup()

    def _store_all(self) -> None:
        stored: list[str] = []
        for url, local in self._written.items():
            try:
                _store(url, local)
            except JobFailure as error:
                if not stored:
                    raise
                raise JobFailure(
                    f"{error}; of the export's {len(self._written)} files these are stored "
                    f"already, and a retry stores them again: {', '.join(stored)}"
                ) from error
            stored.append(url)

    @contextmanager
    def opened(self, url: str) -> Iterator[IO[bytes]]:
        """Give a file to write, which is stored when all are complete."""
        # Several may be open at once: those of a split are closed together.
        self._opened += 1
        local = Path(self._folder.name) / str(self._opened)
        with open_metered(local, "wb", jobapi.current().meter) as file:
            yield file
        self._written[url] = local


def _store(url: str, local: Path) -> None:
    """Store a file under a URL.

    Raises:
        JobFailure: the server refuses it, or has not taken all.
    """
    location = location_of(url)
    with file_system(location) as system, told(url):
        if location.scheme == "sftp":
            _put_by_name(system, local, location.path, jobapi.current())
        else:
            system.put_file(str(local), location.path)
        stored = system.info(location.path)["size"]
    if stored != local.stat().st_size:
        raise JobFailure(f"{url}: {stored} of {local.stat().st_size} bytes were stored")


def _put_by_name(system: Any, local: Path, path: str, attempt: jobapi.Attempt) -> None:
    folder, _, name = path.rpartition("/")
    system.makedirs(folder or "/", exist_ok=True)
    partial = f"{folder}/.{name[:80]}.{attempt.job_id}.{attempt.attempt}.part"
    try:
        system.ftp.put(str(local), partial)
        system.ftp.posix_rename(partial, path)
    except BaseException:
        with suppress(Exception):
            system.ftp.remove(partial)
        raise


def _listed(system: Any, location: Location) -> list[tuple[str, int | None]]:
    """Return paths and sizes of the files that a location means."""
    path = location.path
    if any(mark in path for mark in _WILD):
        found = system.glob(path, detail=True)
        fixed = path[: min(path.index(mark) for mark in _WILD if mark in path)].rpartition("/")[0]
    else:
        info = system.info(path)
        if info["type"] == "file":
            return [(path, info.get("size"))]
        fixed = path.rstrip("/")
        found = {one["name"]: one for one in system.ls(path, detail=True)}
    return sorted(
        (str(name), info.get("size"))
        for name, info in found.items()
        if info["type"] == "file" and not _is_hidden(os.path.relpath(str(name), fixed or "/"))
    )


def _is_hidden(relative: str) -> bool:
    return any(part.startswith(".") for part in relative.split("/"))


def _url_of(location: Location, path: str) -> str:
    if location.scheme == "sftp":
        return f"sftp://{location.place}/{path.lstrip('/')}"
    return f"{location.scheme}://{path}"
