"""Fibonacci: a job without a database."""

from typing import Any

from headrace.errors import InvalidPayload
from headrace.jobs.base import BaseJob, logger

LARGEST = 20_000  # The longest number that Python writes as text, 4300 digits, is close above.


class Fibonacci(BaseJob):
    """Calculate a Fibonacci number.

    Parameters:
        n: its index: 10 gives 55.
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= n <= LARGEST:
            raise InvalidPayload(f"n must be between 0 and {LARGEST}, not {n!r}")
        self.n = n

    def handle(self) -> int:
        logger.info("Calculating Fibonacci number for n=%d", self.n)
        current, following = 0, 1
        for _ in range(self.n):
            current, following = following, current + following
        return current
