"""What a mirror reads in parts: which those are, and the threads that share them among them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.mirroring import crew, parts
from headrace.jobs.mirroring.crew import Crew
from headrace.jobs.mirroring.parts import Part, parts_of
from headrace.jobs.tables.table_catalog import Table
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import Source
from headrace.template import RenderedSql

SESSION: Any = object()
TABLE = Table(
    written="s.t", oid=1, schema="s", name="t", kind="r", role="me", readable=True,
    filtered=False, referenced=False, sifted=False, heirs=None, comment=None, columns=(),
)  # fmt: skip
WHERE = RenderedSql("t.id > 1", {})


# -- the parts ------------------------------------------------------------------------


def row(name: str, size: int, *, divisible: bool = True, readable: bool = True) -> dict[str, Any]:
    return {
        "name": name, "bytes": size, "page": 10, "divisible": divisible, "readable": readable,
    }  # fmt: skip


def found(
    monkeypatch: pytest.MonkeyPatch, table: Table, rows: list[dict[str, Any]]
) -> list[tuple[str, list[str], int]]:
    """Return what each part reads, the conditions of its own, and its bytes."""

    def execute(session: object, statement: RenderedSql) -> Any:
        assert (session, list(statement.binds.values())) == (SESSION, [1, 1])
        return SimpleNamespace(mappings=lambda: rows)

    monkeypatch.setattr(parts, "execute", execute)
    source = Source(table, table, {}, Selection(), SESSION, local=False, conditions=(WHERE,))
    made = list(parts_of(7, source, 100))
    assert {part.table for part in made} == {7}
    assert all(part.source.conditions[0] is WHERE for part in made)
    assert all(part.source.session is SESSION for part in made)
    return [
        (
            part.source.rows_in.display,
            [one.display for one in part.source.conditions[1:]],
            part.bytes,
        )
        for part in made
    ]


def test_a_table_is_read_in_ranges_and_partitions_by_themselves(monkeypatch):
    halves = [["ctid < '(10,0)'::tid"], ["ctid >= '(10,0)'::tid"]]
    ours = [('"s"."t"', half, 100) for half in halves]
    assert found(monkeypatch, TABLE, [row("s.t", 200)]) == ours
    assert found(monkeypatch, TABLE, [row("s.t", 100)]) == [('"s"."t"', [], 100)]

    rows = [row("s.t_1", 201), row("s.t_2", 300, divisible=False), row("s.t_3", 0)]
    assert found(monkeypatch, replace(TABLE, kind="p"), rows) == [
        ('s.t_1 AS "t"', ["ctid < '(7,0)'::tid"], 67),
        ('s.t_1 AS "t"', ["ctid >= '(7,0)'::tid AND ctid < '(14,0)'::tid"], 67),
        ('s.t_1 AS "t"', ["ctid >= '(14,0)'::tid"], 67),
        ('s.t_2 AS "t"', [], 300),
        ('s.t_3 AS "t"', [], 0),
    ]


@pytest.mark.parametrize(
    ("what", "rows"),
    [
        ({"kind": "v"}, [row("s.t", 500)]),
        ({"kind": "m"}, [row("s.t", 500)]),
        ({"filtered": True}, [row("s.t", 500)]),
        ({"kind": "p", "filtered": True}, [row("s.t_1", 500), row("s.t_2", 500)]),
        ({"heirs": "s.u"}, [row("s.t", 500)]),
        ({"kind": "p"}, [row("s.t_1", 500), row("s.t_2", 500, readable=False)]),
        ({"kind": "p"}, []),
    ],
)
def test_what_its_parts_would_show_otherwise_is_read_as_one(monkeypatch, what, rows):
    assert found(monkeypatch, replace(TABLE, **what), rows) == [('"s"."t"', [], 0)]


# -- those who read them --------------------------------------------------------------


class Connections:
    """Connections to source and target, of which the first to the target may not come about."""

    def __init__(self, *, come: bool = True) -> None:
        self.cancelled = threading.Event()
        self.asked: list[tuple[str | None, ...]] = []
        self.left = threading.Semaphore(0)
        self._come = come

    @contextmanager
    def _opened(self, *asked: str | None) -> Iterator[Any]:
        self.asked.append(asked)
        raw = SimpleNamespace(cancel=self._cancel)
        yield SimpleNamespace(
            place=asked[0],
            connection=lambda: SimpleNamespace(connection=SimpleNamespace(dbapi_connection=raw)),
        )
        self.left.release()

    def _cancel(self) -> None:
        self.cancelled.set()
        raise RuntimeError("it is closed already")

    def snapshot(self, connection: str | None = None, exported: str | None = None) -> Any:
        return self._opened(connection, exported)

    def aside(self, connection: str | None = None) -> Any:
        if not self._come:
            self._come = True
            raise JobFailure("no connection")
        return self._opened(connection)


def part(table: int, size: int) -> Part:
    source: Any = None
    return Part(table, source, size)


def of(connections: Connections, size: int) -> Crew:
    job: Any = connections
    return Crew(job, "there", "here", "snapshot", size)


def test_large_parts_come_first_and_rows_are_counted_by_table():
    connections, read = Connections(), list[int]()

    def load(one: Part, reading: Any, writing: Any) -> int:
        assert (reading.place, writing.place) == ("there", "here")
        read.append(one.bytes)
        return one.bytes

    counts = of(connections, 1).run([part(0, 2), part(1, 5), part(0, 9), part(2, 0)], load)

    assert read == [9, 5, 2, 0]
    assert counts == {0: 11, 1: 5, 2: 0}
    assert connections.asked == [("there", "snapshot"), ("here",)]
    assert not connections.cancelled.is_set()


def test_the_first_failure_ends_the_others_and_is_what_is_told():
    connections, both, begun = Connections(), threading.Barrier(2), list[int]()

    def load(one: Part, _reading: Any, _writing: Any) -> int:
        begun.append(one.bytes)
        both.wait(60)
        if one.bytes == 9:
            raise JobFailure("the first")
        assert connections.cancelled.wait(60)
        if one.bytes == 8:
            raise JobFailure("canceling statement due to user request")
        return 0

    with pytest.raises(JobFailure, match=r"^the first$"):
        of(connections, 2).run([part(0, 9), part(1, 8), part(2, 1)], load)
    assert sorted(begun) == [8, 9]

    connections.cancelled.clear()
    begun.clear()
    with pytest.raises(JobFailure, match=r"^the first$"):
        of(connections, 2).run([part(0, 9), part(1, 7), part(2, 1)], load)
    assert sorted(begun) == [7, 9]


def test_a_connection_that_is_refused_is_told_and_nothing_is_read():
    connections, read = Connections(come=False), list[Part]()

    def load(one: Part, *_sessions: Any) -> int:
        read.append(one)
        return 0

    with pytest.raises(JobFailure, match=r"^no connection$"):
        of(connections, 1).run([part(0, 1)], load)
    assert read == []


def test_who_gets_a_connection_too_late_reads_nothing(monkeypatch):
    connections, late, read = Connections(), threading.Event(), list[Part]()
    first, aside = threading.Lock(), connections.aside

    def load(one: Part, *_sessions: Any) -> int:
        read.append(one)
        return 0

    def waiting(connection: str | None = None) -> Any:
        if not first.acquire(blocking=False):
            assert late.wait(60)
        return aside(connection)

    monkeypatch.setattr(connections, "aside", waiting)
    monkeypatch.setattr(crew, "_PATIENCE_S", 0.0)
    with pytest.raises(JobFailure) as refused:
        of(connections, 2).run([part(0, 1)], load)

    assert str(refused.value).startswith(
        "jobs: 2 needs 2 connections to the source and as many to the target beside the job's own,"
        " but only "
    )
    assert connections.cancelled.is_set()
    late.set()
    for _ in range(4):
        assert connections.left.acquire(timeout=60)
    assert read == []
