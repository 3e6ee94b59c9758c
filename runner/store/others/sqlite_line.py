"""SQLite by Python's own library."""

import re
import sqlite3
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote
from uuid import UUID

from headrace.errors import JobFailure, RefusedSql
from headrace.store.others.file_urls import file_of
from headrace.store.others.line import Line
from headrace.template import first_word, has_word

_LONGEST_INT = 2**63
# Eleven days: the library counts milliseconds, and takes what is too many of them for none.
_ENDLESS_S = 1e6


class SqliteLine(Line):
    """A connection to a file. No other file is reached through it."""

    kind = "sqlite"
    module = "sqlite3"
    make_ledger = """
        CREATE TABLE IF NOT EXISTS headrace_ledger (
            job_id TEXT PRIMARY KEY,
            attempt INTEGER NOT NULL,
            applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
        )"""

    def refuse(self, statement: str) -> None:
        """Refuse VACUUM INTO, which writes a file."""
        word = first_word(statement)
        if word == "VACUUM" and has_word(statement, "INTO"):
            raise RefusedSql("VACUUM INTO would write another file")
        # VACUUM attaches a temporary file by itself; a job may attach none.
        self._raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1 if word == "VACUUM" else 0)

    def passes(self, error: BaseException | None) -> bool:
        """See `Line`."""
        return "locked" in str(error)

    def bound(self, value: Any) -> Any:
        """See `Line`."""
        if isinstance(value, Decimal | int) and not isinstance(value, bool):
            return _number(Decimal(value))
        if isinstance(value, datetime | date | time):
            return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
        if isinstance(value, UUID):
            return str(value)
        if value is None or isinstance(value, bool | float | str | bytes):
            return value
        if isinstance(value, list | tuple):
            raise RefusedSql("SQLite has no lists: write one with | inlist")
        raise RefusedSql(
            f"SQLite has no value for a {type(value).__name__}: give it as a text or a number"
        )

    def ended_inside(self) -> bool:
        """See `Line`."""
        try:
            self._plain(f"RELEASE {self._mark}")
        except sqlite3.OperationalError as error:
            if "no such savepoint" in str(error):
                return True
            raise
        return False

    def _connected(self, *, read_only: bool) -> Any:
        path = file_of(self.connection.url, self.name)
        if read_only and not Path(path).exists():
            raise JobFailure(f"{self.name} (SQLite): there is no file {path}")
        mode = "ro" if read_only else "rwc"
        raw = sqlite3.connect(
            f"file:{quote(path)}?mode={mode}",
            uri=True,
            isolation_level=None,
            timeout=min(self.wait_s or _ENDLESS_S, _ENDLESS_S),
            check_same_thread=False,
        )
        raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        raw.execute("PRAGMA foreign_keys = ON")
        # SQLite has the operator REGEXP, and leaves the function to its user.
        raw.create_function("regexp", 2, _matches, deterministic=True)
        return raw

    def _begin(self, *, read_only: bool) -> None:
        # A transaction that reads first and writes later could not wait for another writer.
        self._plain("BEGIN" if read_only else "BEGIN IMMEDIATE")

    def _marked(self) -> str:
        mark = f"headrace_{token_hex(8)}"
        self._plain(f"SAVEPOINT {mark}")
        return mark

    def _send(self, texts: Sequence[str], values: list[Any], *, stream: bool) -> Any:
        del stream  # Its rows come one by one in any case.
        return self._raw.execute("?".join(texts), values)

    def _insert(self, table: str, columns: Sequence[str], rows: list[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(columns))
        text = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names are quoted
        self._raw.executemany(text, rows)

    def failure(self, error: Exception) -> str:
        """Tell what to do about a lock, too."""
        told = super().failure(error)
        if "locked" in told:
            told += "; another program writes there: lock_timeout says how long a job waits"
        return told


def _matches(pattern: str, text: object) -> bool | None:
    return None if text is None else re.search(pattern, str(text)) is not None


def _number(value: Decimal) -> int | float | str:
    whole = value.is_finite() and value == value.to_integral_value()
    if whole and -_LONGEST_INT <= value < _LONGEST_INT:
        return int(value)
    # What no number there holds with all its digits is a text.
    if value.is_finite() and Decimal(repr(float(value))) == value:
        return float(value)
    return str(value)
