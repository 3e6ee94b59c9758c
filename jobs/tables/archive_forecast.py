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
    looking: Looking, branch: Branch, pick: Pick, cutoff: str, limit: int | None, *, across: bool
) -> Forecast:
    """Return what an archiving would move: from each table, and into each archive.

    Raises:
        JobFailure: it would fail, and why.
    """
    session = looking.session
    into = branch.table if across else branch.into
    refuse_unfit_table(session, branch.table, into, pick.column, apart=across)
    # What the archive has by its keys is known where it is in this database.
    keep = pick.keep and not across and find_table(session, branch.into) is not None
    pick_rows(session, replace(pick, keep=keep, lock_wait_s=None, holds=False), cutoff, limit)
    pick_children(session, branch, keep=pick.keep, holds=False)
    named = {one.table for one in branch.all()}
    tables: list[TableForecast] = []
    for one in branch.all():
        if not pick.keep:
            refuse_lost_children(session, one.table, one.picked, named)
        there = not across and find_table(session, one.into) is not None
        if there:
            archived_columns(session, one.table, one.into)
        with looking.reading() as reading:
            picked = RenderedSql(f"pg_temp.{quote_name(one.picked)}", {})
            statement = packaged_sql("count_where", table=picked, condition=_EVERY)
            count = int(execute(reading, statement).scalar_one())
        deleted = 0 if pick.keep else count
        tables += [
            TableForecast(one.table, insert=0, update=0, delete=deleted),
            TableForecast(
                one.into, insert=count, update=0, delete=0, creates=not (there or across)
            ),
        ]
    note = f"{branch.into} is on another connection and is not looked at"
    return Forecast(tuple(tables), read=tables[1].insert, notes=(note,) if across else ())
