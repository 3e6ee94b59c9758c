"""The files of job classes, so that a process with other ones than those on disk is found.

Python imports a file once: a daemon or worker that runs goes on with what it has loaded.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.declarations.calendar_files import Stamp, stamp
from headrace.engine.catalog.file_watch import BackgroundLook

if TYPE_CHECKING:
    from headrace.engine.catalog.job_registry import Registry
    from headrace.store.database import Transaction

log = logging.getLogger("headrace.daemon")

_LIVING = timedelta(seconds=15)
_EVERY_S = 5.0
# Shorter than the lease: the disk may hang.
_PATIENCE_S = 1.0
_DAEMON = (
    "job files have changed since this daemon loaded them: it does not know new classes and"
    " parameters; restart it"
)


def folders_of(names: Iterable[str], project: Path | None) -> list[Path]:
    """Return where the packages' files lie, a project's own `jobs/` among them; none is run."""
    found = [project] if project is not None else []
    for name in names:
        try:
            spec = find_spec(name.partition(".")[0])
        except (ImportError, ValueError):
            continue  # Told where a class of it is named.
        found += [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    return list(dict.fromkeys(folder.resolve() for folder in found if folder.is_dir()))


def digest_of(folders: Iterable[Path]) -> str:
    """Return a short digest of all Python files below the folders, the same on every host."""
    parts = sorted(
        f"{path[len(root) + 1 :]} {_content(path, stamp(path))}"
        for root in map(str, folders)
        for path in _python_files(root)
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def others(workers: Iterable[Mapping[str, Any]], digest: str) -> Sequence[str]:
    """Return the names of the workers that live and have loaded other files."""
    now = datetime.now(UTC)
    return [
        row["name"]
        for row in workers
        if row["status"] == "running"
        and row["job_files"] not in (None, digest)
        and now - row["seen_at"] < _LIVING
    ]


def restart_hint(worker: str) -> str:
    """Return the hint for a worker that has loaded other files."""
    return (
        f"worker {worker} runs with other job files than those on disk here: it does not know what"
        " was changed since it started; restart it"
    )


class JobFilesWatch:
    """Reports, once each, processes that have loaded other job files than those on disk now."""

    def __init__(self, registry: "Registry", clock: Callable[[], float]) -> None:
        self._registry = registry
        self._clock = clock
        self._next = clock() + _EVERY_S
        self._digest = ""
        self._has_looked = False
        self._disk = BackgroundLook(self._read, what="the folder of the job files")
        self._told: set[str] = set()
        registry.names()  # Loaded, and their digest taken, before anything changes.

    def look(self) -> None:
        """Look at the files, every few seconds."""
        if self._clock() < self._next:
            return
        self._next = self._clock() + _EVERY_S
        self._disk.changed(patience_s=_PATIENCE_S)
        if not self._digest:
            return
        if self._digest != self._registry.loaded:
            self._tell("this daemon", _DAEMON)
        self._has_looked = True

    def compare(self, tx: "Transaction") -> None:
        """Hold what the workers have loaded against what the last look has found, each time once.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        if not self._has_looked:
            return
        self._has_looked = False
        # Imported here: who only reads pipeline files needs no database.
        from headrace.store.queries import WORKERS

        workers = tx.rows(WORKERS)
        for name in others(workers, self._digest):
            self._tell(name, restart_hint(name))

    def _read(self) -> bool:
        self._digest = self._registry.on_disk()
        return False

    def _tell(self, who: str, text: str) -> None:
        key = f"{who} {self._digest}"
        if key not in self._told:
            self._told.add(key)
            log.warning("%s", text)


def _python_files(root: str) -> Iterator[str]:
    # As texts: a daemon asks again and again, and a Path for each file would cost it more.
    for parent, folders, names in os.walk(root):
        # What is hidden is nothing that is imported, but perhaps an environment of thousands.
        folders[:] = [one for one in folders if one[0] != "." and one != "__pycache__"]
        yield from (f"{parent}{os.sep}{name}" for name in names if name.endswith(".py"))


@lru_cache(maxsize=10_000)
def _content(path: str, _version: Stamp) -> str:
    """Return the file's digest. One that has the stamp that it had is not read again."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return "unreadable"
