"""Notices in a running program that the schema does not admit its version any more."""

import time
from collections.abc import Callable

from headrace.store.migrations import Schema

_EVERY_S = 5.0


class SchemaWatch:
    """Looks at the schema every few seconds."""

    def __init__(self, schema: Callable[[], Schema]) -> None:
        self._schema = schema
        self._next = time.monotonic() + _EVERY_S

    def look(self) -> None:
        """Look, if it is time. A schema that is missing or older is somebody's restore, and passes.

        Raises:
            SchemaMismatch: It is newer, and does not admit this version any more.
            StoreUnavailable: PostgreSQL does not answer.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_S
        schema = self._schema()
        if schema.newer:
            schema.require()
