"""How a long statement is watched: what is looked at, what is shown of it, and when no more."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.jobs.tables import server_progress
from headrace.jobs.tables.server_progress import CONNECTION, watched

PID = 4711


class Server:
    """Answers each look with the next of `answers`, then with nothing; `over` is set then."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers, self.over, self.shown = iter(answers), threading.Event(), list[Any]()
        self.places, self.asked, self.watch = list[Any](), list[Any](), list[Any]()
        self.begun, self.threads = threading.Event(), set[threading.Thread]()

    def get_execution_options(self) -> dict[str, str]:
        return {CONNECTION: "there"}

    @contextmanager
    def aside(self, connection: str | None) -> Iterator["Server"]:
        self.places.append(connection)
        self.threads.add(threading.current_thread())
        yield self

    def execute(self, where: object, statement: Any) -> Any:
        assert where is self
        if not statement.binds:
            assert "pg_backend_pid()" in statement.display
            return SimpleNamespace(scalar_one=lambda: PID)
        self.asked.append(list(statement.binds.values()))
        answer = next(self.answers, lambda server: server.over.set())
        if callable(answer):
            answer = answer(self)
        return SimpleNamespace(first=lambda: answer)

    def add_rows(self, rows: int) -> None:
        self.shown.append(rows)

    def show(self, *shown: object) -> None:
        self.shown.append(shown)


def row(done: int) -> Any:
    return SimpleNamespace(done=done, total=20, unit="blocks")


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def look(answers: list[Any], *, adds_rows: bool = False, end: int | None = None) -> Any:
        server: Any = Server(answers)
        api = SimpleNamespace(current=lambda: server, meter=lambda: server)
        for name, value in (("jobapi", api), ("execute", server.execute), ("_FIRST_S", 0.0),
                            ("_EVERY_S", 0.0), ("_LAST_LOOK_S", 60.0),
                            ("connection_of", lambda one: one)):  # fmt: skip
            monkeypatch.setattr(server_progress, name, value)
        with watched(server, adds_rows=adds_rows) as watch:
            assert watch is not None
            server.watch.append(watch)
            server.begun.set()
            assert server.over.wait(60)
        (thread,) = server.threads
        assert (thread.name, thread.daemon, thread.is_alive()) == ("headrace-progress", True, False)
        if end is not None:
            watch.count_rows(end)
        return server

    return look


def test_each_look_shows_how_far_the_servers_process_has_got(looked_at):
    server = looked_at([row(5), None, row(9)])

    assert server.shown == [(5, 20, "blocks"), (9, 20, "blocks")]
    assert set(server.places) == {"there"}
    assert {value for asked in server.asked for value in asked} == {PID}


def test_rows_of_a_copy_are_added_as_they_come_and_at_the_end(looked_at):
    assert looked_at([row(5), row(9)], adds_rows=True, end=12).shown == [5, 4, 3]


def test_a_look_that_fails_is_told_and_is_the_last(looked_at, caplog):
    caplog.set_level("INFO")

    assert looked_at([row(5), _fails, row(9)]).shown == [(5, 20, "blocks")]

    assert caplog.messages == ["How far it has got is not known: no connection"]


@pytest.mark.parametrize("answer", ["_fails", "row"])
def test_what_a_look_finds_after_the_end_is_neither_shown_nor_told(looked_at, caplog, answer):
    caplog.set_level("INFO")

    def late(server: Server) -> Any:
        assert server.begun.wait(60)
        server.watch[0]._ended.set()
        server.over.set()
        return _fails(server) if answer == "_fails" else row(9)

    assert looked_at([row(5), late]).shown == [(5, 20, "blocks")]
    assert caplog.messages == []


def test_a_connection_that_is_no_jobs_is_not_watched(monkeypatch):
    other = SimpleNamespace(get_execution_options=dict)
    monkeypatch.setattr(server_progress, "connection_of", lambda one: one)

    with watched(other) as watch:  # type: ignore[arg-type]
        assert watch is None


def _fails(server: Server) -> None:
    server.over.set()
    raise RuntimeError(" no connection \n")
