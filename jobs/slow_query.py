"""SlowQuery: keep the database busy for a while."""

from collections.abc import Iterator
from typing import Any

from headrace.errors import InvalidPayload
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.template import Preview, RenderedSql


class SlowQuery(BaseJob):
    """Run a query that takes a given time, as a stand-in for a slow report.

    Parameters:
        duration: how long, in seconds.
    """

    def __init__(self, duration: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= duration <= 86_400:
            raise InvalidPayload(f"duration must be between 0 and 86400 seconds, not {duration!r}")
        self.duration = duration

    def handle(self) -> str:
        logger.info("Executing sleep query for %g seconds", self.duration)
        with self.session() as session:
            execute(session, self._statement())
        return f"Slow query completed after {self.duration:g} seconds"

    def preview(self) -> Iterator[Preview]:
        yield Preview(self._statement(), self.connection)

    def _statement(self) -> RenderedSql:
        return self.sql("slow_query", duration=self.duration)
