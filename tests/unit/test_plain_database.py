"""The connection of a command that looks at a few rows: one, and another once that has gone."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.store import plain_database
from headrace.store.plain_database import PlainDatabase


class Session:
    """A connection of the driver whose answer is its number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = False

    @contextmanager
    def plain(self) -> Iterator[Any]:
        column = SimpleNamespace(name="number")
        yield SimpleNamespace(
            execute=lambda *_given: None, description=[column], fetchall=lambda: [(self.number,)]
        )

    def close(self) -> None:
        self.closed = True


def test_statements_go_over_one_connection_until_that_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Session] = []

    def opened(url: str, _wanted: Any) -> Session:
        assert url == "postgresql://h/d"
        made.append(Session(len(made)))
        return made[-1]

    monkeypatch.setattr(plain_database, "open_session", opened)
    database = PlainDatabase("postgresql://h/d", application_name="headrace:cli")
    database.close()

    def asked() -> Any:
        return database.run_named("leader", {})

    assert [asked(), asked()] == [[{"number": 0}]] * 2
    # As the server leaves it that was restarted meanwhile.
    made[0].closed = True
    assert [asked(), asked()] == [[{"number": 1}]] * 2
    database.close()
    assert made[1].closed
