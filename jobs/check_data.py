"""CheckData: fail where data are not as they must be."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from headrace import jobapi
from headrace.errors import InvalidPayload, RefusedSql
from headrace.jobs.base import BaseJob
from headrace.jobs.checks.bounds import exactly
from headrace.jobs.checks.check import ROWS_TOLD, Check, FailureTable, Judged
from headrace.jobs.checks.checked_job import CHECK_RESULT, IN_SQL, only_reading
from headrace.jobs.checks.declared_checks import checks_of
from headrace.jobs.checks.judging import judge, primary_keys, record, say
from headrace.jobs.checks.measuring import queried
from headrace.jobs.checks.other_measuring import (
    judge_other,
    queried_other,
    refuse_checks_for_others,
)
from headrace.jobs.checks.previews import previews_of
from headrace.jobs.checks.short_forms import counts_of, rules_of
from headrace.jobs.statements.previews import of_script
from headrace.jobs.statements.user_sql import load_source, refuse_outside_transaction, render_script
from headrace.model.connection import PRODUCTS
from headrace.template import Preview, RenderedSql


class CheckData(BaseJob):
    """Check data, and fail with the first bad rows in the message.

    The result has `checks`, their number, `warnings`, how many of the level `warn` did not pass,
    and `check_results`, each with its value, bound and verdict.

    Parameters:
        table: the table to which the checks below apply.
        filter: a condition in SQL that the rows to check meet, such as
            `order_date = {{ run.date }}`; the values of templates are bound.
        checks: a list of checks: `row_count`, `freshness`, `missing`, `duplicate`, `invalid`,
            `aggregate`, `schema`, `metric`, `compare`, `failed_rows`, each with its bound; see
            [Checks](../guide/checks.md).
        store_failures: where failing keys are kept, `{table: dq.failure, limit: 100}`, even though
            the job fails; a retry replaces them.
        not_null: columns that must have a value.
        unique: columns in which no value may occur twice.
        unique_together: columns whose combination of values may not occur twice.
        references: columns whose values must exist elsewhere: `{customer_id: shop.customer.id}`.
        min_rows: the least number of rows.
        max_rows: the greatest number of rows.
        sql: a query that finds bad rows: any row is a failure.
        sql_path: a file with such a query, searched as in RunSql.
        params: values for that query's template.
        message: the text before the rows that the query finds.
    """

    binds_sql = True
    in_sql: ClassVar[tuple[str, ...]] = ("filter", *IN_SQL)
    other_databases: ClassVar[tuple[str, ...]] = ("connection",)
    result_keys: ClassVar = CHECK_RESULT
    tables_read = ("table",)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        table: str | None = None,
        *,
        filter: str | None = None,  # noqa: A002 - the field's word
        checks: list[dict[str, dict[str, Any] | None]] | None = None,
        store_failures: dict[str, Any] | None = None,
        not_null: list[str] | None = None,
        unique: list[str] | None = None,
        unique_together: list[str] | None = None,
        references: dict[str, str] | None = None,
        min_rows: int | None = None,
        max_rows: int | None = None,
        sql: str | None = None,
        sql_path: str | None = None,
        params: dict[str, Any] | None = None,
        message: str = "rows that should not be there",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        rules = bool(not_null or unique or unique_together or references)
        counts = min_rows is not None or max_rows is not None
        if (rules or counts) and table is None:
            raise InvalidPayload("CheckData needs the table for its rules")
        self.table = table
        self.short = [
            *rules_of(table, filter, not_null, unique, unique_together, references),
            *counts_of(table, filter, min_rows, max_rows),
        ]
        self.checks = checks_of(checks, table, filter)
        self.store_failures = FailureTable.of(store_failures)
        self.sql_text, self.sql_path, self.params = sql, sql_path, params
        self.message = message
        self._refuse_nothing_to_check()

    def handle(self) -> dict[str, Any]:
        kept = self.store_failures.limit if self.store_failures else ROWS_TOLD
        if self.kind_of(self.connection) != "postgresql":
            return self._handled_other()
        with self.session(read_only=True) as session:
            judged = judge(session, self.short, only_reading, self.connection, kept)
            if self._has_query:
                check = self._check_of_query()
                one = Judged(check, queried(session, check, self._query(), kept))
                say(one)
                judged.append(one)
            judged += judge(session, self.checks, only_reading, self.connection, kept)
            keys = primary_keys(session, judged)
        return record(judged, keys, self.store_failures, self.connection)

    def rehearse(self) -> None:
        self._refuse_for_others()
        super().rehearse()

    def _refuse_for_others(self) -> None:
        kind = self.kind_of(self.connection)
        if kind != "postgresql":
            stores = self.store_failures is not None
            refuse_checks_for_others(self.checks, PRODUCTS[kind], stores=stores)

    def _handled_other(self) -> dict[str, Any]:
        self._refuse_for_others()
        name = self.connection
        with jobapi.current().other(name or "", read_only=True) as database:
            judged = judge_other(database, self.short, only_reading, name, ROWS_TOLD)
            if self._has_query:
                check = self._check_of_query()
                found = queried_other(database, check, self._query(), ROWS_TOLD)
                judged.append(Judged(check, found))
                say(judged[-1])
            judged += judge_other(database, self.checks, only_reading, name, ROWS_TOLD)
        return record(judged, {}, None, name)

    def _check_of_query(self) -> Check:
        return Check("failed_rows", self.message, exactly(0), sentence=_told(self.message))

    def preview(self) -> Iterator[Preview]:
        here = self.kind_of(self.connection) == "postgresql"
        yield from previews_of(self.short if here else [], self.connection)
        if self._has_query:
            source = load_source(self.sql_text, self.sql_path)
            previews = of_script(source, self.params, self.connection)
            self.refuse_statements([one.sql for one in previews])
            yield previews[0]
        yield from previews_of(self.checks if here else [], self.connection)

    def refuse_statements(self, statements: Sequence[RenderedSql]) -> None:
        if len(statements) > 1:
            raise RefusedSql(f"{self.sql_path or 'sql'}: a check must be one query")
        for statement in statements:
            refuse_outside_transaction(statement)

    @property
    def _has_query(self) -> bool:
        return self.sql_text is not None or self.sql_path is not None

    def _query(self) -> RenderedSql:
        source = load_source(self.sql_text, self.sql_path)
        statements = render_script(source, self.params)
        self.refuse_statements(statements)
        return statements[0]

    def _refuse_nothing_to_check(self) -> None:
        if self.sql_text is not None and self.sql_path is not None:
            raise InvalidPayload("CheckData takes either sql or sql_path")
        if not (self.short or self.checks or self._has_query):
            raise InvalidPayload("CheckData has nothing to check: give a rule, checks, or sql")


def _told(message: str) -> str:
    return message.replace("{", "{{").replace("}", "}}") + ": {rows}"
