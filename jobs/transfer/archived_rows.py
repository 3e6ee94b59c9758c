"""Brings picked rows into the archive of another database, by key."""

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.archive_moving import Branch
from headrace.jobs.tables.row_storage import Staged, merge_staged
from headrace.jobs.tables.table_catalog import readable_table
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import Source, stage

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def transfer_picked(source: "Session", target: "Session", branch: Branch) -> int:
    """Write the picked rows into the archive on the target's connection; return their number.

    By the table's primary key: what a transfer before has left there, whose rows were not deleted
    here any more, is brought to the present values.

    Raises:
        JobFailure: the table has no primary key, or rows were lost on the way.
    """
    model = readable_table(source, branch.table)
    if not model.primary_key:
        raise JobFailure(
            f"{branch.table} has no primary key, by which a repeated batch would find its rows on "
            "the other connection"
        )
    plain = replace(model, columns=tuple(c for c in model.columns if not c.generated))
    kept, values = Selection().of(plain)
    picked = packaged_sql("archive_is_picked", picked=branch.picked)
    rows = stage(
        Source(model, kept, values, Selection(), source, local=False, conditions=(picked,)),
        target,
        branch.into,
    )
    held = execute(source, packaged_sql("count_rows", table=branch.picked)).scalar_one()
    if rows != held:
        raise JobFailure(f"{branch.table}: {held} rows were held, but {rows} were read")
    merge_staged(target, branch.into, Staged(rows, kept), model.primary_key, delete=False)
    return rows
