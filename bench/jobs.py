"""Headrace's own jobs in the benchmark."""

from typing import Any

from sqlalchemy import text

from bench.marks import mark
from bench.rows import INSERT
from headrace.jobs.base import BaseJob, get_db, logger

_INSERT = text(INSERT.format(":number"))


class Noop(BaseJob):
    """Leave a mark and nothing else."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = n

    def handle(self) -> None:
        mark(self.n)


class Speaking(Noop):
    """Leave a mark and three lines in the job's log."""

    def handle(self) -> None:
        logger.info("Job %d begins", self.n)
        mark(self.n)
        logger.info("Job %d has left its mark", self.n)
        logger.info("Job %d ends", self.n)


class InsertRow(BaseJob):
    """Insert one row through a session, as a project's own job does."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = n

    def handle(self) -> None:
        with get_db() as session:
            session.execute(_INSERT, {"number": self.n})
