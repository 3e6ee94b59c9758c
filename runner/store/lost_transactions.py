"""Transactions that an attempt has lost sight of: what became of them is asked afterwards."""

import logging
from typing import Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from headrace.errors import StoreUnavailable
from headrace.store.attempt_transaction import Held
from headrace.store.attempts import AttemptStore
from headrace.store.job_engines import CONTROL, JobEngines
from headrace.store.transaction_fate import fate

log = logging.getLogger("headrace.worker")

_ENDED = {
    "committed": "its SQL ended the transaction; its earlier changes are committed",
    "prepared": "its SQL prepared the transaction; what it did waits there for COMMIT PREPARED"
    " or ROLLBACK PREPARED",
    "aborted": "its SQL ended the transaction; what it did before is undone, what it did after"
    " may stand",
}


class LostTransactions:
    """Those of one attempt, lost by a cut connection or because the job's SQL has ended them."""

    def __init__(self, store: AttemptStore, engines: JobEngines) -> None:
        self._store = store
        self._engines = engines
        self._lost: list[tuple[str | None, Held, bool]] = []

    def add(self, name: str | None, held: Held, *, ended_inside: bool) -> None:
        """Note a transaction by its connection's name."""
        self._lost.append((name, held, ended_inside))

    def forget(self) -> None:
        """Start anew, for the next attempt."""
        self._lost.clear()

    def verdict(self, job_id: UUID) -> str | None:
        """Return how a transaction was ended from inside; None where none was.

        Raises:
            StoreUnavailable: The control database does not answer.
        """
        for name, held, ended_inside in self._lost:
            became = self._fate(name, held, job_id)
            if ended_inside or became in ("committed", "prepared"):
                return _ENDED.get(became, _ENDED["aborted"])
        return None

    def _fate(self, name: str | None, held: Held, job_id: UUID) -> str:
        number, server = held.number, held.server
        if name is CONTROL:
            return fate(self._store.raw, number, server)
        try:
            with self._engines.of(name).connect() as opened:
                raw: Any = opened.connection.dbapi_connection
                return fate(raw, number, server, ledger_of=job_id)
        except (StoreUnavailable, DBAPIError) as error:
            log.warning("what became of transaction %s on %s is not known: %s", number, name, error)
            return "unknown"
