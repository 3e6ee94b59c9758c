"""A database that answers each statement by its name with what a test has prepared."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from headrace.store.database import Row, Transaction

Answer = list[Row] | Exception | Callable[..., list[Row]]


class FakeDatabase(Transaction):
    """Statements without an answer have no rows. `asked` are the statements with their values."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers: dict[str, Answer] = dict(answers or {})
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.away: Exception | None = None

    @contextmanager
    def transaction(self) -> Iterator["FakeDatabase"]:
        """See `Database`."""
        if self.away is not None:
            raise self.away
        yield self

    def run_named(self, statement: str, values: dict[str, Any]) -> list[Row]:
        """See `Transaction`."""
        self.asked.append((statement, values))
        answer = self.answers.get(statement, [])
        if isinstance(answer, Exception):
            raise answer
        return answer(**values) if callable(answer) else answer

    def values_of(self, statement: str) -> list[dict[str, Any]]:
        """Return the values with which a statement was asked."""
        return [values for name, values in self.asked if name == statement]
