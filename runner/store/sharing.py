"""A transaction that several jobs of one child share, each of which only appends rows.

See docs/adr/0046-jobs-that-append-share-a-transaction.md.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from headrace.store.appending import appended_table
from headrace.store.late_connection import raw_of
from headrace.store.session_block import Bound
from headrace.store.session_state import before_end
from headrace.store.statements import STATEMENTS

# For longer none waits for a lock while others wait for it.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '80ms'; "


class NotAppended(BaseException):
    """The job does something else than to append rows: what the transaction holds is undone.

    No Exception: a job that catches those must not hide it.
    """


class Sharing:
    """What the jobs that share a transaction have done in it.

    `refused` where one has tried to do anything else than to append rows.
    """

    def __init__(self) -> None:
        self.refused = False
        self._tables: set[str] = set()
        self._raw: Any = None
        self._ran = 0

    def block(self, bound: Bound) -> "AbstractContextManager[AppendBlock]":
        """Return a block for the one statement of the job at hand."""
        return AppendBlock(self, bound)

    def refuse(self) -> NotAppended:
        """Note that a job does something else, and return what to raise."""
        self.refused = True
        return NotAppended()

    def has_run(self, jobs: int) -> bool:
        """Return whether each of as many jobs has run its one statement."""
        return self._ran == jobs and not self.refused

    def append(self, raw: Any, sql: str, values: Mapping[str, Any] | None) -> int:
        """Send one statement; returns the number of rows.

        Raises:
            NotAppended: It is not known only to append.
            psycopg2.Error: The server refuses it.
        """
        table = appended_table(sql, values)
        if table is None:
            raise self.refuse()
        with raw.plain() as cursor:
            if self._raw is None:
                self._raw = raw
                cursor.execute(_LOCK_TIMEOUT)
            cursor.execute(sql, values)
            self._tables.add(table)
            self._ran += 1
            return int(cursor.rowcount)

    def only_appends(self) -> bool:
        """Ask the server whether the tables themselves did nothing else; puts the session in order.

        To be asked when all jobs have run: their locks keep it so until COMMIT.
        """
        with self._raw.plain() as cursor:
            values = {"tables": sorted(self._tables)}
            noted: bytes = cursor.mogrify(STATEMENTS["note_appended"].pyformat, values)
            in_order = before_end(prepared=self._raw.prepared)
            cursor.execute(f"{noted.decode()}; {in_order}{STATEMENTS['appends_only'].sql}")
            ((only,),) = cursor.fetchall()
            return bool(only)


class AppendBlock:
    """A block in the shared transaction, which takes one statement."""

    def __init__(self, sharing: Sharing, bound: Bound) -> None:
        self._sharing, self._bound = sharing, bound
        self._ran = False

    def __enter__(self) -> "AppendBlock":
        """Begin the transaction, where the job is the first."""
        self._binding = self._bound()
        self._raw = raw_of(self._binding.__enter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Leave the transaction open."""
        return self._binding.__exit__(kind, error, trace)

    def run(
        self,
        sql: str,
        values: Mapping[str, Any] | None,
        *,
        stream: bool = False,
        types: Mapping[int, Any] | None = None,  # noqa: ARG002 - of rows, which there are none of
    ) -> "Appended":
        """Send the statement; see `Sharing.append`."""
        if stream or self._ran:
            raise self._sharing.refuse()
        self._ran = True
        return Appended(self._sharing.append(self._raw, sql, values))


class Appended:
    """What the statement has given: a number of rows."""

    returns_rows = False
    types: list[str] | None = None

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount

    def keys(self) -> list[str]:
        """Return the names of its columns: none."""
        return []

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(())

    def __enter__(self) -> "Appended":
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing is open."""
