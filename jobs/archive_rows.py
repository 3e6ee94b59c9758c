"""ArchiveRows: move old rows to another table."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.jobs.statements.previews import ALL_COLUMNS
from headrace.jobs.tables.archive_losses import (
    PICKED,
    archived_columns,
    refuse_lost_children,
    refuse_unfit_table,
)
from headrace.jobs.tables.staging_table import create_schema, lock_name
from headrace.jobs.tables.table_catalog import split_table
from headrace.template import Preview, RenderedSql
from headrace.template.dates import days, hours, minutes, seconds, weeks
from headrace.template.spans import Span, add

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": seconds, "m": minutes, "h": hours, "d": days, "w": weeks}


class ArchiveRows(BaseJob):
    """Move old rows to an archive table, in one statement: none is lost, none is duplicated.

    If the archive table is missing, it is created like the source table; an existing one keeps
    its definition and must have the columns. Rows to which others refer by ON DELETE CASCADE,
    SET NULL or SET DEFAULT are not moved: archive the referring rows in an earlier step. All of it
    is one transaction: with a large backlog, use `limit` to move a part per run, so that no run
    holds its locks and the server's space for long. The result is `{row_count, into, before}`.

    Parameters:
        table: the table to take rows from.
        into: the archive table.
        column: the date or time column that decides a row's age.
        older_than: age in s, m, h, d or w, such as `90d`, counted back from the run's logical
            date, so that a later repetition moves the same rows.
        before: a date or time instead: rows before it are moved.
        limit: the greatest number of rows to move, the oldest first.
    """

    result_keys: ClassVar = {"row_count": int, "into": str, "before": str}
    tables_written = ("table", "into")
    tables_made = ("into",)

    def __init__(
        self,
        table: str,
        into: str,
        column: str,
        older_than: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (older_than is None) == (before is None):
            raise InvalidPayload("ArchiveRows takes either older_than or before")
        if table == into:
            raise InvalidPayload(f"into is the table itself, {table}: choose another one")
        if limit is not None and limit < 1:
            raise InvalidPayload(f"limit must be at least 1, not {limit}")
        self.table, self.into, self.column = table, into, column
        self.age = None if older_than is None else _duration(older_than)
        self.before = before
        self.limit = limit

    def handle(self) -> dict[str, Any]:
        cutoff = self._cutoff()
        logger.info("Archiving rows of %s before %s", self.table, cutoff)
        with self.session() as session:
            count = self._move(session, cutoff)
        logger.info("Moved %d rows into %s", count, self.into)
        return {"row_count": count, "into": self.into, "before": cutoff}

    def _move(self, session: "Session", cutoff: str) -> int:
        refuse_unfit_table(session, self.table, self.into, self.column)
        lock_name(session, self.into)
        create_schema(session, self.into)
        execute(session, self.sql("archive_create", table=self.table, into=self.into))
        columns = archived_columns(session, self.table, self.into)
        execute(session, self._pick(cutoff))
        execute(session, self.sql("archive_analyze", picked=PICKED))
        refuse_lost_children(session, self.table)
        counted = execute(session, self._statement(columns)).one()
        if not counted.picked == counted.moved == counted.stored:
            raise JobFailure(
                f"of {counted.picked} old rows of {self.table}, {counted.moved} could be deleted "
                f"and {counted.stored} stored in {self.into}: a trigger or a rule of one of the "
                "two tables keeps rows back"
            )
        return int(counted.stored)

    def preview(self) -> Iterator[Preview]:
        split_table(self.into)
        create = self.sql("archive_create", table=self.table, into=self.into)
        yield Preview(create, self.connection)
        yield Preview(
            self._pick(self._cutoff()),
            self.connection,
            explain=self.sql("select_columns", table=self.table, columns=[self.column]),
        )
        yield Preview(
            self._statement(ALL_COLUMNS),
            self.connection,
            f"the columns of {self.table} are read from the catalog",
            unexplained="it reads rows that are selected first",
        )

    def _pick(self, cutoff: str) -> RenderedSql:
        return self.sql(
            "archive_pick",
            picked=PICKED,
            table=self.table,
            column=self.column,
            cutoff=cutoff,
            limit=self.limit,
        )

    def _statement(self, columns: list[str]) -> RenderedSql:
        return self.sql(
            "archive_move",
            picked=PICKED,
            table=self.table,
            into=self.into,
            columns=RenderedSql(", ".join(columns), {}),
            old_columns=RenderedSql(", ".join(f"old.{column}" for column in columns), {}),
        )

    def _cutoff(self) -> str:
        if self.age is None:
            return str(self.before)
        now = jobapi.current().logical_date or datetime.now(UTC)
        return str(add(now, -self.age).isoformat())


def _duration(text: str) -> Span:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidPayload(f"older_than {text!r} is not an age: write one such as 12h or 90d")
    return _UNITS[match[2]](int(match[1]))
