"""Reads tables on several connections at once, into staging tables of the job's own."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.mirroring.arrivals import (
    Arrived,
    Manner,
    add_key_and_indexes,
    checksum_of,
    fitted,
)
from headrace.jobs.mirroring.committed_staging import Stagings
from headrace.jobs.mirroring.copies import Copy
from headrace.jobs.mirroring.crew import Crew
from headrace.jobs.mirroring.opening import OpensSnapshots
from headrace.jobs.mirroring.parts import Part, parts_of
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.staging_table import STAGED, create_schema
from headrace.jobs.tables.table_catalog import Column, Table, split_table, writable_table
from headrace.jobs.transfer.source import Source, known_types, opened, pour
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class _Work:
    """One table: what is read, what it is for, and its columns on the way."""

    number: int
    copy: Copy
    source: Source
    target: Table | None
    columns: list[Column]


class ParallelReading:
    """The copies of one job on `size` connections; tables larger than `most_bytes` are divided."""

    def __init__(
        self,
        job: OpensSnapshots,
        connections: tuple[str | None, str | None],
        size: int,
        most_bytes: int | None,
    ) -> None:
        self._job, self._size, self._most_bytes = job, size, most_bytes
        self._from, self._to = connections
        self._stagings = Stagings.of_job()

    @contextmanager
    def read_all(
        self, source: "Session", target: "Session", copies: Sequence[Copy], manner: Manner
    ) -> Iterator[list[Arrived]]:
        """Read all tables, and keep what has arrived for the block, which publishes it.

        `source` has the snapshot that all connections see. The block's work is undone, and the
        staging tables go, if it fails.

        Raises:
            JobFailure: as `arrivals.read_all`, or connections are lacking.
        """
        self._stagings.hold(target)
        works = [self._work(source, target, n, copy) for n, copy in enumerate(copies, 1)]
        exported = str(execute(source, packaged_sql("export_snapshot")).scalar_one())
        try:
            self._make(works)
            counts = self._load(target, works, exported)
            # Undone as one, so that nothing of the job holds the staging tables any more.
            with target.begin_nested():
                yield [self._arrived(target, work, counts.get(work.number, 0), manner)
                       for work in works]  # fmt: skip
                for work in works:
                    if work.target is not None:
                        name = self._stagings.find(target, work.number).sql
                        execute(target, packaged_sql("drop_exactly", table=name))
        except BaseException:
            # What is not dropped here, because the server is gone, the next one drops.
            with contextlib.suppress(Exception), self._job.aside(self._to) as aside:
                self._stagings.drop_left(aside)
            raise

    def _work(self, source: "Session", target: "Session", number: int, copy: Copy) -> _Work:
        there = opened(source, copy.source, copy.selection, local=False)
        columns = known_types(target, there.model, copy.target)
        return _Work(number, copy, there, writable_table(target, copy.target), columns)

    def _make(self, works: Sequence[_Work]) -> None:
        with self._job.aside(self._to) as session:
            self._stagings.drop_left(session)
            for work in works:
                if work.target is None:
                    self._stagings.make_target(
                        session, work.number, work.columns, work.source.model
                    )
                else:
                    self._stagings.make(session, work.number, work.columns)

    def _load(self, target: "Session", works: Sequence[_Work], exported: str) -> dict[int, int]:
        staged = {work.number: self._stagings.find(target, work.number) for work in works}
        parts = [
            part for work in works for part in parts_of(work.number, work.source, self._most_bytes)
        ]
        size = min(self._size, len(parts))
        logger.info("Reading %d tables in %d parts on %d connections", len(works), len(parts), size)

        def load(part: Part, reading: "Session", writing: "Session") -> int:
            into = staged[part.table]
            return pour(part.read_by(reading), writing, into.sql, into.columns)

        return Crew(self._job, self._from, self._to, exported, size).run(parts, load)

    def _arrived(self, target: "Session", work: _Work, rows: int, manner: Manner) -> Arrived:
        staged, name = self._stagings.find(target, work.number), work.copy.target
        if work.target is not None:
            execute(target, packaged_sql("analyze_named", table=staged.sql))
            execute(target, packaged_sql("view_staged", staged=STAGED, table=staged.sql))
            kept = f"{STAGED}_{work.number}"
            return fitted(target, work.source, work.copy, work.target, kept, rows, manner)
        if writable_table(target, name) is not None:
            raise JobFailure(f"{name} was made by somebody else meanwhile: run the job again")
        manner.expect.check_rows(rows, name)
        made = self._moved(target, staged, name)
        add_key_and_indexes(target, made, work.source, manner)
        names = [column.name for column in made.columns]
        checksum = checksum_of(work.source, names, manner.verify)
        return Arrived(work.copy, work.source, rows, made, checksum=checksum)

    def _moved(self, target: "Session", staged: Table, name: str) -> Table:
        """Let a staging table become the target."""
        create_schema(target, name)
        schema, table = split_table(name)
        schema = schema or str(execute(target, packaged_sql("current_schema")).scalar_one())
        execute(target, packaged_sql("move_table", table=staged.sql, schema=schema))
        moved = RenderedSql(f"{quote_name(schema)}.{quote_name(staged.name)}", {})
        execute(target, packaged_sql("move_table", table=moved, schema=None, name=table))
        found = writable_table(target, name)
        assert found is not None, "it was just moved there"
        return found
