"""Takes whole partitions out of a table: into an archive as they are, or dropped once copied."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from headrace.errors import InvalidPayload, JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.archive_losses import PICKED, refuse_unfit_table
from headrace.jobs.tables.archive_moving import Branch, Verify, move_picked
from headrace.jobs.tables.archive_picking import Pick, pick_rows
from headrace.jobs.tables.partitions import Partition, Partitioned, partitioned
from headrace.jobs.tables.row_forecast import Looking, OpensSessions
from headrace.jobs.tables.staging_table import create_schema, drop_staged, lock_name
from headrace.jobs.tables.table_catalog import find_table, unquoted
from headrace.model.forecast import Forecast, TableForecast
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_OF_ROWS = (
    "where", "order", "limit", "batch_size", "wait", "lock_wait", "children", "keep_rows", "vacuum",
)  # fmt: skip


class OpensBatches(OpensSessions, Protocol):
    """A job, seen as what commits parts of its work."""

    def batch(
        self, label: str, connection: str | None = None
    ) -> AbstractContextManager["Session | None"]: ...

    def progress(self, done: int, total: int | None = None, unit: str = "rows") -> None: ...


@dataclass(frozen=True, slots=True)
class Old:
    """The partitions of a table that hold nothing but old rows, the oldest first."""

    table: Partitioned
    partitions: Sequence[Partition]


def refuse_row_keys(given: Mapping[str, Any]) -> None:
    """Refuse keys that speak of rows beside `partitions: detach`.

    Raises:
        InvalidPayload: naming the first.
    """
    for name in _OF_ROWS:
        if given.get(name):
            raise InvalidPayload(f"partitions: detach takes whole partitions: {name} is for rows")


def old_partitions(
    session: "Session", pick: Pick, cutoff: str, most: int | None, *, apart: bool
) -> Old:
    """Return the partitions whose whole range lies before `cutoff`, at most so many.

    `apart`: the archive is not in this database.

    Raises:
        JobFailure: the table is not partitioned by range of that column.
    """
    table, column = pick.table, pick.column
    refuse_unfit_table(session, table, table if apart else pick.into, column, apart=apart)
    found = partitioned(session, table)
    if unquoted(found.column) != unquoted(column):
        raise JobFailure(
            f"{table} is partitioned by {found.column}, not by {column}: partitions: detach goes "
            "by the column of the partitions"
        )
    type_ = RenderedSql(found.type, {})
    limit = execute(session, packaged_sql("cutoff_in_type", cutoff=cutoff, type=type_)).scalar_one()
    old = [one for one in found.partitions(session, str(limit)) if one.old]
    return Old(found, old[:most])


def move_partitions(
    job: OpensBatches, pick: Pick, cutoff: str, most: int | None, verify: Verify
) -> tuple[list[str], int]:
    """Move partitions to the archive in one transaction; return names, and the number of rows.

    An archive that is partitioned by the same column takes them as they are; a missing one is
    made so. Into another table their rows are copied, and the partitions are dropped.

    Raises:
        JobFailure: the archive is no table, or has not stored what was there.
    """
    with job.session() as session:
        old = old_partitions(session, pick, cutoff, most, apart=False)
        total = _move(session, old, pick.into, verify)
    return [one.name for one in old.partitions], total


def _move(session: "Session", old: Old, into: str, verify: Verify) -> int:
    lock_name(session, into)
    create_schema(session, into)
    facts = {"table": old.table.sql, "into": into, "column": old.table.values["column"]}
    there = find_table(session, into)
    if there is None:
        execute(session, packaged_sql("archive_partitioned", **facts))
    elif there.kind != "p":
        return sum(
            drop_copied(session, old.table, one, lambda part: _copied(session, part, into, verify))
            for one in old.partitions
        )
    archive = partitioned(session, into)
    if (archive.column, archive.type) != (old.table.column, old.table.type):
        raise JobFailure(
            f"{into} is partitioned by {archive.column} ({archive.type}), {old.table.written} by "
            f"{old.table.column} ({old.table.type}): it cannot take its partitions"
        )
    counts = [_prove(session, one) for one in old.partitions]
    for one in old.partitions:
        _attach(session, old.table, archive, one)
    return sum(counts)


def drop_copied(
    session: "Session", table: Partitioned, one: Partition, copy: Callable[[str], int]
) -> int:
    """Have a partition's rows copied while nobody can change them, then drop it.

    `copy` is given its name; the picked rows are all that it has. Returns their number.

    Raises:
        JobFailure: not all of its rows are seen, or they were not copied.
    """
    execute(session, packaged_sql("lock_partition", table=one.sql))
    _refuse_hidden_rows(session, one)
    drop_staged(session, PICKED)
    every = Pick(one.name, one.name, unquoted(table.column), holds=False)
    pick_rows(session, every, "infinity", None)
    count = copy(one.name)
    there = int(execute(session, packaged_sql("count_rows", table=one.name)).scalar_one())
    if count != there:
        raise JobFailure(
            f"{one.name} has {there} rows, but {count} were copied: nothing is dropped"
        )
    execute(session, packaged_sql("detach_partition", table=table.sql, partition=one.sql))
    execute(session, packaged_sql("drop_exactly", table=one.sql))
    logger.info("Copied %s of %s and dropped it", number_of(count, "row"), one.name)
    return count


def _refuse_hidden_rows(session: "Session", one: Partition) -> None:
    found = find_table(session, one.name)
    if found is not None and found.filtered:
        raise JobFailure(
            f"row level security applies to {one.name}: rows that the role {found.role} may not see"
            " would be dropped uncopied. Let a role with BYPASSRLS archive it, or ALTER TABLE"
            f" {one.name} NO FORCE ROW LEVEL SECURITY"
        )


def drop_one_by_one(
    job: OpensBatches,
    pick: Pick,
    cutoff: str,
    most: int | None,
    carry: Callable[["Session", int, str], tuple[int, int]],
) -> tuple[list[str], int, int]:
    """Have `carry` copy partition by partition, and drop each; each is committed by itself.

    `carry` is given the partition's number and name, and returns how many rows it has found and how
    many of them are new there. Returns the names, the number of rows, and how many had any.
    """
    names: list[str] = []
    total = filled = number = 0
    while most is None or number < most:
        number += 1
        with job.batch(f"partition {number}") as session:
            if session is None:
                continue  # An earlier attempt has committed it.
            old = old_partitions(session, pick, cutoff, 1, apart=True)
            for one in old.partitions:
                copy = partial(_found, carry, session, number)
                count = drop_copied(session, old.table, one, copy)
                total, filled = total + count, filled + (count > 0)
        if not old.partitions:
            break
        names += [one.name for one in old.partitions]
        job.progress(total)
    return names, total, filled


def forecast_partitions(
    looking: Looking, pick: Pick, cutoff: str, most: int | None, elsewhere: str | None
) -> Forecast:
    """Return what moving partitions would change; `elsewhere` says where to, if not here.

    Raises:
        JobFailure: as `old_partitions`.
    """
    into = pick.into if elsewhere is None else None
    old = old_partitions(looking.session, pick, cutoff, most, apart=into is None)
    with looking.reading() as reading:
        counts = [
            int(execute(reading, packaged_sql("count_rows", table=one.name)).scalar_one())
            for one in old.partitions
        ]
    total = sum(counts)
    tables = [TableForecast(old.table.written, 0, 0, total)]
    if into is not None:
        creates = find_table(looking.session, into) is None
        tables.append(TableForecast(into, total, 0, 0, creates=creates))
    names = ", ".join(one.name for one in old.partitions) or "none: none is old"
    notes = [f"partitions: {names}"]
    if elsewhere is not None:
        notes.append(f"the rows go to {elsewhere}, which is not looked at")
    return Forecast(tuple(tables), read=total, notes=tuple(notes))


def _copied(session: "Session", part: str, into: str, verify: Verify) -> int:
    return move_picked(session, Branch(part, into), keep=True, verify=verify)[part]


def _prove(session: "Session", one: Partition) -> int:
    """Let a partition say by itself what its bounds are; return the number of its rows."""
    found = execute(session, packaged_sql("partition_bound", name=one.name)).one()
    meets = RenderedSql(found.rows_meet, {})
    execute(session, packaged_sql("prove_bounds", table=one.sql, rows_meet=meets))
    execute(session, packaged_sql("check_bounds", table=one.sql))
    return int(execute(session, packaged_sql("count_rows", table=one.name)).scalar_one())


def _attach(session: "Session", table: Partitioned, archive: Partitioned, one: Partition) -> None:
    found = execute(session, packaged_sql("partition_bound", name=one.name)).one()
    bound = RenderedSql(found.bound, {})
    execute(session, packaged_sql("detach_partition", table=table.sql, partition=one.sql))
    moved = one.sql
    part = find_table(session, one.name)
    assert part is not None, "it was just detached"
    if part.schema != archive.schema:
        move = packaged_sql("move_to_schema", table=one.sql, schema=archive.schema)
        execute(session, move)
        moved = RenderedSql(f"{quote_name(archive.schema)}.{quote_name(one.bare)}", {})
    attach = packaged_sql("attach_as_before", table=archive.sql, partition=moved, bound=bound)
    execute(session, attach)
    execute(session, packaged_sql("unprove_bounds", table=moved))
    logger.info("%s is now %s, a partition of %s", one.name, moved.display, archive.written)


def _found(
    carry: Callable[["Session", int, str], tuple[int, int]],
    session: "Session",
    number: int,
    table: str,
) -> int:
    return carry(session, number, table)[0]
