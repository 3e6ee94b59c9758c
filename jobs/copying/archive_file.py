"""Writes the rows that leave a table into files: one for each batch, that no other batch writes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.copying.query_export import ExportForm, QueryExport
from headrace.jobs.files.atomic_files import written_whole
from headrace.jobs.files.file_formats import format_by_name
from headrace.jobs.files.optional_library import library
from headrace.jobs.files.packing import packing_by_name
from headrace.jobs.files.split_files import part_path
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.archive_losses import refuse_lost_children
from headrace.jobs.tables.archive_moving import Branch
from headrace.jobs.tables.table_catalog import readable_table
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def form_of(path: str) -> ExportForm:
    """Return how the files are written, as their name says.

    Raises:
        InvalidPayload: it says no format, or one that does not keep every value.
    """
    kind = format_by_name(path)
    if kind not in ("parquet", "csv", "tsv", "jsonl"):
        raise InvalidPayload(
            f"path {path!r}: rows are archived as .parquet, .csv, .tsv or .jsonl (also .gz, .zst)"
        )
    form = ExportForm(kind, packing_by_name(path), "\t" if kind == "tsv" else ",")
    form.check()
    return form


def refuse_keys(
    path: str, children: object, keep_rows: bool, across: bool, checks: bool, checksum: bool
) -> None:
    """Refuse a path that names no format, and keys that need an archive table.

    Raises:
        InvalidPayload: naming it.
    """
    form_of(path)
    refused = {
        "children": children,
        "keep_rows": keep_rows,
        "target_connection": across,
        "checks": checks,
        "verify: checksum": checksum,
    }
    for name, given in refused.items():
        if given:
            raise InvalidPayload(f"{name} is for an archive table: it does not go with path")


def file_of(path: str, number: int) -> str:
    """Return the path of a batch's file: `order.parquet` with run, job and batch in its name."""
    attempt = jobapi.current()
    ids = [one for one in (attempt.run_id, attempt.job_id) if one]
    return part_path(path, "-".join([*ids, f"{number:05d}"]))


def write_picked(session: "Session", branch: Branch, path: str, number: int) -> int:
    """Write the picked rows into the batch's file and return their number.

    A file of that name can only be one that an attempt of this job has left whose batch was not
    committed: it is replaced, and removed if there are no rows.

    Raises:
        JobFailure: rows refer to them that would be lost, or the file lacks some.
    """
    held = int(execute(session, packaged_sql("count_rows", table=branch.picked)).scalar_one())
    name = file_of(path, number)
    place = jobapi.current().output_path(name)
    if not held:
        place.unlink(missing_ok=True)
        return 0
    refuse_lost_children(session, branch.table, branch.picked, [])
    columns = [quote_name(one.name) for one in readable_table(session, branch.table).columns]
    query = packaged_sql(
        "archive_read",
        table=branch.table,
        columns=RenderedSql(", ".join(columns), {}),
        condition=packaged_sql("archive_is_picked", picked=branch.picked),
    )
    form = form_of(path)
    export = QueryExport(session, query, form, name)
    written = export.write(lambda _path: written_whole(place))
    found = _rows_in(place) if form.format == "parquet" else written
    if not held == written == found:
        place.unlink(missing_ok=True)
        raise JobFailure(
            f"{name}: {held} rows were held, {written} were written and {found} are in the file"
        )
    logger.info("Wrote %s to %s", number_of(written, "row"), name)
    return written


def _rows_in(place: Path) -> int:
    parquet: Any = library("pyarrow.parquet", f"{place.name}: reading Parquet")
    with parquet.ParquetFile(place) as opened:
        return int(opened.metadata.num_rows)
