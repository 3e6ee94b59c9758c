"""ExportQuery: the rows of a query into a file."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from jobs.base import BaseJob, logger
from jobs.files import to_write, written_whole
from jobs.previews import of_script
from jobs.scripts import load_source, render_script
from jobs.streams import copy_out
from runner import jobapi
from runner.errors import InvalidPayload, RefusedSql
from runner.template import Preview, RenderedSql


class ExportQuery(BaseJob):
    """Write a query's rows to a file, which appears whole or not at all.

    The result is `{row_count, path}`. A repeated attempt writes the file again.

    Parameters:
        path: the file, below the project folder; missing folders are made.
        sql: the query.
        sql_path: a file with the query, looked up as RunSql does.
        params: values for the template.
        format: csv or jsonl (one JSON object a line).
        delimiter: what separates the columns of a CSV file.
        header: begin a CSV file with the columns' names.
    """

    binds_sql = True
    paths: ClassVar = {"path": to_write}
    result_keys = ("row_count", "path")

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
        self.path = path
        self.sql_text, self.sql_path, self.params = sql, sql_path, params
        self.format, self.delimiter, self.header = format, delimiter, header

    def handle(self) -> dict[str, Any]:
        path = jobapi.current().resolve_path(self.path)
        statements = render_script(load_source(self.sql_text, self.sql_path), self.params)
        self.refuse_statements(statements)
        logger.info("Exporting to %s", self.path)
        count = self._write(path, self._copy(statements[0]))
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

    def _copy(self, query: RenderedSql) -> RenderedSql:
        return self.sql(
            f"export_{self.format}", query=query, delimiter=self.delimiter, header=self.header
        )

    def _write(self, path: Path, copy: RenderedSql) -> int:
        with written_whole(path) as file, self.session(read_only=True) as session:
            return copy_out(session, copy, file)
