"""Brings picked rows into the archive of another database, by key."""

from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.archive_moving import Branch
from headrace.jobs.tables.row_storage import merge_staged
from headrace.jobs.tables.staged_copy import stage_query
from headrace.jobs.tables.table_catalog import readable_table
from headrace.template import RenderedSql, quote_name

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
    columns = ", ".join(f"old.{quote_name(c.name)}" for c in model.columns if not c.generated)
    query = packaged_sql(
        "archive_rows_of",
        table=branch.table,
        picked=branch.picked,
        old_columns=RenderedSql(columns, {}),
    )
    staged = stage_query(source, target, model, query, into=branch.into)
    held = execute(source, packaged_sql("count_rows", table=branch.picked)).scalar_one()
    if staged.rows != held:
        raise JobFailure(f"{branch.table}: {held} rows were held, but {staged.rows} were read")
    merge_staged(target, branch.into, staged, model.primary_key, delete=False)
    return staged.rows
