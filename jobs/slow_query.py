"""SlowQuery: keep the database busy for a while."""

from typing import Any

from jobs.base import BaseJob, execute, logger
from runner.errors import InvalidPayload


class SlowQuery(BaseJob):
    """Run a query that takes a given time, as a stand-in for a slow report.

    Parameters:
        duration: how long, in seconds.
    """

    def __init__(self, duration: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= duration <= 86_400:
            raise InvalidPayload(f"duration is between 0 and 86400 seconds, not {duration!r}")
        self.duration = duration

    def handle(self) -> str:
        logger.info("Executing sleep query for %g seconds", self.duration)
        with self.session() as session:
            execute(session, self.sql("slow_query", duration=self.duration))
        return f"Slow query completed after {self.duration:g} seconds"
