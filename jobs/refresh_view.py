"""RefreshView: run the query of a materialised view again."""

from collections.abc import Iterator
from typing import Any, ClassVar

from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, CheckedJob
from headrace.jobs.sql.packaged import execute
from headrace.jobs.statements.previews import named_table
from headrace.jobs.tables.view_refresh import is_concurrent, refresh
from headrace.template import Preview, RenderedSql


class RefreshView(CheckedJob):
    """Refresh a materialised view, so that readers go on reading where that can be.

    `checks` judge the new rows before they are visible. The result is
    `{view, row_count, concurrently}`.

    Parameters:
        view: the materialised view, with its schema.
        concurrently: true lets readers go on meanwhile; the view needs a unique index for that.
            Default: true where it has one and is filled.
    """

    result_keys: ClassVar = {
        "view": str,
        "row_count": int,
        "concurrently": bool,
        **CHECK_RESULT,
    }
    tables_written = ("view",)

    def __init__(self, view: str, concurrently: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.view, self.concurrently = view, concurrently
        self.refuse_checks_of(view)

    def handle(self) -> dict[str, Any]:
        with self.session() as session:
            concurrently = is_concurrent(session, self.view, self.concurrently)
            logger.info("Refreshing %s%s", self.view, " concurrently" if concurrently else "")
            refresh(session, named_table(self.view), concurrently=concurrently)
            count = execute(session, self.sql("count_rows", table=self.view)).scalar_one()
        result = {"view": self.view, "row_count": int(count), "concurrently": concurrently}
        return self.judged(result, self.view)

    def preview(self) -> Iterator[Preview]:
        note = "" if self.concurrently is not None else "CONCURRENTLY if it has a unique index"
        yield Preview(self._statement(self.concurrently or False), self.connection, note)
        yield from self.check_previews(self.view)

    def _statement(self, concurrently: bool) -> RenderedSql:
        return self.sql("refresh_view", view=named_table(self.view), concurrently=concurrently)
