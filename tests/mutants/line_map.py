"""Keeps which test executes which lines, in an SQLite file."""

import sqlite3
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TABLE = """CREATE TABLE IF NOT EXISTS test
    (id TEXT PRIMARY KEY, outcome TEXT NOT NULL, seconds REAL NOT NULL, marks BLOB NOT NULL)"""


@dataclass(frozen=True)
class Test:
    """A test with its outcome and duration on unchanged code."""

    __test__ = False

    id: str
    outcome: str
    seconds: float


class LineMap:
    """The map in a file. An entry without a name has what is executed outside of tests."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, timeout=60, isolation_level=None)
        self._file.execute(_TABLE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, test: str, outcome: str, seconds: float, marks: bytes) -> None:
        """Keep what a test has executed, beside what it executed in earlier runs."""
        self._file.execute("BEGIN IMMEDIATE")
        found = self._file.execute("SELECT marks FROM test WHERE id = ?", (test,)).fetchone()
        if found is not None:
            marks = _either(marks, zlib.decompress(found[0]))
        self._file.execute(
            "INSERT OR REPLACE INTO test VALUES (?, ?, ?, ?)",
            (test, outcome, seconds, zlib.compress(marks, 1)),
        )
        self._file.execute("COMMIT")

    def forget(self, files: Collection[str]) -> None:
        """Remove the tests of some files, named from the root."""
        found = [(test.id,) for test in self.tests() if test.id.partition("::")[0] in files]
        self._file.executemany("DELETE FROM test WHERE id = ?", found)

    def tests(self) -> list[Test]:
        """Return the tests that have run."""
        rows = self._file.execute("SELECT id, outcome, seconds FROM test WHERE id <> ''")
        return [Test(*row) for row in rows]

    def marks(self) -> Iterator[tuple[str, bytes]]:
        """Yield each test's marks, a byte for each line."""
        for test, marks in self._file.execute("SELECT id, marks FROM test"):
            yield test, zlib.decompress(marks)


def _either(one: bytes, other: bytes) -> bytes:
    both = int.from_bytes(one, "big") | int.from_bytes(other, "big")
    return both.to_bytes(len(one), "big")
