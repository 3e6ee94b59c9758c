"""Compares the connections that workers need with those that PostgreSQL has, before they start."""

from dataclasses import dataclass

from headrace.errors import ConfigError, StoreUnavailable
from headrace.errors.numbers import number_of
from headrace.store.database import Transaction

# Of a worker's parent: statements, and what it says while the other one waits. Each child has one.
_PARENT = 2
# Of the daemon (leading, listening, pruning) and of a web service with a few requests at a time.
DAEMON, WEB = 4, 5


@dataclass(frozen=True, slots=True)
class Demand:
    """What is about to start: workers with `processes` children each, and other parts."""

    workers: int
    processes: int = 1
    others: int = 0

    @property
    def connections(self) -> int:
        """The connections that all of it needs."""
        return self.workers * (_PARENT + self.processes) + self.others

    def __str__(self) -> str:
        workers = number_of(self.workers, "worker")
        jobs = f" of {self.processes} jobs at a time" if self.processes > 1 else ""
        parts = ", daemon and web service" if self.others else ""
        verb = "needs" if self.workers == 1 and not parts else "need"
        beside = f", {self.others} for the others" if self.others else ""
        return (
            f"{workers}{jobs}{parts} {verb} {number_of(self.connections, 'connection')}"
            f" ({_PARENT + self.processes} for each worker{beside})"
        )


def require_connections(database: Transaction, demand: Demand) -> None:
    """Let only so many workers start as PostgreSQL has connections for.

    Raises:
        ConfigError: It never has so many.
        StoreUnavailable: It has too few at the moment: others hold them, or do not answer.
    """
    limits = database.rows("connection_limits")
    for limit in limits:
        if demand.connections > limit["most"]:
            raise ConfigError(
                f"{demand}, and {limit['place']} allows {limit['most']}; start fewer workers or"
                " fewer jobs at a time, or raise that limit"
            )
    for limit in limits:
        free = limit["most"] - limit["used"]
        if demand.connections > free:
            raise StoreUnavailable(
                f"PostgreSQL has too few free connections: {demand}, and {limit['place']} has"
                f" {max(free, 0)} of {limit['most']} left"
            )
