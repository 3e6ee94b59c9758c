"""Staging tables that several connections fill, each with a commit of its own.

They lie in the schema `headrace` of the target's database and carry the job's id. While an attempt
runs it holds their name, so that the next job of this kind can tell those that were left behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.staging_table import create_schema, lock_name
from headrace.jobs.tables.table_catalog import Column, Table, find_table
from headrace.jobs.tables.table_creation import make_table
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_SCHEMA = "headrace"


@dataclass(frozen=True, slots=True)
class Stagings:
    """The staging tables of one job."""

    prefix: str

    @classmethod
    def of_job(cls) -> "Stagings":
        """Return those of the job that runs."""
        return cls("mirror_" + str(jobapi.current().job_id).replace("-", ""))

    def name(self, number: int) -> str:
        """Return the name of one as a user writes it."""
        return f"{_SCHEMA}.{self.prefix}_{number}"

    def hold(self, target: "Session") -> None:
        """Hold the name until the job's transaction ends.

        Raises:
            JobFailure: the role cannot make tables there.
        """
        row = execute(target, packaged_sql("may_stage")).one()
        if not row.may:
            raise JobFailure(
                f"with jobs rows wait in the schema {_SCHEMA} of the target, where the role "
                f"{row.role} cannot make tables: GRANT CREATE ON SCHEMA {_SCHEMA} TO "
                f"{quote_name(row.role)}, or leave jobs out"
            )
        lock_name(target, f"{_SCHEMA}.{self.prefix}")

    def drop_left(self, session: "Session") -> None:
        """Drop what earlier attempts have left, of this job and of those that have ended."""
        rows = execute(session, packaged_sql("left_staging", own=self.prefix))
        for name in [row.name for row in rows]:
            logger.info("Dropping %s.%s, which an attempt has left behind", _SCHEMA, name)
            table = RenderedSql(f"{quote_name(_SCHEMA)}.{quote_name(name)}", {})
            execute(session, packaged_sql("drop_exactly", table=table))

    def make(self, session: "Session", number: int, columns: Sequence[Column]) -> None:
        """Make one for rows that go on to a table that is there."""
        create_schema(session, self.name(number))
        declared = RenderedSql(", ".join(column.declared for column in columns), {})
        table = RenderedSql(self.name(number), {})
        execute(session, packaged_sql("make_unlogged", table=table, columns=declared))

    def make_target(
        self, session: "Session", number: int, columns: Sequence[Column], model: Table
    ) -> None:
        """Make one that becomes the target itself, which is missing."""
        make_table(session, self.name(number), columns, model=model)

    def find(self, session: "Session", number: int) -> Table:
        """Return what the catalogue knows of one."""
        found = find_table(session, self.name(number))
        assert found is not None, "it was made and committed"
        return found
