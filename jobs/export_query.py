"""ExportQuery: the rows of a query into a file."""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, ClassVar, Literal, cast

from headrace import jobapi
from headrace.errors import InvalidPayload, RefusedSql
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.copying.portable_text import make_read_only, portable
from headrace.jobs.copying.query_export import ALL, described, refuse_delimiter
from headrace.jobs.files.atomic_files import to_write, written_whole
from headrace.jobs.files.copy_streams import copy_out
from headrace.jobs.statements.previews import of_script
from headrace.jobs.statements.user_sql import load_source, render_script
from headrace.template import Preview, RenderedSql


class ExportQuery(BaseJob):
    """Write a query's rows to a file, which appears complete or not at all.

    LoadFile reads it back unchanged and distinguishes NULL from empty text. The query can only
    read. The result is `{row_count, path}`. A repeated attempt writes the file again.

    Parameters:
        path: the file, below `output_folders` (by default `exports/` beside the pipelines folder);
            missing folders are created. If its name ends in `.gz`, it is compressed with gzip.
        sql: the query.
        sql_path: a file with the query, searched as in RunSql.
        params: values for the template.
        format: csv or jsonl (one JSON object per line).
        delimiter: the separator between the columns of a CSV file.
        header: begin a CSV file with a line of column names.
    """

    binds_sql = True
    paths: ClassVar = {"path": to_write}
    result_keys: ClassVar = {"row_count": int, "path": str}

    def __init__(
        self,
        path: str,
        *,
        sql: str | None = None,
        sql_path: str | None = None,
        params: dict[str, Any] | None = None,
        format: Literal["csv", "jsonl"] = "csv",  # noqa: A002 - the user's word for it
        delimiter: str = ",",
        header: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (sql is None) == (sql_path is None):
            raise InvalidPayload("ExportQuery takes either sql or sql_path")
        refuse_delimiter(delimiter)
        self.path = path
        self.sql_text, self.sql_path, self.params = sql, sql_path, params
        self.format, self.delimiter, self.header = format, delimiter, header

    def handle(self) -> dict[str, Any]:
        path = jobapi.current().output_path(self.path)
        statements = render_script(load_source(self.sql_text, self.sql_path), self.params)
        self.refuse_statements(statements)
        logger.info("Exporting to %s", self.path)
        count = self._write(path, statements[0])
        logger.info("Wrote %d rows to %s", count, self.path)
        return {"row_count": count, "path": self.path}

    def preview(self) -> Iterator[Preview]:
        source = load_source(self.sql_text, self.sql_path)
        previews = of_script(source, self.params, self.connection)
        self.refuse_statements([one.sql for one in previews])
        query = previews[0]
        yield replace(query, sql=self._copy(query.sql), explain=query.sql)

    def refuse_statements(self, statements: Sequence[RenderedSql]) -> None:
        if len(statements) > 1:
            raise RefusedSql(f"an export must be one query, not {len(statements)} statements")

    def _copy(self, query: RenderedSql, columns: RenderedSql = ALL) -> RenderedSql:
        if self.format == "jsonl":
            return self.sql("export_jsonl", query=query, columns=columns)
        return self.sql("export_csv", query=query, delimiter=self.delimiter, header=self.header)

    def _write(self, path: Path, query: RenderedSql) -> int:
        with written_whole(path) as file, _packed(path, file) as target:
            return self._export(query, target)

    def _export(self, query: RenderedSql, target: IO[bytes]) -> int:
        with self.session(read_only=True) as session, session.begin_nested() as undone:
            # On the control database, too, an export only reads.
            make_read_only(session)
            columns = described(session, query)
            with portable(session):
                count = copy_out(session, self._copy(query, columns), target)
            undone.rollback()
        return count


@contextmanager
def _packed(path: Path, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Pack what is written where the name ends in `.gz`; the same rows make the same file."""
    if path.suffix.lower() != ".gz":
        yield file
        return
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
        yield cast("IO[bytes]", packed)
