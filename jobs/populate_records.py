"""PopulateRecords: fill tables from an SQL file."""

from typing import Any, ClassVar

from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, CheckedJob
from headrace.jobs.statements.user_sql import load_source, render_script, run_statements


class PopulateRecords(CheckedJob):
    """Run an SQL file that creates and fills tables.

    Each of its `checks` names its `table`.

    Parameters:
        sql_path: the file, searched beside the pipeline, in the pipelines folder and in its
            `sql` folder, then in the project's folders `sql` and `jobs/sql`.
    """

    binds_sql = True
    result_keys: ClassVar = CHECK_RESULT

    def __init__(self, sql_path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql_path = sql_path
        self.refuse_checks_of(None)

    def handle(self) -> dict[str, Any] | None:
        logger.info("Populating from %s", self.sql_path)
        statements = render_script(load_source(None, self.sql_path), None)
        with self.session() as session:
            run_statements(session, statements)
        logger.info("Populated, %d statements", len(statements))
        return self.judged({}, None) or None
