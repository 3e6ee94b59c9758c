"""ExportQuery: the rows of a query into files."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from headrace import jobapi
from headrace.errors import InvalidPayload, RefusedSql
from headrace.errors.numbers import listed, number_of
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.copying.portable_text import make_read_only
from headrace.jobs.copying.query_export import ExportForm, QueryExport
from headrace.jobs.files.atomic_files import to_write
from headrace.jobs.files.csv_form import refuse_delimiter
from headrace.jobs.files.exported_files import ExportedFiles
from headrace.jobs.files.file_formats import Format, format_by_name
from headrace.jobs.files.packing import Packing, packing_by_name
from headrace.jobs.files.split_files import Split, Splitting
from headrace.jobs.others.reading import rows_of_query
from headrace.jobs.remote.locations import is_remote
from headrace.jobs.remote.remote_files import StoredFiles, refuse_remote
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.statements.previews import of_script
from headrace.jobs.statements.user_sql import load_source, render_script
from headrace.jobs.tables.staging_table import STAGED_SQL, make_staging
from headrace.template import Preview, RenderedSql


def _looked_up(path: str) -> None:
    if is_remote(path):
        refuse_remote(path)
    else:
        to_write(path)


class ExportQuery(BaseJob):
    """Write a query's rows to a file, which appears complete or not at all.

    LoadFile reads it back unchanged and distinguishes NULL from empty text (not in a
    spreadsheet). The query can only read. The result is `{row_count, path, files}`. A repeated
    attempt writes the file again.

    Parameters:
        path: the file, below `output_folders` (by default `exports/` beside the pipelines folder);
            missing folders are created. Or a place that `storage` in `config.yaml` lists: `s3://`,
            `gs://`, `az://`, `sftp://`.
        sql: the query.
        sql_path: a file with the query, searched as in RunSql.
        params: values for the template.
        format: csv, tsv, json (one document), jsonl (one JSON object per line), parquet or xlsx.
            Default: what the name of the file says, otherwise csv.
        compression: none, gz, zst, bz2, xz or zip. Default: what the name of the file says.
        delimiter: the separator between the columns of a CSV file; default a comma, or a tab for
            tsv.
        header: begin a CSV file with a line of column names.
        null: the text for NULL in a CSV file.
        split: write several files: {rows: 100000}, {bytes: 50MB} (before compression), or
            {by: country} for one file per value of a column. `orders.csv` becomes
            `orders-0001.csv` or `orders-de.csv`. Files of an earlier export to this path that are
            not written again are removed.
        formulas: escape puts an apostrophe before text that a spreadsheet would take for a formula
            (it begins with =, +, -, @, a tab or a carriage return), which changes the text; keep
            leaves it as it is. In an xlsx file, text is never a formula.
        bom: begin a CSV file with a byte order mark, by which Excel knows UTF-8.
    """

    binds_sql = True
    paths: ClassVar = {"path": _looked_up}
    other_databases: ClassVar[tuple[str, ...]] = ("connection",)
    result_keys: ClassVar = {"row_count": int, "path": str, "files": int}

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        path: str,
        *,
        sql: str | None = None,
        sql_path: str | None = None,
        params: dict[str, Any] | None = None,
        format: Format | None = None,  # noqa: A002 - the user's word for it
        compression: Packing | None = None,
        delimiter: str | None = None,
        header: bool = True,
        null: str = "",
        split: Split | None = None,
        formulas: Literal["keep", "escape"] = "keep",
        bom: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (sql is None) == (sql_path is None):
            raise InvalidPayload("ExportQuery takes either sql or sql_path")
        self.path = path
        self.sql_text, self.sql_path, self.params = sql, sql_path, params
        kind = format or format_by_name(path) or "csv"
        mark = delimiter if delimiter is not None else "\t" if kind == "tsv" else ","
        refuse_delimiter(mark)
        packing = packing_by_name(path) if compression is None else compression
        parts = Splitting.read(split)
        self._form = ExportForm(kind, packing, mark, header, null, parts, formulas, bom)
        self._form.check()

    def handle(self) -> dict[str, Any]:
        statements = render_script(load_source(self.sql_text, self.sql_path), self.params)
        self.refuse_statements(statements)
        logger.info("Exporting to %s", self.path)
        count, paths = self._export(statements[0])
        logger.info("Wrote %s to %s", number_of(count, "row"), listed(paths))
        return {"row_count": count, "path": self.path, "files": len(paths)}

    def preview(self) -> Iterator[Preview]:
        source = load_source(self.sql_text, self.sql_path)
        previews = of_script(source, self.params, self.connection)
        self.refuse_statements([one.sql for one in previews])
        query = previews[0]
        if self.kind_of(self.connection) != "postgresql":
            yield query
            return
        yield replace(query, sql=self._form.statement(query.sql, None), explain=query.sql)

    def refuse_statements(self, statements: Sequence[RenderedSql]) -> None:
        if len(statements) > 1:
            raise RefusedSql(f"an export must be one query, not {len(statements)} statements")

    def _files(self) -> StoredFiles | ExportedFiles:
        return StoredFiles(self.path) if is_remote(self.path) else ExportedFiles(self.path)

    def _export(self, query: RenderedSql) -> tuple[int, list[str]]:
        if self.kind_of(self.connection) != "postgresql":
            return self._export_other(query)
        with (
            self._files() as files,
            self.session(read_only=True) as session,
            session.begin_nested() as undone,
        ):
            # On the control database, too, an export only reads.
            make_read_only(session)
            export = QueryExport(session, query, self._form, self.path)
            count = export.write(files.opened)
            undone.rollback()
        return count, export.paths

    def _export_other(self, query: RenderedSql) -> tuple[int, list[str]]:
        """Export by way of a temporary table, so that each format has PostgreSQL's texts."""
        attempt = jobapi.current()
        with (
            self._files() as files,
            attempt.other(self.connection or "", read_only=True) as database,
            attempt.session(None) as session,
            session.begin_nested() as undone,
        ):
            rows = rows_of_query(database, query, self.path)
            columns = [column.as_column() for column in rows.columns.values()]
            make_staging(session, columns)
            rows.pour(session, STAGED_SQL, [column.name for column in columns])
            staged = packaged_sql(
                "select_names", table=STAGED_SQL, columns=[column.name for column in columns]
            )
            export = QueryExport(session, staged, self._form, self.path)
            count = export.write(files.opened)
            undone.rollback()
        return count, export.paths
