"""ExportQuery: the rows of a query into a file."""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, ClassVar, Literal, cast

from jobs.base import BaseJob, logger
from jobs.exporting import ALL, described, refuse_delimiter
from jobs.files import to_write, written_whole
from jobs.portable import make_read_only, portable
from jobs.previews import of_script
from jobs.scripts import load_source, render_script
from jobs.streams import copy_out
from runner import jobapi
from runner.errors import InvalidPayload, RefusedSql
from runner.template import Preview, RenderedSql


class ExportQuery(BaseJob):
    """Write a query's rows to a file, which appears whole or not at all.

    LoadFile reads it back as it was, NULL and empty texts apart. The query only reads. The result
    is `{row_count, path}`. A repeated attempt writes the file again.

    Parameters:
        path: the file, below `output_folders` (by default `exports/` beside the pipelines folder);
            missing folders are made. A name ending in `.gz` is packed with gzip.
        sql: the query.
        sql_path: a file with the query, looked up as RunSql does.
        params: values for the template.
        format: csv or jsonl (one JSON object a line).
        delimiter: what separates the columns of a CSV file.
        header: begin a CSV file with the columns' names.
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
            raise RefusedSql(f"an export is one query, not {len(statements)} statements")

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
