"""Reads tables in one snapshot of the source, and keeps their rows until all are there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.mirroring.copies import Copy
from headrace.jobs.mirroring.made_tables import ForeignKeys, Indexes, copy_indexes
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import NOTHING_EXPECTED, Expectation
from headrace.jobs.tables.local_settings import set_locally
from headrace.jobs.tables.row_replacement import AnyStrategy
from headrace.jobs.tables.row_storage import Staged, agree_on
from headrace.jobs.tables.schema_drift import Agreement, OnSchemaChange
from headrace.jobs.tables.staging_table import STAGED, lock_name, rename_staged
from headrace.jobs.tables.table_catalog import Table, writable_table
from headrace.jobs.tables.table_creation import add_key, make_table
from headrace.jobs.tables.type_fitting import fit
from headrace.jobs.transfer.made_like_source import define_like_source
from headrace.jobs.transfer.source import PORTABLE, Source, known_types, opened, pour, stage
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Verify = Literal["none", "count", "checksum"]
# A time with a zone is written in the session's.
_COMPARABLE = (*PORTABLE, ("timezone", "UTC"))


@dataclass(frozen=True, slots=True)
class Manner:
    """How tables are written: the parameters of the same names."""

    on_schema_change: OnSchemaChange = "fail"
    strategy: AnyStrategy = "insert_from_staging"
    indexes: Indexes = "after"
    foreign_keys: ForeignKeys = "check"
    reset_sequences: bool = True
    verify: Verify = "count"
    expect: Expectation = field(default=NOTHING_EXPECTED)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A table whose rows are in the target's database.

    They are in the temporary table `staged`, for `target`, as `agreed`; or, where both are None,
    already in `target`, which was made. `checksum` is the source's, if it is wanted.
    """

    copy: Copy
    source: Source
    rows: int
    target: Table
    staged: str | None = None
    agreed: Agreement | None = None
    checksum: str | None = None

    @property
    def names(self) -> list[str]:
        """The columns that are written."""
        columns = self.agreed.columns if self.agreed else self.target.columns
        return [column.name for column in columns]


def hold_names(target: "Session", copies: Sequence[Copy]) -> None:
    """Hold off other jobs that refill these tables; in one order, so that no two of them jam."""
    for name in sorted({copy.target for copy in copies}):
        lock_name(target, name)


def read_all(
    source: "Session", target: "Session", copies: Sequence[Copy], manner: Manner
) -> list[Arrived]:
    """Read all tables one after the other; `source` sees one snapshot.

    Raises:
        JobFailure: as `source.pour`, or rows do not fit their table.
    """
    arrived = []
    for number, copy in enumerate(copies, 1):
        logger.info("Reading %s, table %d of %d", copy.source, number, len(copies))
        there = opened(source, copy.source, copy.selection, local=False)
        arrived.append(_read(target, there, copy, f"{STAGED}_{number}", manner))
    return arrived


def checksum_of(source: Source, names: Sequence[str], verify: Verify) -> str | None:
    """Return the checksum of what is read, None where it is not wanted."""
    if verify != "checksum":
        return None
    return checksum(source.session, source.query(names), names)


def checksum(session: "Session", query: RenderedSql, names: Sequence[str]) -> str:
    """Return the checksum of a query's rows, which the same rows have on any server."""
    statement = packaged_sql("rows_checksum", query=query, columns=list(names))
    with set_locally(session, *_COMPARABLE):
        return str(execute(session, statement).one().checksum)


def make_empty(target: "Session", source: Source, name: str) -> Table:
    """Make a table for what is read; it has no key yet."""
    return make_table(target, name, known_types(target, source.model, name), model=source.model)


def add_key_and_indexes(target: "Session", made: Table, source: Source, manner: Manner) -> None:
    """Give a table that was made and filled its key, identity, checks and indexes."""
    if manner.indexes != "none":
        add_key(target, made, model=source.model)
    define_like_source(target, made, source)
    if manner.indexes == "after":
        copy_indexes(target, made, source)


def _read(target: "Session", source: Source, copy: Copy, name: str, manner: Manner) -> Arrived:
    there = writable_table(target, copy.target)
    if there is None:
        made = make_empty(target, source, copy.target)
        rows = pour(source, target, made.sql, made.columns)
        manner.expect.check_rows(rows, copy.target)
        add_key_and_indexes(target, made, source, manner)
        names = [column.name for column in made.columns]
        return Arrived(copy, source, rows, made, checksum=checksum_of(source, names, manner.verify))
    rows = stage(source, target, copy.target)
    return fitted(target, source, copy, there, name, rows, manner)


def fitted(
    target: "Session",
    source: Source,
    copy: Copy,
    there: Table,
    name: str,
    rows: int,
    manner: Manner,
) -> Arrived:
    """Fit the staged rows to the table that they are for, and keep them under `name`."""
    manner.expect.check_rows(rows, copy.target)
    staged = Staged(rows, source.model)
    agreed = agree_on(target, there, staged, manner.on_schema_change, replaces=True)
    if agreed.anew:
        raise JobFailure(
            f"{copy.target} would have to be made again, and others may refer to it: mirror it in "
            "a step of its own with on_schema_change: recreate"
        )
    fit(target, there, agreed.columns, source.model, rows)
    rename_staged(target, STAGED, name)
    names = [column.name for column in agreed.columns]
    return Arrived(
        copy, source, rows, there, name, agreed, checksum_of(source, names, manner.verify)
    )
