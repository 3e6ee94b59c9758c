"""Spreads rows over files: so many rows or bytes each, or one for each value of a column."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, Self

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.files.file_formats import format_by_name
from headrace.jobs.files.packing import name_inside
from headrace.jobs.files.row_outputs import RowOutput

Split = dict[Literal["rows", "bytes", "by"], int | str]
"""What `split` takes: `{rows: 100000}`, `{bytes: 50MB}` or `{by: country}`."""

_SIZE = re.compile(r"\s*(\d+)\s*([kKMG]?)B?\s*")
_UNITS = {"": 1, "k": 1000, "K": 1000, "M": 1000**2, "G": 1000**3}
_MOST_OPEN = 500
_UNSAFE = re.compile(r"[^\w.=@+-]+")


@dataclass(frozen=True, slots=True)
class Splitting:
    """How rows are spread; None does not."""

    rows: int | None = None
    bytes: int | None = None
    by: str | None = None

    @classmethod
    def read(cls, given: Split | None) -> Self:
        """Read the parameter `split`.

        Raises:
            InvalidPayload: it is not one of the three, or its value is none.
        """
        if not given:
            return cls()
        if len(given) > 1:
            raise InvalidPayload("split takes one of rows, bytes and by")
        ((key, value),) = given.items()
        if key == "by":
            return cls(by=str(value))
        size = _SIZE.fullmatch(str(value))
        number = int(size[1]) * _UNITS[size[2]] if size else 0
        if number < 1 or (key == "rows" and not str(value).strip().isdecimal()):
            wanted = "a number of rows" if key == "rows" else "a size such as 50MB"
            raise InvalidPayload(f"split.{key} is {wanted}, not {value!r}")
        return cls(rows=number) if key == "rows" else cls(bytes=number)

    @property
    def splits(self) -> bool:
        """Whether there may be several files."""
        return self != UNSPLIT


UNSPLIT = Splitting()


def part_path(path: str, part: str) -> str:
    """Return the path of one of several files: `a/orders.csv.gz` is `a/orders-0001.csv.gz`."""
    # The slashes of a URL are no part of a path, in which two would be one.
    scheme, mark, rest = path.rpartition("://")
    whole = PurePosixPath(rest)
    inside = name_inside(whole.name)
    stem, dot, suffix = inside.rpartition(".")
    if not dot or format_by_name(inside) is None:
        stem, suffix = inside, ""
    ending = (f".{suffix}" if suffix else "") + whole.name[len(inside) :]
    return scheme + mark + str(whole.with_name(f"{stem}-{part}{ending}"))


class SplitOutput:
    """Gives each row to its file. `opened` opens the file for a part of the path.

    By a column each row begins with its value in hexadecimal digits and the byte `mark`.
    """

    def __init__(
        self, split: Splitting, opened: Callable[[str], RowOutput], mark: bytes = b","
    ) -> None:
        self._split, self._opened, self._mark = split, opened, mark
        self._open: dict[bytes, RowOutput] = {}
        self._names: dict[str, str] = {}
        self._current: RowOutput | None = None
        self._rows = self._size = self._files = 0

    def write(self, row: bytes) -> None:
        if self._split.by is not None:
            key, _, rest = row.partition(self._mark)
            (self._open.get(key) or self._of(key)).write(rest)
            return
        full = (self._split.rows is not None and self._rows >= self._split.rows) or (
            self._split.bytes is not None
            and self._rows > 0
            and self._size + len(row) > self._split.bytes
        )
        if self._current is None or full:
            self._next()
        assert self._current is not None, "it was just opened"
        self._current.write(row)
        self._rows += 1
        self._size += len(row)

    def end_file(self) -> None:
        """Finish all files; without rows there is one, which has none."""
        if self._current is None and not self._open:
            self._next()
        for output in self._open.values():
            output.end_file()
        if self._current is not None:
            self._current.end_file()

    def let_go(self) -> None:
        """Close nothing: each file is let go by who opened it."""

    def _next(self) -> None:
        if self._current is not None:
            self._current.end_file()
        self._files += 1
        self._rows = self._size = 0
        self._current = self._opened(f"{self._files:04}")

    def _of(self, key: bytes) -> RowOutput:
        if len(self._open) == _MOST_OPEN:
            raise JobFailure(
                f"{self._split.by} has more than {_MOST_OPEN} different values: each would get a "
                "file of its own; choose another column for split.by"
            )
        value = bytes.fromhex(key[1:].decode()).decode() if key.startswith(b"x") else "null"
        name = _UNSAFE.sub("_", value).strip(".") or "empty"
        if name in self._names:
            raise JobFailure(
                f"split.by: {value!r} and {self._names[name]!r} would be the same file, {name}"
            )
        self._names[name] = value
        self._open[key] = self._opened(name)
        return self._open[key]
