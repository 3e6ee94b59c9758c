"""Rows that are committed late, with older values of the cursor: none is ever lost."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from headrace.jobs.sql.packaged import execute
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import opened
from headrace.jobs.transfer.watermark import Incremental, begin
from headrace.template import RenderedSql
from tests.integration.test_jobs_between_servers import rows, run

INTERLEAVINGS = 40
TARGET = RenderedSql("target", {})
NEW = "INSERT INTO event VALUES ({}, '2026-01-01 00:00+00'::timestamptz + {} * interval '1 min')"


class Writers:
    """Transactions that insert a row each, and end in any order, many reads later perhaps."""

    def __init__(self, there: Engine, dice: random.Random) -> None:
        self._there, self._dice, self._number = there, dice, 0
        self.open: list[Connection] = []

    def step(self) -> None:
        if len(self.open) < 2 or (len(self.open) < 6 and self._dice.random() < 0.5):
            self._begin()
        else:
            self.end(self.open.pop(self._dice.randrange(len(self.open))))

    def end(self, writer: Connection) -> None:
        writer.commit() if self._dice.random() < 0.9 else writer.rollback()
        writer.close()

    def _begin(self) -> None:
        writer = self._there.connect()
        self._number += 1
        # A later number has an older or a younger value, in a subtransaction or not.
        inner = writer.begin_nested() if self._dice.random() < 0.5 else None
        writer.execute(text(NEW.format(self._number, self._dice.randrange(100_000))))
        if inner is not None:
            inner.commit()
        self.open.append(writer)


def read(target: Engine, there: Engine, between: Callable[[], None]) -> int:
    """Read what is new as SyncTable does, and store it with the watermark; return the rows."""
    with target.begin() as to, there.begin() as of, Session(to) as session, Session(of) as source:
        what = opened(source, "event", Selection(), local=False)
        progress = begin(session, what, Incremental("at"), table="target", connection="there")
        between()
        found = [
            dict(row) for row in execute(source, progress.source.query(["id", "at"])).mappings()
        ]
        between()
        if found:
            session.execute(
                text("INSERT INTO target VALUES (:id, :at) ON CONFLICT (id) DO NOTHING"), found
            )
        progress.store(session, progress.greatest(session, TARGET))
        session.commit()
        between()
        return len(found)


@pytest.fixture
def there(run_job: Any, second: Engine, execute: Callable[[str], None]) -> Engine:
    execute("CREATE TABLE target (id int PRIMARY KEY, at timestamptz)")
    execute("INSERT INTO target VALUES (0, '2026-01-01 00:00+00')")
    run(second, "CREATE TABLE event (id int PRIMARY KEY, at timestamptz)")
    run(second, "INSERT INTO event VALUES (0, '2026-01-01 00:00+00')")
    return second


def test_random_interleavings_of_late_writers_lose_no_row_and_read_few_twice(there, target):
    dice = random.Random(2026)
    writers = Writers(there, dice)

    def between() -> None:
        for _ in range(dice.randrange(3)):
            writers.step()

    total = sum(read(target, there, between) for _ in range(INTERLEAVINGS))
    for writer in writers.open:
        writers.end(writer)
    read(target, there, lambda: None)

    everything = "SELECT id, at FROM {} ORDER BY id"
    written = rows(there, everything.format("event"))
    assert rows(target, everything.format("target")) == written
    assert len(written) > INTERLEAVINGS / 2
    # Not by reading everything each time.
    assert total < len(written) * INTERLEAVINGS / 4
