"""Copies several tables: one snapshot of the source, one transaction of the target."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.mirroring.arrivals import Arrived, Manner, hold_names, read_all
from headrace.jobs.mirroring.copies import Copy
from headrace.jobs.mirroring.opening import OpensSnapshots
from headrace.jobs.mirroring.parallel_reading import ParallelReading
from headrace.jobs.mirroring.publishing import publish
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import readable_table
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def copy_tables(
    job: OpensSnapshots,
    copies_in: Callable[["Session"], Sequence[Copy]],
    manner: Manner,
    *,
    source_connection: str | None,
    target_connection: str | None,
    parallel: ParallelReading | None = None,
) -> dict[str, int]:
    """Copy tables and return the rows of each target.

    `copies_in` finds them in the source's catalogue. `parallel` reads them on several connections.

    Raises:
        JobFailure: one of them cannot be copied; then none is.
    """
    with job.session(target_connection) as target:
        with job.session(source_connection, read_only=True) as looking:
            copies = copies_in(looking)
            lock = _reading_lock(looking, copies)
        if source_connection == target_connection:
            _refuse_itself(copies)
        hold_names(target, copies)
        with job.snapshot(source_connection) as source:
            if lock is not None:
                execute(source, lock)
            with _reading(source, target, copies, manner, parallel) as arrived:
                logger.info("Read %s; publishing together", number_of(len(arrived), "table"))
                publish(target, arrived, manner)
    return {one.copy.target: one.rows for one in arrived}


def _reading(
    source: "Session",
    target: "Session",
    copies: Sequence[Copy],
    manner: Manner,
    parallel: ParallelReading | None,
) -> AbstractContextManager[list[Arrived]]:
    if parallel is None:
        return nullcontext(read_all(source, target, copies, manner))
    return parallel.read_all(source, target, copies, manner)


def _reading_lock(session: "Session", copies: Sequence[Copy]) -> RenderedSql | None:
    oids = [readable_table(session, copy.source).oid for copy in copies]
    names = [row.name for row in execute(session, packaged_sql("lockable_tables", oids=oids))]
    if not names:
        return None
    return packaged_sql("lock_read", tables=RenderedSql(", ".join(names), {}))


def _refuse_itself(copies: Sequence[Copy]) -> None:
    for copy in copies:
        if copy.source == copy.target:
            raise JobFailure(
                f"{copy.source} would be copied onto itself: name a target_schema, or another "
                "target_connection"
            )
