"""Resolves paths of pipelines' files and of jobs' output, by one rule for all."""

import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from headrace.errors import JobFailure
from headrace.errors.spelling import OTHERWISE, written_otherwise

_CODE = Path(__file__).resolve().parents[2]

_RULE = (
    "a relative path is searched from the pipeline file's folder, then from the pipelines folder,"
    " then from the output folders, and never leaves them"
)


class _Noted:
    """Places at which files were looked for, with what `look` said of each just before."""

    def __init__(self, look: Callable[[str], str | None]) -> None:
        self.places: dict[str, str | None] = {}
        self._look = look

    def note(self, place: str) -> None:
        if place not in self.places:
            self.places[place] = self._look(place)


_looked_at: ContextVar[_Noted | None] = ContextVar("headrace_looked_at", default=None)


@contextmanager
def noted(look: Callable[[str], str | None]) -> Iterator[Mapping[str, str | None]]:
    """Note the places at which files are looked for meanwhile, whether they are there or not.

    `look` is asked about each before anything is read there.
    """
    noted = _Noted(look)
    token = _looked_at.set(noted)
    try:
        yield noted.places
    finally:
        _looked_at.reset(token)


class PathRefused(JobFailure):
    """A path leaves the folders in which files may lie."""

    code = "bad-path"


class _LeadsOut(PathRefused):
    """A path leaves the folders, and is not merely one that cannot be looked at."""


class MissingFile(JobFailure):
    """There is no file of this name where one is looked for."""

    code = "missing-file"


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of one pipeline; all paths are absolute.

    `own` is the pipeline file's, `outputs` those of `output_folders`, `kept` what nothing may be
    written into (code, pipelines, settings), `sql` where an SQL file is looked for last.
    """

    own: Path
    pipelines: Path
    outputs: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    sql: tuple[Path, ...] = ()

    def of(self, folder: str) -> "Folders":
        """Return the folders of a pipeline whose file lies in `folder`, below the pipelines one."""
        own = self.pipelines / folder
        return replace(self, own=own if ".." not in own.parts else self.pipelines)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Return the folders in which a relative path is looked up, in their order."""
        return tuple(dict.fromkeys((self.own, self.pipelines, *self.outputs)))

    def look_up(self, relative: str) -> Path:
        """Return what `relative` names, links resolved; where it is missing, its first place.

        Raises:
            PathRefused: it leaves the folders.
        """
        return self._looked_up(relative, self.inputs)

    def find(self, relative: str) -> Path:
        """Return the file that `relative` names, links resolved.

        Raises:
            PathRefused: it leaves the folders.
            MissingFile: there is none.
        """
        return _existing(relative, self.look_up(relative), self.inputs)

    def find_sql(self, relative: str) -> Path:
        """Return an SQL file: each folder is followed by its folder `sql`; `self.sql` comes last.

        `x.sql` and `sql/x.sql` both name a file of a folder `sql`.

        Raises:
            PathRefused: it leaves the folders.
            MissingFile: there is none.
        """
        places = tuple(
            dict.fromkeys(place for folder in self.inputs for place in (folder, folder / "sql"))
        )
        try:
            above = (folder.parent for folder in self.sql)
            found = self._looked_up(relative, (*places, *self.sql, *above))
        except _LeadsOut as error:
            raise PathRefused(f"{error}; an SQL file also in a folder sql of each") from None
        return _existing(relative, found, (*places, *self.sql))

    def to_write(self, relative: str) -> Path:
        """Return where a job writes the file `relative`, links resolved; it need not exist.

        Raises:
            PathRefused: that is not below an output folder, or no output folder is allowed.
        """
        if not self.outputs:
            raise PathRefused(f'"{relative}" cannot be written: output_folders is empty')
        roots = [_resolved(folder, relative) for folder in self.outputs]
        path = _resolved(self.outputs[0] / relative, relative)
        root = next((root for root in roots if path != root and path.is_relative_to(root)), None)
        if root is None:
            raise PathRefused(
                f'the path "{relative}" leaves the output folders: what a job writes goes below'
                f" {_listed(self.outputs)} (output_folders in config.yaml)"
            )
        kept = overlapped(root, self.kept)
        if kept is not None:
            raise PathRefused(f'"{root}" overlaps {kept}: nothing is written there')
        if _asked(path.is_dir, relative):
            raise PathRefused(f'the path "{relative}" is a folder; name a file in it')
        return path

    def _looked_up(self, relative: str, places: Iterable[Path]) -> Path:
        roots = [_resolved(root, relative) for root in (*self.inputs, *self.sql)]
        first: Path | None = None
        leaves = False
        for place in places:
            path = _resolved(place / relative, relative)
            inside = any(path.is_relative_to(root) for root in roots)
            there = _asked(path.exists, relative)
            if inside and there:
                return path
            # A place that leads out is told of although there may be one without a file.
            leaves = leaves or (there and not inside)
            first = first or (path if inside else None)
        if first is None or leaves:
            raise _LeadsOut(f'the path "{relative}" leaves the folders for files: {_RULE}')
        return first


def overlapped(folder: Path, kept: Iterable[Path]) -> Path | None:
    """Return the first of `kept` that a folder holds, is, or lies in; links resolved."""
    resolved = folder.resolve()
    for path in kept:
        other = path.resolve()
        if resolved.is_relative_to(other) or other.is_relative_to(resolved):
            return path
    return None


def clone() -> Path | None:
    """Return the repository that Headrace runs from, None where it is installed."""
    return _CODE if (_CODE / "setup.py").is_file() and (_CODE / "runner").is_dir() else None


def own_folder() -> Path:
    """Return the folder in which Headrace's own folders lie."""
    return _CODE


def folders_of_code(project: Path) -> tuple[Path, ...]:
    """Return where Python finds the code that workers run: ours, the project's, the installed."""
    return tuple(dict.fromkeys((project / "jobs", *_installed())))


@cache
def _installed() -> tuple[Path, ...]:
    libraries = (sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    own = (_CODE / name for name in ("runner", "jobs", "schema"))
    return (*own, *map(Path, filter(None, libraries)))


def _existing(relative: str, found: Path, places: Iterable[Path]) -> Path:
    if found.is_file():
        return found
    if found.exists():
        raise MissingFile(f"{relative!r} is not a file")
    raise MissingFile(
        f"there is no file {relative!r} beside the pipeline, in the pipelines folder or in the"
        f" output folders: it was looked for in {_listed(places)}{_twin(relative, places)}"
    )


def _twin(relative: str, places: Iterable[Path]) -> str:
    """Mention a file whose name only looks like the requested one."""
    for place in places:
        wanted = place / relative
        with suppress(OSError):
            for there in wanted.parent.iterdir():
                if written_otherwise(wanted.name, there.name):
                    return f"; {there.name!r} in {there.parent} {OTHERWISE}"
    return ""


def _resolved(path: Path, relative: str) -> Path:
    noted = _looked_at.get()
    if noted is not None:
        noted.note(str(path))
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # Links in a circle, NUL.
        raise PathRefused(f"{relative!r} is not a path: {error}") from None


def _asked(look: Callable[[], bool], relative: str) -> bool:
    """Return what a look at a path tells; resolving one does not tell that it is too long."""
    try:
        return look()
    except OSError as error:
        raise PathRefused(f"{relative!r} cannot be looked for: {error.strerror}") from None


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join(_shown(folders))


def _shown(folders: Iterable[Path]) -> Iterator[str]:
    here = Path.cwd()
    for folder in folders:
        yield str(folder.relative_to(here) if folder.is_relative_to(here) else folder)
