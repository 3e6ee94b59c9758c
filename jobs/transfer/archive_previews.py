"""Shows the statements by which old rows, or whole partitions, leave their table."""

from collections.abc import Iterator

from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.statements.previews import ALL_COLUMNS, named_table
from headrace.jobs.tables.archive_losses import PICKED
from headrace.jobs.tables.archive_moving import Branch, Verify, copied
from headrace.jobs.tables.archive_picking import Pick
from headrace.template import Preview, RenderedSql


def of_rows(
    branch: Branch,
    pick: Pick,
    cutoff: str,
    limit: int | None,
    *,
    ends: tuple[str | None, str | None],
    verify: Verify = "count",
    stored: bool = True,
) -> Iterator[Preview]:
    """Yield what moves rows; `ends` are the connections, `stored` is false for files."""
    source, target = ends
    table = branch.table
    if stored:
        create = packaged_sql("archive_create", table=table, into=branch.into)
        yield Preview(create, target)
    columns = packaged_sql("select_columns", table=table, columns=[pick.column])
    yield Preview(pick.statement(cutoff, limit), source, explain=columns)
    unexplained = "it reads rows that are selected first"
    if stored:
        note = f"the columns of {table} are read from the catalog"
        insert = copied(branch, ALL_COLUMNS, checksum=verify == "checksum")
        yield Preview(insert, source, note, unexplained=unexplained)
    if not pick.keep:
        delete = packaged_sql("archive_delete", table=table, picked=PICKED)
        yield Preview(delete, source, unexplained=unexplained)


def of_partitions(table: str, connection: str | None) -> Iterator[Preview]:
    """Yield what takes partitions out of a table."""
    name = named_table(table)
    part = RenderedSql(f"{name.display}_p…", {})
    detach = packaged_sql("detach_partition", table=name, partition=part)
    note = "for each partition that ends before the bound"
    yield Preview(detach, connection, note, packaged_sql("count_rows", table=table))
