"""Names and holds the old rows of a table."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.archive_losses import PICKED
from headrace.jobs.tables.local_settings import set_locally
from headrace.jobs.tables.table_catalog import readable_table, split_table
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Pick:
    """Which rows of `table` are old, and how they are held.

    `keep` leaves out what the archive has by its key, where that is `known` here. `lock_wait_s` is
    how long rows that others hold are waited for before they are passed over; None waits as the
    session does. A forecast `holds` none.
    """

    table: str
    into: str
    column: str
    where: str | None = None
    newest_first: bool = False
    keep: bool = False
    lock_wait_s: float | None = None
    holds: bool = True
    known: bool = True

    def statement(
        self, cutoff: str, limit: int | None, *, key: list[str] | None = None, skip: bool = False
    ) -> RenderedSql:
        """Return the statement that names and holds at most `limit` rows."""
        return packaged_sql(
            "archive_pick",
            picked=PICKED,
            table=self.table,
            bare=split_table(self.table)[1],
            into=self.into,
            column=self.column,
            cutoff=cutoff,
            where=None if self.where is None else RenderedSql(self.where, {}),
            newest_first=self.newest_first,
            limit=limit,
            keep=self.keep,
            absent=bool(key),
            key=key or [],
            skip=skip,
            holds=self.holds,
        )

    def left(self, cutoff: str) -> RenderedSql:
        """Return the statement that counts the old rows that are there."""
        where = None if self.where is None else RenderedSql(self.where, {})
        return packaged_sql(
            "archive_left", table=self.table, column=self.column, cutoff=cutoff, where=where
        )


def pick_rows(session: "Session", pick: Pick, cutoff: str, limit: int | None) -> None:
    """Name and hold rows in the temporary table `PICKED`.

    Raises:
        JobFailure: rows are to be kept, and the table has no key by which to know them again.
    """
    key: list[str] = []
    if pick.keep and pick.known:
        key = readable_table(session, pick.table).primary_key
        if not key:
            raise JobFailure(
                f"{pick.table} has no primary key: with keep_rows a second run could not know "
                "which rows are in the archive"
            )
    if pick.lock_wait_s is None:
        execute(session, pick.statement(cutoff, limit, key=key))
        return
    # Imported here, and not where a job's file is loaded: `headrace validate` sends nothing.
    from psycopg2 import errors
    from sqlalchemy.exc import OperationalError

    limit_ms = f"{max(1, round(pick.lock_wait_s * 1000))}ms"
    try:
        with session.begin_nested(), set_locally(session, ("lock_timeout", limit_ms)):
            execute(session, pick.statement(cutoff, limit, key=key))
    except OperationalError as error:
        if not isinstance(error.orig, errors.LockNotAvailable):
            raise
        logger.warning("Others hold old rows of %s: those are left", pick.table)
        execute(session, pick.statement(cutoff, limit, key=key, skip=True))
