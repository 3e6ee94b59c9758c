"""Results of checks by the digest of all that they depend on, kept in a file of the home.

A line holds one result behind a digest of itself; what does not fit its digest is passed over, so
that a torn write costs a result and nothing else. Lines are appended, and the file is written
anew once most of it is out of use: of other groups, or of files that were edited since. Nothing
here is needed: where the file cannot be used, everything is read again.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from headrace.engine.catalog.result_form import NoForm, as_text, from_text

FOLDER = "cache"
_FILE = "checked.lines"
_DIGEST = 32
_GROUP = 8
# A line's digest and its key in hexadecimal, a blank behind each.
_KEY = slice(_DIGEST + 1, 2 * _DIGEST + _GROUP + 1)
_HEAD = _KEY.stop + 1
# So many lines out of use are kept: other folders and other commands may want them.
_SPARE_OF_GROUP = 20_000
_SPARE_OF_OTHERS = 500
_MOST_BYTES = 1 << 28


def digest(*parts: str | bytes) -> str:
    """Return the digest of parts, each with its length: `ab, c` is not `a, bc`."""
    made = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        made.update(b"%d:" % len(content))
        made.update(content)
    return made.hexdigest()[:_DIGEST]


class ResultCache:
    """Results of this and earlier processes. What is put in counts for others after `save`.

    `group` is a digest of what all its results depend on.
    """

    def __init__(self, home: Path, group: str) -> None:
        self._home = home
        self._group = group[:_GROUP]
        self._lines: Mapping[str, str] | None = None
        self._is_too_large = False
        self._used: set[str] = set()
        self._new: dict[str, str] = {}

    def get(self, key: str) -> Any | None:
        """Return what is kept under a digest, None where there is nothing."""
        if self._lines is None:
            self._lines = self._read()
        whole = self._group + key
        line = self._lines.get(whole) or self._new.get(key)
        if line is None or not _is_whole(line):
            return None
        try:
            found = from_text(line[_HEAD:])
        except ValueError:
            return None
        if whole in self._lines:
            self._used.add(whole)
        return found

    def put(self, key: str, value: Any) -> None:
        """Keep a value; one that cannot be kept with all its types is left out."""
        with suppress(NoForm):
            self._new[key] = _line(self._group + key, as_text(value))

    def new_lines(self) -> list[str]:
        """Return what has been put in, for `add_lines` of another process."""
        return list(self._new.values())

    def add_lines(self, lines: Iterable[str]) -> None:
        """Add what another process has found as if it had been put in here."""
        for line in lines:
            if line[_KEY].startswith(self._group):
                self._new[line[_KEY][_GROUP:]] = line

    def has_news(self, *, make_home: bool) -> bool:
        """Return whether `save` would write anything."""
        with suppress(OSError):
            return bool(self._new) and (make_home or self._home.is_dir())
        return False

    def save(self, *, make_home: bool) -> None:
        """Write what is new. Where that cannot be done, the next process does the work again."""
        with suppress(OSError):
            folder = self._own_folder(make_home=make_home)
            if folder is None:
                return
            lines = self._worth_keeping()
            if lines is None:
                self._append(folder, list(self._new.values()))
            else:
                self._replace(folder, [*lines, *self._new.values()])
            self._new.clear()

    def _worth_keeping(self) -> list[str] | None:
        """Return the lines to keep where too many are out of use, None where they may stay."""
        if self._is_too_large:
            return []
        kept = self._lines or {}
        own = {key: line for key, line in kept.items() if key.startswith(self._group)}
        if len(own) - len(self._used) > _SPARE_OF_GROUP + len(self._used):
            own = {key: kept[key] for key in self._used}
        elif len(kept) - len(own) <= _SPARE_OF_OTHERS + len(own):
            return None
        return list(own.values())

    def _append(self, folder: Path, lines: list[str]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(folder / _FILE, flags, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            if _is_ours_alone(os.fstat(descriptor)):
                # A line break first: another one's line may have been torn.
                file.write(("\n" + "\n".join(lines) + "\n").encode())

    def _replace(self, folder: Path, lines: list[str]) -> None:
        draft = folder / f".{_FILE}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
                file.write(("\n".join(lines) + "\n").encode())
            draft.replace(folder / _FILE)
        finally:
            draft.unlink(missing_ok=True)

    def _read(self) -> Mapping[str, str]:
        """Return the lines by their keys; none of a file that somebody else can write."""
        folder = self._home / FOLDER
        try:
            if not all(_is_ours_alone(path.stat()) for path in (self._home, folder)):
                return {}
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(folder / _FILE, flags)
            with os.fdopen(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or not _is_ours_alone(status):
                    return {}
                self._is_too_large = status.st_size > _MOST_BYTES
                content = b"" if self._is_too_large else file.read()
        except OSError:
            return {}
        lines = content.decode("utf-8", "replace").split("\n")
        return {line[_KEY]: line for line in lines if len(line) > _HEAD}

    def _own_folder(self, *, make_home: bool) -> Path | None:
        """Return the folder, made where there is none; None where it is not ours alone."""
        if make_home:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours_alone(self._home.stat()):
            return None
        folder = self._home / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder if _is_ours_alone(folder.stat()) else None


def _is_ours_alone(status: os.stat_result) -> bool:
    """Return whether nobody else could have written it."""
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _line(key: str, text: str) -> str:
    return f"{digest(key, text)} {key} {text}"


def _is_whole(line: str) -> bool:
    """Return whether a line is as it was written."""
    return line == _line(line[_KEY], line[_HEAD:])
