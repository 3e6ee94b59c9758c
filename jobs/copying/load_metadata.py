"""Fills columns that say where a row comes from: its file and line, when and by which run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.staging_table import STAGED
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


MetadataName = Literal["_loaded_at", "_file", "_line", "_run_id"]

_TYPES: dict[MetadataName, str] = {
    "_loaded_at": "timestamp with time zone",
    "_file": "text",
    "_line": "bigint",
    "_run_id": "text",
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """The columns that are asked for. They stand in the staging table as defaults."""

    names: Sequence[MetadataName] = ()

    @property
    def has_line(self) -> bool:
        """Whether each row brings the number of its line."""
        return "_line" in self.names

    def columns(self, target: Table) -> list[Column]:
        """Return the columns, with the target's own types where it has them.

        Raises:
            JobFailure: the target generates one of them.
        """
        own = {column.name: column for column in target.columns}
        generated = [name for name in self.names if name in own and own[name].generated]
        if generated:
            raise JobFailure(f"{target.written}.{generated[0]} is generated: it takes no value")
        return [own.get(name, Column(name, _TYPES[name])) for name in self.names]

    def set_constants(self, session: "Session") -> None:
        """Set what is the same for all rows."""
        if "_run_id" in self.names:
            _set_default(session, "_run_id", jobapi.current().run_id)
        if "_loaded_at" in self.names:
            statement = packaged_sql("set_default_now", staged=STAGED, column="_loaded_at")
            execute(session, statement)

    def set_file(self, session: "Session", name: str) -> None:
        """Set what is the same for all rows of a file."""
        if "_file" in self.names:
            _set_default(session, "_file", name)

    def add_columns(self, session: "Session", target: Table) -> None:
        """Add to the target those that it lacks: they are ours, and no change of its own."""
        there = {column.name for column in target.columns}
        for name in self.names:
            if name not in there:
                declared = RenderedSql(Column(name, _TYPES[name]).declared, {})
                statement = packaged_sql("add_column", table=target.sql, column=declared)
                execute(session, statement)


NO_METADATA = Metadata()


def _set_default(session: "Session", column: str, value: str | None) -> None:
    statement = packaged_sql("set_default", staged=STAGED, column=column, value=value)
    execute(session, statement)
