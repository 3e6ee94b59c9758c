"""Notices in a running program that the schema does not admit its version any more."""

import time

from headrace.store.database import Database, SqlTransaction
from headrace.store.migrations import look

_EVERY_S = 5.0


class SchemaWatch:
    """Looks at the schema every few seconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next = time.monotonic() + _EVERY_S

    def look(self, tx: SqlTransaction | None = None) -> None:
        """Look, if it is time. A schema that is missing or older is somebody's restore, and passes.

        In the transaction `tx`, where there is one anyway.

        Raises:
            SchemaMismatch: It is newer, and does not admit this version any more.
            StoreUnavailable: PostgreSQL does not answer.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_S
        schema = self._database.schema() if tx is None else look(tx.connection)
        if schema.newer:
            schema.require()
