"""Counts the rows that an archiving would move, and holds none of them."""

from dataclasses import replace

from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.archive_losses import (
    archived_columns,
    refuse_lost_children,
    refuse_unfit_table,
)
from headrace.jobs.tables.archive_moving import Branch, pick_children
from headrace.jobs.tables.archive_picking import Pick, pick_rows
from headrace.jobs.tables.row_forecast import Looking
from headrace.jobs.tables.table_catalog import find_table
from headrace.model.forecast import Forecast, TableForecast
from headrace.template import RenderedSql, quote_name

_EVERY = RenderedSql("true", {})


def of_archive(
    looking: Looking,
    branch: Branch,
    pick: Pick,
    cutoff: str,
    limit: int | None,
    *,
    elsewhere: str | None = None,
) -> Forecast:
    """Return what an archiving would move: from each table, and into each archive.

    `elsewhere` says where the rows go if that is not in this database.

    Raises:
        JobFailure: it would fail, and why.
    """
    session = looking.session
    apart = elsewhere is not None
    into = branch.table if apart else branch.into
    refuse_unfit_table(session, branch.table, into, pick.column, apart=apart)
    # What the archive has by its keys is known where it is in this database.
    keep = pick.keep and not apart and find_table(session, branch.into) is not None
    pick_rows(session, replace(pick, keep=keep, lock_wait_s=None, holds=False), cutoff, limit)
    pick_children(session, branch, keep=pick.keep, holds=False)
    named = {one.table for one in branch.all()}
    tables: list[TableForecast] = []
    read: int | None = None
    for one in branch.all():
        if not pick.keep:
            refuse_lost_children(session, one.table, one.picked, named)
        there = not apart and find_table(session, one.into) is not None
        if there:
            archived_columns(session, one.table, one.into)
        count = _count(looking, one)
        read = read if read is not None else count
        tables.append(TableForecast(one.table, 0, 0, 0 if pick.keep else count))
        if not apart:
            tables.append(TableForecast(one.into, count, 0, 0, creates=not there))
    notes = (f"the rows go to {elsewhere}, which is not looked at",) if elsewhere else ()
    return Forecast(tuple(tables), read=read, notes=notes)


def _count(looking: Looking, branch: Branch) -> int:
    picked = RenderedSql(f"pg_temp.{quote_name(branch.picked)}", {})
    statement = packaged_sql("count_where", table=picked, condition=_EVERY)
    with looking.reading() as reading:
        return int(execute(reading, statement).scalar_one())
