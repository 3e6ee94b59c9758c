"""ArchiveRows: move old rows to another table."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from jobs.base import BaseJob, execute, logger
from jobs.previews import ALL_COLUMNS
from jobs.staging import columns_of
from jobs.tables import create_schema, lock_name, split_table
from runner import jobapi
from runner.errors import InvalidPayload
from runner.template import Preview, RenderedSql

_DURATION = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class ArchiveRows(BaseJob):
    """Move old rows to an archive table, in one statement: none is lost, none is doubled.

    The archive table is created like the other where it is missing. The result is
    `{row_count, into, before}`.

    Parameters:
        table: the table to take rows from.
        into: the archive table.
        column: the date or time by which a row is old.
        older_than: age in s, m, h, d or w, such as `90d`, counted back from the run's logical
            date, so that a later repetition moves the same rows.
        before: a date or time instead: rows before it are moved.
        limit: move at most so many rows, the oldest first.
    """

    result_keys = ("row_count", "into", "before")

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
        if limit is not None and limit < 1:
            raise InvalidPayload(f"limit is at least 1, not {limit}")
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

    def _move(self, session: Session, cutoff: str) -> int:
        lock_name(session, self.into)
        create_schema(session, self.into)
        execute(session, self.sql("archive_create", table=self.table, into=self.into))
        columns = [column.name for column in columns_of(session, self.table)]
        return execute(session, self._statement(columns, cutoff)).rowcount

    def preview(self) -> Iterator[Preview]:
        split_table(self.into)
        create = self.sql("archive_create", table=self.table, into=self.into)
        yield Preview(create, self.connection)
        yield Preview(
            self._statement(ALL_COLUMNS, self._cutoff()),
            self.connection,
            f"the columns of {self.table} are read from the catalogue",
            explain=self.sql("select_columns", table=self.table, columns=[self.column]),
        )

    def _statement(self, columns: list[str], cutoff: str) -> RenderedSql:
        return self.sql(
            "archive_rows",
            table=self.table,
            into=self.into,
            column=self.column,
            columns=columns,
            cutoff=cutoff,
            limit=self.limit,
        )

    def _cutoff(self) -> str:
        if self.age is None:
            return str(self.before)
        now = jobapi.current().logical_date or datetime.now(UTC)
        return (now - self.age).isoformat()


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidPayload(f"older_than {text!r} is no age: write one such as 12h or 90d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
