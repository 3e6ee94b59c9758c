"""RunSql: whatever SQL a step needs."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from headrace import jobapi
from headrace.errors import InvalidPayload, RefusedSql
from headrace.errors.numbers import number_of
from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, CheckedJob
from headrace.jobs.sql.query_result import ROWS_KEPT
from headrace.jobs.statements.previews import of_replace, of_script, of_view
from headrace.jobs.statements.read_only import run_reading
from headrace.jobs.statements.user_sql import (
    load_source,
    only_read,
    refuse_outside_transaction,
    render_script,
    run_directly,
    run_statements,
)
from headrace.jobs.tables.expectations import NOTHING_EXPECTED, Expectation, Expected
from headrace.jobs.tables.row_storage import replace_table
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.server_progress import watched
from headrace.jobs.tables.view_storage import Materialized, View, refuse_policy, store_view
from headrace.model.connection import PRODUCTS
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
    PostgreSQL writes. On a named connection, SQL that only reads runs in a transaction that only
    reads, and leaves no row in `headrace.ledger` there.

    Parameters:
        sql: the SQL itself.
        sql_path: a file with the SQL, searched beside the pipeline, in the pipelines folder and
            in its `sql` folder, then in the project's folders `sql` and `jobs/sql`.
        params: values for the template.
        into: a table that will contain exactly the last statement's rows. It is created if it is
            missing; an existing one keeps its definition, owner, privileges and other columns.
        materialized: what `into` is: a table; a view with the last statement as its query, in
            which values of the template are constants; or a materialized_view. An existing view
            keeps its options, owner, privileges and comments, a materialized view also its
            indexes; if its query is the same, it is refreshed, concurrently if that can be.
        on_schema_change: what to do if that table lacks a column, or has one that cannot take
            the query's values: fail; ignore new columns; append_new_columns; sync_all_columns,
            which also changes types and drops columns that the query lacks; recreate, which
            drops the table with its privileges. A view takes fail, append_new_columns and
            recreate, a materialized view fail and recreate.
        expect: fail, and save nothing, if the numbers of `into` are others: `rows`, as in ">0";
            `max_delete`, rows or a share of that table's rows that may be deleted, as in 5%. A
            materialized view takes `rows`, a view has no rows of its own.
        transaction: false for VACUUM, CREATE INDEX CONCURRENTLY and the like; each statement
            then commits separately, and a crash may repeat it.
        keep_rows: the greatest number of rows in the result, up to 10000.
    """

    binds_sql = True
    begins_at_once = True
    other_databases: ClassVar[tuple[str, ...]] = ("connection",)
    result_keys: ClassVar = {
        "row_count": int,
        "columns": list,
        "rows": list[dict[str, Any]],
        "into": str,
        "materialized": str,
        "truncated": bool,
        **CHECK_RESULT,
    }
    tables_written = ("into",)
    tables_made = ("into",)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        sql: str | None = None,
        sql_path: str | None = None,
        params: dict[str, Any] | None = None,
        into: str | None = None,
        on_schema_change: OnSchemaChange = "fail",
        transaction: bool = True,
        keep_rows: int = ROWS_KEPT,
        *,
        materialized: Materialized = "table",
        expect: Expected | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (sql is None) == (sql_path is None):
            raise InvalidPayload("RunSql takes either sql or sql_path")
        self.expect = Expectation.read(expect)
        if expect and into is None:
            raise InvalidPayload("expect speaks of the rows of `into`, which is missing")
        _refuse_for_view(materialized, into, self.expect, on_schema_change)
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
        self.materialized = materialized
        self.transactional = transaction
        self.refuse_checks_of(into)

    def handle(self) -> dict[str, Any]:
        source = load_source(self.sql_text, self.sql_path)
        statements = render_script(source, self.params)
        if len(statements) > 1 or source.path is not None:
            many = "s" if len(statements) > 1 else ""
            logger.info("Running %d statement%s of %s", len(statements), many, source.name)
        if self.kind_of(self.connection) != "postgresql":
            return self._in_other(statements)
        if not self.transactional:
            return self._outside(statements)
        if self.into is not None:
            return self._store(statements, self.into)
        if self.connection is not None and not self.checks and only_read(statements):
            result = self._reading(statements)
            if result is not None:
                return result
        with jobapi.current().statements(self.connection) as target:
            result = run_directly(target, statements, keep=self.keep_rows)
        return self.judged(result, None)

    def _in_other(self, statements: list[RenderedSql]) -> dict[str, Any]:
        # Commands load this class, and few steps are about a database of another kind.
        from headrace.jobs.others.statements import replace_by_query, run_other

        self._refuse_for_others()
        attempt, name = jobapi.current(), self.connection or ""
        if not self.transactional:
            with attempt.other_alone(name) as alone:
                return run_other(alone, statements, keep=self.keep_rows)
        reads = self.into is None and not self.checks and only_read(statements)
        with attempt.other(name, read_only=reads) as database:
            if self.into is None:
                result = run_other(database, statements, keep=self.keep_rows)
            else:
                self.refuse_statements(statements)
                run_other(database, statements[:-1], keep=0)
                count = replace_by_query(database, self.into, statements[-1], self.expect)
                result = {"row_count": count, "into": self.into}
        return self.judged(result, self.into)

    def rehearse(self) -> None:
        self._refuse_for_others()
        super().rehearse()

    def _refuse_for_others(self) -> None:
        kind = self.kind_of(self.connection)
        given = (
            ("materialized", self.materialized != "table"),
            ("on_schema_change", self.on_schema_change != "fail"),
            ("role", self.works_as is not None),
        )
        for key, differs in given:
            if kind != "postgresql" and differs:
                raise InvalidPayload(f"{key} does not work in {PRODUCTS[kind]}, only in PostgreSQL")

    def _outside(self, statements: list[RenderedSql]) -> dict[str, Any]:
        patient = any(has_word(one.marked, "CONCURRENTLY") for one in statements)
        with (
            self.autocommit(patient=patient) as connection,
            watched(connection),
        ):
            return run_statements(connection, statements, keep=self.keep_rows)

    def _reading(self, statements: list[RenderedSql]) -> dict[str, Any] | None:
        """Run statements that only read; None if they turn out to do more: nothing is done then."""
        with self.session(read_only=True) as session:
            return run_reading(session, statements, keep=self.keep_rows)

    def preview(self) -> Iterator[Preview]:
        source = load_source(self.sql_text, self.sql_path)
        previews = of_script(source, self.params, self.connection)
        if self.transactional and self.kind_of(self.connection) == "postgresql":
            for one in previews:
                refuse_outside_transaction(one.sql)
        if self.into is None or self.kind_of(self.connection) != "postgresql":
            yield from previews
            yield from self.check_previews(None)
            return
        self.refuse_statements([one.sql for one in previews])
        yield from previews[:-1]
        if self.materialized == "table":
            yield from of_replace(previews[-1], self.into)
        else:
            yield from of_view(previews[-1], self._view(previews[-1].sql, self.into))
        yield from self.check_previews(self.into)

    def refuse_statements(self, statements: Sequence[RenderedSql]) -> None:
        if self.into is not None and statements:
            _refuse_unstorable(statements[-1])

    def _store(self, statements: list[RenderedSql], into: str) -> dict[str, Any]:
        query = statements[-1]
        _refuse_unstorable(query)
        if self.materialized != "table":
            return self._store_view(statements, into)
        with self.session() as session:
            run_statements(session, statements[:-1])
            count = replace_table(
                session,
                into,
                query,
                on_schema_change=self.on_schema_change,
                expect=self.expect,
            )
        logger.info("Stored %s in %s", number_of(count, "row"), into)
        return self.judged({"row_count": count, "into": into}, into)

    def _store_view(self, statements: list[RenderedSql], into: str) -> dict[str, Any]:
        result: dict[str, Any] = {"into": into, "materialized": self.materialized}
        with self.session() as session:
            run_statements(session, statements[:-1])
            rows = store_view(session, self._view(statements[-1], into))
        if rows is not None:
            self.expect.check_rows(rows, into)
            result["row_count"] = rows
        logger.info("Stored the query in %s, %s", into, self.materialized)
        return self.judged(result, into)

    def _view(self, query: RenderedSql, into: str) -> View:
        return View(into, self.materialized, query, self.on_schema_change)


def _refuse_for_view(
    kind: Materialized, into: str | None, expect: Expectation, policy: OnSchemaChange
) -> None:
    if kind == "table":
        return
    if into is None:
        raise InvalidPayload("materialized says what `into` is, which is missing")
    if kind == "view" and expect != NOTHING_EXPECTED:
        raise InvalidPayload("a view stores no rows: use `checks` in place of expect")
    if expect.max_delete is not None:
        raise InvalidPayload("expect.max_delete is for tables: a materialized view is made anew")
    refuse_policy(kind, policy)


def _refuse_unstorable(query: RenderedSql) -> None:
    refuse_outside_transaction(query)
    if first_word(query.marked) not in _STORABLE:
        raise RefusedSql("into needs a SELECT as the last statement")
