"""The control database for one command that looks at a few rows: one connection, no engine."""

import threading
from typing import Any

from headrace.store.connect import open_session
from headrace.store.database import Database, Row
from headrace.store.migrations import Schema, look_by
from headrace.store.outages import reported
from headrace.store.session_settings import Use, Wanted
from headrace.store.statements import STATEMENTS


class PlainDatabase(Database):
    """Runs single statements over one connection of the driver; SQLAlchemy takes long to load.

    A transaction of several goes over an engine, as elsewhere.
    """

    def __init__(self, database_url: str, *, application_name: str) -> None:
        super().__init__(database_url, application_name=application_name)
        self._lock = threading.Lock()
        self._raw: Any = None

    def run_named(self, statement: str, values: dict[str, Any]) -> list[Row]:
        """Run one statement in a transaction of its own."""
        with self._lock, reported(), self._session().plain() as cursor:
            cursor.execute(STATEMENTS[statement].pyformat, values)
            if cursor.description is None:
                return []
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def schema(self) -> Schema:
        """Return what schema the database has.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """

        def row_of(sql: str) -> Any:
            with self._session().plain() as cursor:
                cursor.execute(sql)
                return cursor.fetchone()

        with self._lock, reported():
            return look_by(row_of)

    def _session(self) -> Any:
        if self._raw is None or self._raw.closed:
            self._raw = open_session(self.url, Wanted(Use.OWN, self._name))
        return self._raw

    def close(self) -> None:
        """Close all connections."""
        if self._raw is not None:
            self._raw.close()
        super().close()
