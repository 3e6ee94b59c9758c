"""What the active daemon does beside its loop, in threads: the lease must not wait for it."""

import logging
import threading
from collections.abc import Callable, Mapping

from headrace.declarations.config import Settings
from headrace.engine.operations.partial_files import remove_partials
from headrace.engine.operations.retention import keep_retention
from headrace.engine.operations.totals import Totals
from headrace.engine.telemetry.exporting import Receiver, Telemetry
from headrace.errors import StoreUnavailable
from headrace.errors.numbers import number_of
from headrace.model.duration import format_duration
from headrace.store.database import Database, Transaction

log = logging.getLogger("headrace.daemon")

_PRUNE_EVERY_S = 3600.0


class Housekeeping:
    """Counts and sends what has ended, deletes what is left over. `clock` is a monotonic one."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Callable[[], float],
        receivers: Mapping[str, Receiver],
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._next_prune = 0.0
        self._totals = Totals(database, clock)
        self._telemetry = Telemetry(receivers, database, clock)

    def look(self, tx: Transaction) -> None:
        """Look, in the transaction that renews the lease, for what there is to do."""
        self._totals.look(tx)

    def saw_nothing(self) -> None:
        """Take note that a look has found nothing to do."""
        self._totals.saw_nothing()

    def act(self) -> None:
        """Start what is to be done now."""
        self._totals.count_soon()
        self._telemetry.act()
        self._prune()

    def _prune(self) -> None:
        """Delete what is older than the retention, and files that killed jobs have half written."""
        if self._clock() < self._next_prune:
            return
        self._next_prune = self._clock() + _PRUNE_EVERY_S
        threading.Thread(target=self._prune_now, daemon=True).start()

    def _prune_now(self) -> None:
        settings = self._settings
        try:
            self._remove_partials()
            pruned = keep_retention(self._database, settings.retention_s, settings.log_retention_s)
        except StoreUnavailable as error:
            log.debug("%s; pruning continues in an hour", error)
            return
        if pruned.runs or pruned.jobs:
            runs, jobs = number_of(pruned.runs, "run"), number_of(pruned.jobs, "job")
            log.info("pruned %s and %s", runs, jobs)
        if pruned.logs:
            log.info("pruned the logs of %s", number_of(pruned.logs, "job"))

    def _remove_partials(self) -> None:
        try:
            partial = remove_partials(self._database, self._settings.outputs())
        except OSError as error:
            log.warning("incomplete files of stopped jobs cannot be removed: %s", error)
            return
        if partial:
            log.info("removed %d incomplete files of stopped jobs", partial)


def kept_for(settings: Settings) -> str:
    """Return how long finished runs and their logs are kept, in a sentence."""

    def told(seconds: float | None, otherwise: str) -> str:
        return otherwise if seconds is None else f"for {format_duration(seconds)}"

    runs = told(settings.retention_s, "until `headrace prune`")
    logs = told(settings.log_retention_s, "as long as their jobs")
    return f"finished runs are kept {runs}, logs {logs} (retention, log_retention)"
