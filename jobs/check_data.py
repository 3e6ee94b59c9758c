"""CheckData: fail where rows break a rule."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import InvalidPayload, JobFailure, RefusedSql
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.jobs.sql.query_result import outcome_of
from headrace.jobs.statements.previews import of_script
from headrace.jobs.statements.user_sql import load_source, refuse_outside_transaction, render_script
from headrace.template import Preview, RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_SHOWN = 5

Check = tuple[str, RenderedSql]


class CheckData(BaseJob):
    """Check data, and fail with the first bad rows in the message.

    If all checks pass, the result is `{checks}`, their number.

    Parameters:
        table: the table to which the rules below apply.
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
    result_keys: ClassVar = {"checks": int}
    tables_read = ("table",)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        table: str | None = None,
        *,
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
        self.table = table
        self.not_null, self.unique = not_null or [], unique or []
        self.unique_together = unique_together or []
        self.references = references or {}
        self.min_rows, self.max_rows = min_rows, max_rows
        self.sql_text, self.sql_path, self.params = sql, sql_path, params
        self.message = message
        self._refuse_nothing_to_check()

    def handle(self) -> dict[str, int]:
        failures: list[str] = []
        with self.session(read_only=True) as session:
            checks = [*self._rules()]
            if self._has_query:
                checks.append((self.message, self._query()))
            for told, query in checks:
                failures += _broken(session, told, query)
            failures += self._broken_counts(session)
        if failures:
            raise JobFailure("; ".join(failures))
        count = len(checks) + (self.min_rows is not None) + (self.max_rows is not None)
        logger.info("%d checks passed", count)
        return {"checks": count}

    def preview(self) -> Iterator[Preview]:
        for told, sql in self._rules():
            yield Preview(sql, self.connection, f"expects no rows: {told}")
        if self._has_query:
            source = load_source(self.sql_text, self.sql_path)
            previews = of_script(source, self.params, self.connection)
            self.refuse_statements([one.sql for one in previews])
            yield previews[0]
        if self.min_rows is not None or self.max_rows is not None:
            yield Preview(self.sql("count_rows", table=self.table), self.connection)

    def refuse_statements(self, statements: Sequence[RenderedSql]) -> None:
        if len(statements) > 1:
            raise RefusedSql(f"{self.sql_path or 'sql'}: a check must be one query")
        for statement in statements:
            refuse_outside_transaction(statement)

    @property
    def _has_query(self) -> bool:
        return self.sql_text is not None or self.sql_path is not None

    def _rules(self) -> Iterator[Check]:
        for column in self.not_null:
            yield (
                f"{self.table}.{column} is null",
                self.sql("check_not_null", table=self.table, column=column),
            )
        combinations = [[column] for column in self.unique]
        for columns in combinations + ([self.unique_together] if self.unique_together else []):
            yield (
                f"{self.table}.{', '.join(columns)} is not unique",
                self.sql("check_unique", table=self.table, columns=columns),
            )
        for column, parent in self.references.items():
            yield f"{self.table}.{column} is not in {parent}", self._reference(column, parent)

    def _reference(self, column: str, parent: str) -> RenderedSql:
        table, _, parent_column = parent.rpartition(".")
        return self.sql(
            "check_references",
            table=self.table,
            column=column,
            parent=table,
            parent_column=parent_column,
        )

    def _query(self) -> RenderedSql:
        source = load_source(self.sql_text, self.sql_path)
        statements = render_script(source, self.params)
        self.refuse_statements(statements)
        return statements[0]

    def _broken_counts(self, session: "Session") -> list[str]:
        if self.min_rows is None and self.max_rows is None:
            return []
        count = execute(session, self.sql("count_rows", table=self.table)).scalar_one()
        if self.min_rows is not None and count < self.min_rows:
            return [f"{self.table} has {count} rows, fewer than {self.min_rows}"]
        if self.max_rows is not None and count > self.max_rows:
            return [f"{self.table} has {count} rows, more than {self.max_rows}"]
        return []

    def _refuse_nothing_to_check(self) -> None:
        queries = self.sql_text is not None, self.sql_path is not None
        rules = (
            bool(self.not_null or self.unique or self.unique_together or self.references)
            or self.min_rows is not None
            or self.max_rows is not None
        )
        if all(queries):
            raise InvalidPayload("CheckData takes either sql or sql_path")
        if rules and self.table is None:
            raise InvalidPayload("CheckData needs the table for its rules")
        if not rules and not any(queries):
            raise InvalidPayload("CheckData has nothing to check: give a rule, or sql")


def _broken(session: "Session", told: str, query: RenderedSql) -> list[str]:
    found = outcome_of(session, query, stream=True)
    count = found["row_count"]
    if count == 0:
        return []
    rows = "; ".join(_shown(row) for row in found["rows"][:_SHOWN])
    more = f"; and {count - _SHOWN} more" if count > _SHOWN else ""
    return [f"{told}: {count} {'row' if count == 1 else 'rows'} ({rows}{more})"]


def _shown(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r:.80}" for name, value in row.items())
