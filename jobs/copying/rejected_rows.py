"""Sets rows aside that cannot be stored: into a table that outlives the job's failure."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.errors.numbers import number_of
from headrace.errors.shortened import shortened
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import Limit
from headrace.jobs.tables.table_catalog import split_table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


OnError = dict[Literal["reject_table", "limit"], int | str]
"""What `on_error` takes, as in `{reject_table: raw.order_reject, limit: 1%}`."""

_ROWS_KEPT = 500
_MOST_CHARACTERS = 100_000
Aside = Callable[[], "AbstractContextManager[Session]"]
"""Opens a session beside the job's, whose work stays although the job fails."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was set aside."""

    file: str
    line: int
    column: str | None
    reason: str
    raw: str


@dataclass(slots=True)
class Rejects:
    """The rows that a load sets aside, each committed by itself: a retry replaces them."""

    table: str
    limit: Limit
    aside: Aside
    count: int = 0
    _kept: list[Rejected] = field(default_factory=list)
    _made: bool = False

    @classmethod
    def read(
        cls, given: Mapping[Literal["reject_table", "limit"], int | str] | None, aside: Aside
    ) -> "Rejects | None":
        """Read the parameter `on_error`.

        Raises:
            InvalidPayload: it names no table, or no limit.
        """
        if given is None:
            return None
        if "reject_table" not in given or "limit" not in given:
            raise InvalidPayload(
                "on_error has a reject_table and a limit, as in "
                "{reject_table: raw.order_reject, limit: 1%}"
            )
        table = str(given["reject_table"])
        split_table(table)
        return cls(table, Limit.read(given["limit"], "on_error.limit"), aside)

    def add(self, row: Rejected) -> None:
        """Set a row aside.

        Raises:
            JobFailure: there are more than the limit, if that is a number.
        """
        if not self.count:
            logger.info("%s:%d is set aside: %s", row.file, row.line, row.reason)
        self.count += 1
        self._kept.append(row)
        if len(self._kept) >= _ROWS_KEPT:
            self._flush()
        if self.limit.count is not None and self.count > self.limit.count:
            self.end(self.count)

    def end(self, read: int) -> None:
        """Store what is left; `read` is the number of all rows, those set aside among them.

        Raises:
            JobFailure: more were set aside than the limit allows.
        """
        self._flush()
        if not self.limit.allows(self.count, read):
            raise JobFailure(
                f"{number_of(self.count, 'row')} could not be stored, and on_error.limit is "
                f"{self.limit.written}: nothing is loaded; see the rows in {self.table} with "
                f"job_id = '{jobapi.current().job_id}'"
            )
        if self.count:
            logger.warning("Set aside %s in %s", number_of(self.count, "row"), self.table)

    def begin(self) -> None:
        """Remove what an earlier attempt of this job has set aside."""
        with self.aside() as session:
            self._make(session)
            statement = packaged_sql(
                "delete_rejected", table=self.table, job_id=jobapi.current().job_id
            )
            execute(session, statement)

    def _make(self, session: "Session") -> None:
        schema, _ = split_table(self.table)
        if schema is not None:
            state = execute(session, packaged_sql("schema_state", schema=schema)).mappings().one()
            if not state["there"]:
                execute(session, packaged_sql("create_schema", schema=schema))
        execute(session, packaged_sql("create_rejected", table=self.table))

    def _flush(self) -> None:
        if not self._kept:
            return
        attempt = jobapi.current()
        rows, self._kept = self._kept, []
        statement = packaged_sql(
            "insert_rejected",
            table=self.table,
            files=[row.file for row in rows],
            lines=[row.line for row in rows],
            columns=[row.column for row in rows],
            reasons=[_storable(row.reason) for row in rows],
            raws=[_storable(row.raw) for row in rows],
            job_id=attempt.job_id,
            attempt=attempt.attempt,
            run_id=attempt.run_id,
        )
        with self.aside() as session:
            execute(session, statement)


def _storable(text: str) -> str:
    """Return a text as a database stores it, cut where it is very long."""
    text = text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
    return shortened(text, _MOST_CHARACTERS)
