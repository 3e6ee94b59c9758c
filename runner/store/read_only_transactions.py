"""Transactions of an attempt in which nothing is written, on databases where it need not commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from headrace.store.session_state import execute


@dataclass(slots=True)
class _Reader:
    """A transaction that only reads, and the number of sessions that use it."""

    opened: Connection
    sessions: int = 0


class ReadOnlyTransactions:
    """At most one for each connection, shared by the sessions that are open at the same time.

    `settings_of` gives the commands that come first in one.
    """

    def __init__(
        self, engine_of: Callable[[str | None], Engine], settings_of: Callable[[str | None], str]
    ) -> None:
        self._engine_of = engine_of
        self._settings_of = settings_of
        self._readers: dict[str | None, _Reader] = {}

    @contextmanager
    def of(self, name: str | None) -> Iterator[Connection]:
        """Give a connection whose transaction only reads and ends with its last session.

        It leaves nothing behind, so it needs no mark, and a standby can give it.
        """
        if name not in self._readers:
            self._readers[name] = _Reader(self._begun(name))
        reader = self._readers[name]
        reader.sessions += 1
        try:
            yield reader.opened
        finally:
            reader.sessions -= 1
            if reader.sessions == 0:
                self._end(name)

    def _begun(self, name: str | None) -> Connection:
        # The driver begins the transaction as READ ONLY; no SQL in it can change that, as it
        # begins with a savepoint of SQLAlchemy's.
        opened = self._engine_of(name).connect().execution_options(postgresql_readonly=True)
        try:
            opened.begin()
            execute(opened, self._settings_of(name))
        except BaseException:
            # The error keeps hold of it: it would stay open for as long.
            opened.invalidate()
            raise
        return opened

    def end_all(self) -> None:
        """End them, whatever sessions still use them."""
        for name in list(self._readers):
            self._end(name)

    def _end(self, name: str | None) -> None:
        reader = self._readers.pop(name, None)
        if reader is None:
            return
        try:
            reader.opened.rollback()
            reader.opened.close()
        except Exception:  # noqa: BLE001 - whatever it is, the connection is done for
            with suppress(Exception):
                reader.opened.invalidate()
