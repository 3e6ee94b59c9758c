"""Brings picked rows into the archive of another database, by key."""

from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.archive_moving import Branch, Verify
from headrace.jobs.tables.local_settings import set_locally
from headrace.jobs.tables.row_storage import Staged, merge_staged
from headrace.jobs.tables.staging_table import STAGED_SQL
from headrace.jobs.tables.table_catalog import readable_table
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import Source, stage
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


_KEYS = RenderedSql("headrace_archived_keys", {})
# How both sessions write values, whatever they have by themselves.
_PORTABLE = (
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
)


def transfer_picked(
    source: "Session", target: "Session", branch: Branch, *, verify: Verify = "count"
) -> tuple[int, int]:
    """Write picked rows into the archive on the target's connection; return all, and the new ones.

    By the table's primary key: what a transfer before has left there, whose rows were not deleted
    here any more, is brought to the present values.

    Raises:
        JobFailure: the table has no primary key, rows were lost on the way, or the archive has
            other values.
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
    key = model.primary_key
    execute(target, packaged_sql("archived_keys", key=key, staged=STAGED_SQL))
    written = merge_staged(target, branch.into, Staged(rows, kept), key, delete=False)
    if verify != "none":
        names = [column.name for column in plain.columns] if verify == "checksum" else key
        there = packaged_sql("archived_rows", table=branch.into, key=key)
        here = RenderedSql(f"{model.sql.display} AS archived WHERE {picked.display}", {})
        _refuse_difference(_sums(source, here, names), _sums(target, there, names), branch, verify)
    execute(target, packaged_sql("drop_exactly", table=_KEYS))
    return rows, written.inserted + written.updated


def _sums(session: "Session", rows: RenderedSql, names: list[str]) -> tuple[int, int]:
    columns = RenderedSql(", ".join(quote_name(name) for name in names), {})
    with set_locally(session, *_PORTABLE):
        row = execute(session, packaged_sql("check_checksum", rows=rows, columns=columns)).one()
    return int(row.row_count), int(row.checksum)


def _refuse_difference(
    here: tuple[int, int], there: tuple[int, int], branch: Branch, verify: Verify
) -> None:
    if here[0] != there[0]:
        raise JobFailure(
            f"of {here[0]} old rows of {branch.table}, {there[0]} are in {branch.into}: a trigger "
            "or a rule keeps rows back. Nothing was moved"
        )
    if verify == "checksum" and here != there:
        raise JobFailure(
            f"the checksum of the rows in {branch.into} is not that of the rows of {branch.table}: "
            "a trigger or a type of the archive changes values. Nothing was moved"
        )
