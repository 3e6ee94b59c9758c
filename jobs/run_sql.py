"""RunSql: whatever SQL a step needs."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from headrace import jobapi
from headrace.errors import InvalidPayload, RefusedSql
from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, CheckedJob
from headrace.jobs.others.statements import replace_by_query, run_other
from headrace.jobs.sql.query_result import ROWS_KEPT
from headrace.jobs.statements.previews import of_replace, of_script
from headrace.jobs.statements.user_sql import (
    load_source,
    refuse_outside_transaction,
    render_script,
    run_statements,
)
from headrace.jobs.tables.expectations import Expectation, Expected
from headrace.jobs.tables.row_storage import replace_table
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.template import Preview, RenderedSql, first_word, has_word

MOST_KEPT = 10_000
_STORABLE = ("SELECT", "WITH", "VALUES", "TABLE")


class RunSql(CheckedJob):
    """Run SQL, inline or from a file, written as a Jinja template.

    `{{ params.region }}` and `{{ logical_date }}` are bound as values; names go through
    `| identifier`. The result is `{row_count}` of the last statement; if it returns rows, also
    their `columns` and the first 100 `rows`, or as many as `keep_rows` says, up to 1 MB;
    `truncated: true` means that rows were left out to stay below that. Numbers keep every digit;
    intervals with months, infinite dates, 24:00 and years outside 1 to 9999 are the text that
    PostgreSQL writes.

    Parameters:
        sql: the SQL itself.
        sql_path: a file with the SQL, searched beside the pipeline, in the pipelines folder
            and in its `sql` folder.
        params: values for the template.
        into: a table that will contain exactly the last statement's rows. It is created if it is
            missing; an existing one keeps its definition, owner, privileges and other columns.
        on_schema_change: what to do if that table lacks a column, or has one that cannot take
            the query's values: fail; ignore new columns; append_new_columns; sync_all_columns,
            which also changes types and drops columns that the query lacks; recreate, which
            drops the table with its privileges.
        expect: fail, and save nothing, if the numbers of `into` are others: `rows`, as in ">0";
            `max_delete`, rows or a share of that table's rows that may be deleted, as in 5%.
        transaction: false for VACUUM, CREATE INDEX CONCURRENTLY and the like; each statement
            then commits separately, and a crash may repeat it.
        keep_rows: the greatest number of rows in the result, up to 10000.
    """

    binds_sql = True
    other_databases: ClassVar[tuple[str, ...]] = ("connection",)
    result_keys: ClassVar = {
        "row_count": int,
        "columns": list,
        "rows": list[dict[str, Any]],
        "into": str,
        "truncated": bool,
        **CHECK_RESULT,
    }
    tables_written = ("into",)
    tables_made = ("into",)

    def __init__(
        self,
        sql: str | None = None,
        sql_path: str | None = None,
        params: dict[str, Any] | None = None,
        into: str | None = None,
        on_schema_change: OnSchemaChange = "fail",
        transaction: bool = True,
        keep_rows: int = ROWS_KEPT,
        *,
        expect: Expected | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (sql is None) == (sql_path is None):
            raise InvalidPayload("RunSql takes either sql or sql_path")
        if expect and into is None:
            raise InvalidPayload("expect speaks of the rows of `into`, which is missing")
        if into is not None and not transaction:
            raise InvalidPayload("into needs the transaction: remove transaction: false")
        if self.checks and not transaction:
            raise InvalidPayload("checks need the transaction: remove transaction: false")
        if not 0 <= keep_rows <= MOST_KEPT:
            raise InvalidPayload(f"keep_rows is a number from 0 to {MOST_KEPT}, not {keep_rows}")
        self.sql_text, self.sql_path = sql, sql_path
        self.keep_rows = keep_rows
        self.params = params
        self.into, self.on_schema_change = into, on_schema_change
        self.expect = Expectation.read(expect)
        self.transactional = transaction
        self.refuse_checks_of(into)

    def handle(self) -> dict[str, Any]:
        source = load_source(self.sql_text, self.sql_path)
        statements = render_script(source, self.params)
        logger.info("Running %d statements of %s", len(statements), source.name)
        if self.kind_of(self.connection) != "postgresql":
            return self._in_other(statements)
        if not self.transactional:
            patient = any(has_word(one.marked, "CONCURRENTLY") for one in statements)
            with self.autocommit(patient=patient) as connection:
                return run_statements(connection, statements, keep=self.keep_rows)
        if self.into is not None:
            return self._store(statements, self.into)
        with self.session() as session:
            result = run_statements(session, statements, keep=self.keep_rows)
        return self.judged(result, None)

    def _in_other(self, statements: list[RenderedSql]) -> dict[str, Any]:
        attempt, name = jobapi.current(), self.connection or ""
        if not self.transactional:
            with attempt.other_alone(name) as alone:
                return run_other(alone, statements, keep=self.keep_rows)
        with attempt.other(name) as database:
            if self.into is None:
                result = run_other(database, statements, keep=self.keep_rows)
            else:
                self.refuse_statements(statements)
                run_other(database, statements[:-1], keep=0)
                count = replace_by_query(database, self.into, statements[-1], self.expect)
                result = {"row_count": count, "into": self.into}
        return self.judged(result, self.into)

    def preview(self) -> Iterator[Preview]:
        source = load_source(self.sql_text, self.sql_path)
        previews = of_script(source, self.params, self.connection)
        if self.transactional and self.kind_of(self.connection) == "postgresql":
            for one in previews:
                refuse_outside_transaction(one.sql)
        if self.into is None:
            yield from previews
            yield from self.check_previews(None)
            return
        self.refuse_statements([one.sql for one in previews])
        yield from previews[:-1]
        yield from of_replace(previews[-1], self.into)
        yield from self.check_previews(self.into)

    def refuse_statements(self, statements: Sequence[RenderedSql]) -> None:
        if self.into is not None and statements:
            _refuse_unstorable(statements[-1])

    def _store(self, statements: list[RenderedSql], into: str) -> dict[str, Any]:
        query = statements[-1]
        _refuse_unstorable(query)
        with self.session() as session:
            run_statements(session, statements[:-1])
            count = replace_table(
                session,
                into,
                query,
                on_schema_change=self.on_schema_change,
                expect=self.expect,
            )
        logger.info("Stored %d rows in %s", count, into)
        return self.judged({"row_count": count, "into": into}, into)


def _refuse_unstorable(query: RenderedSql) -> None:
    refuse_outside_transaction(query)
    if first_word(query.marked) not in _STORABLE:
        raise RefusedSql("into needs a SELECT as the last statement")
