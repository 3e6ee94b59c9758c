"""The files that calendars name: a list of days in YAML, or one day a line."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path, PurePath
from typing import NamedTuple

from headrace.declarations.config import Settings
from headrace.declarations.source import read, scan, shown_path
from headrace.errors import Problem
from headrace.errors.shortened import shortened
from headrace.errors.suggestions import closest

YAML_SUFFIXES = (".yaml", ".yml")
DATE_HINT = "write a day as 2026-12-24"

# As many bad lines as anybody reads.
_MOST_PROBLEMS = 100

# What changes whenever a file does: None for one that cannot be looked at.
Stamp = tuple[int, int, int, int] | None


def stamp(path: str) -> Stamp:
    """Return what tells one version of a file from another without reading it."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - a thousand a second: no Path is made for them
    except (OSError, ValueError):  # No path has the character NUL in it.
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


class CalendarFile(NamedTuple):
    """The content of a file, and its SHA-256. With problems there are fewer dates than it means."""

    dates: tuple[date, ...]
    digest: bytes
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class UsedCalendars:
    """The calendar files of one pipeline.

    `dates` holds their days by the names that the pipeline gives them; `digest` tells their
    contents from others; `looked_at` are the places where they are or might be, as they were
    before the reading.
    """

    dates: Mapping[str, Sequence[date]] = field(default_factory=dict)
    digest: bytes = b""
    problems: tuple[Problem, ...] = ()
    looked_at: Mapping[str, Stamp] = field(default_factory=dict)


def used_calendars(names: Sequence[str], folder: Path, settings: Settings) -> UsedCalendars:
    """Return the files that a pipeline in `folder` names, as far as they can be found."""
    looked_at = {
        path: stamp(path) for name in names for path in _candidates(name, folder, settings)
    }
    found: dict[str, CalendarFile] = {}
    for name in names:
        path = locate(name, folder, settings)
        if isinstance(path, Path):
            found[name] = _read(str(path), stamp(str(path)))
    return UsedCalendars(
        {name: one.dates for name, one in found.items()},
        b"".join(one.digest for _, one in sorted(found.items())),
        tuple(problem for one in found.values() for problem in one.problems),
        looked_at,
    )


def locate(name: str, folder: Path, settings: Settings) -> Path | tuple[str, str, str]:
    """Return the file, or a problem's code, message and hint.

    It is looked up from the pipeline's folder, then from the pipelines folder, and leaves
    neither, links resolved.
    """
    candidates, outside = _candidates(name, folder, settings), 0
    roots = (folder.resolve(), settings.pipelines.resolve())
    for candidate in candidates:
        try:
            path = Path(candidate).resolve()
            inside = any(path.is_relative_to(root) for root in roots)
            if inside and path.is_file():
                return Path(candidate)
            # A link that leads out is told of although there may be a place without a file.
            outside += 0 if inside else len(candidates) if path.exists() else 1
        except (OSError, ValueError, RuntimeError):  # Too long a name, links in a circle.
            continue
    if outside >= len(candidates):
        message = f'the calendar "{name}" is outside the pipelines folder'
        return "bad-path", message, "put it beside the pipelines that use it"
    return "missing-file", f'there is no calendar file "{name}"', _guess(name, folder, settings)


def _guess(name: str, folder: Path, settings: Settings) -> str:
    """Return a hint: the file beside the missing one that was probably meant."""
    for candidate in map(Path, _candidates(name, folder, settings)):
        try:
            beside = [path.name for path in candidate.parent.iterdir() if _may_be_one(path)]
        except (OSError, ValueError):
            continue
        meant = closest(candidate.name, beside)
        if meant is not None:
            return f'did you mean "{PurePath(name).with_name(meant)}"?'
    return "it is searched in the pipeline's folder, then in the pipelines folder"


def _candidates(name: str, folder: Path, settings: Settings) -> list[str]:
    return [os.path.abspath(parent / name) for parent in (folder, settings.pipelines)]


def _may_be_one(path: Path) -> bool:
    return path.is_file() and (path.name.startswith("_") or path.suffix not in YAML_SUFFIXES)


@lru_cache(maxsize=256)
def _read(path: str, _version: Stamp) -> CalendarFile:
    """Return what a file holds; of one version, a thousand pipelines may use it."""
    content = read(Path(path))
    if isinstance(content, Problem):
        return CalendarFile((), b"", (content,))
    file = shown_path(Path(path))
    parsed = _yaml if path.endswith(YAML_SUFFIXES) else _lines
    dates, problems = parsed(content, file)
    if not dates and not problems:
        hint = "list the days, as in 2026-12-24, or remove `file`"
        problems = [Problem(file, 1, 1, "empty-file", "the calendar contains no days", hint)]
    digest = hashlib.sha256(content).digest()
    return CalendarFile(tuple(sorted(set(dates))), digest, tuple(problems[:_MOST_PROBLEMS]))


def _lines(content: bytes, file: str) -> tuple[list[date], list[Problem]]:
    """Read one day a line; what follows it is its name, and `#` begins a comment."""
    dates: list[date] = []
    problems: list[Problem] = []
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = content.count(b"\n", 0, error.start) + 1
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        return [], [Problem(file, at, 1, "encoding", message, "save the file as UTF-8")]
    for number, line in enumerate(text.split("\n"), start=1):
        written = line.partition("#")[0]
        if not written.strip():
            continue
        word = written.split()[0]
        day = day_of(word)
        if day is None:
            hint = f"{DATE_HINT}, one per line, followed by its name"
            place = (number, written.index(word) + 1)
            problems.append(Problem(file, *place, "bad-date", _no_day(word), hint))
        else:
            dates.append(day)
    return dates, problems


def _yaml(content: bytes, file: str) -> tuple[list[date], list[Problem]]:
    """Read a list of days."""
    document, problems = scan(content, file)
    if document is None or not isinstance(document.data, list):
        if document is not None:
            message = "a calendar's file is a list of days"
            hint = 'begin each line with "- ", as in - 2026-12-24'
            problems.append(Problem(file, *document.at(()), "wrong-type", message, hint))
        return [], problems
    dates: list[date] = []
    for index, item in enumerate(document.data):
        day = day_of(item) if isinstance(item, str) else None
        if day is None:
            place = document.at((index,))
            problems.append(Problem(file, *place, "bad-date", _no_day(item), DATE_HINT))
        else:
            dates.append(day)
    return dates, problems


def day_of(text: str) -> date | None:
    """Return the day that a text like 2026-12-24 means, or None."""
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


def _no_day(item: object) -> str:
    if not isinstance(item, str | int | float):
        return "the item is not a valid date"
    return f'"{shortened(str(item))}" is not a valid date'
