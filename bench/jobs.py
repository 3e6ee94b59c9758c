"""Headrace's own jobs in the benchmark."""

from typing import Any

from bench.marks import mark
from headrace.jobs.base import BaseJob


class Noop(BaseJob):
    """Leave a mark and nothing else."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = n

    def handle(self) -> None:
        mark(self.n)
