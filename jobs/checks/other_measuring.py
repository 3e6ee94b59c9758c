"""Measures checks in other databases than PostgreSQL."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import OtherDatabase
from headrace.jobs.checks import other_conditions
from headrace.jobs.checks.check import Check, Judged, Measured
from headrace.jobs.checks.column_types import differences_of, fits_native
from headrace.jobs.checks.comparison import OpenReader, counted_there
from headrace.jobs.checks.judging import say
from headrace.jobs.checks.kinds import KINDS, columns_of, seconds_of
from headrace.jobs.checks.measuring import of_metric, share_of
from headrace.jobs.others.dialect import Dialect, OtherTable
from headrace.jobs.others.dialects import dialect_of
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.sql.query_result import outcome
from headrace.jobs.tables.table_catalog import named, unquoted
from headrace.template import RenderedSql, quote_name

_COUNTED = ("failed_rows", "missing", "invalid", "duplicate")


def refuse_checks_for_others(checks: Sequence[Check], product: str, *, stores: bool) -> None:
    """Refuse what cannot be checked, or kept, in another database.

    Raises:
        InvalidPayload: naming it.
    """
    if stores:
        raise InvalidPayload(f"store_failures works in PostgreSQL only, not in {product}")
    for check in checks:
        if check.given.get("metric") == "checksum":
            raise InvalidPayload(
                f"{check.name}: metric: checksum works in PostgreSQL only, not in {product}:"
                " compare the count, or an aggregate"
            )


def judge_other(
    database: OtherDatabase,
    checks: Sequence[Check],
    open_reader: OpenReader,
    connection: str | None,
    kept: int,
) -> list[Judged]:
    """Measure and judge checks in another database, and tell each in the log."""
    judged = []
    for check in checks:
        one = Judged(check, _Measuring(database, check, open_reader, kept).measured(connection))
        say(one)
        judged.append(one)
    return judged


class _Measuring:
    """One check, measured in one database."""

    def __init__(
        self, database: OtherDatabase, check: Check, open_reader: OpenReader, kept: int
    ) -> None:
        self._database, self._check, self._kept = database, check, kept
        self._open_reader = open_reader
        self._dialect: Dialect = dialect_of(database)
        self._table: OtherTable | None = None
        if check.table is not None:
            self._table = self._dialect.readable(database, check.table)
            # SQLite takes a quoted name that it does not know for a text.
            own = [column.as_column() for column in self._table.columns]
            if check.kind != "schema":
                named(own, columns_of(check.given), check.table)

    def measured(self, connection: str | None) -> Measured:
        """Measure it.

        Raises:
            JobFailure, RefusedSql: the check cannot be made.
        """
        check = self._check
        if check.kind == "failed_rows" and "query" in check.given:
            return queried_other(
                self._database, check, RenderedSql(check.given["query"], {}), self._kept
            )
        if check.kind in _COUNTED:
            return self._counted()
        if check.kind == "schema":
            return self._schema()
        if check.kind == "compare":
            return self._compared()
        if check.kind == "freshness":
            return self._age()
        statement = KINDS[check.kind].statement
        assert statement is not None, check.kind
        if check.kind in ("aggregate", "metric"):
            value = _exact(check.name, _value(self._database, self._expressed()))
            return (
                of_metric(check, connection, value) if check.kind == "metric" else Measured(value)
            )
        return Measured(_value(self._database, statement(check)))

    def _expressed(self) -> RenderedSql:
        check = self._check
        if check.kind == "metric":
            expression = check.given["expression"]
        else:
            column = quote_name(unquoted(check.given["column"]))
            function = check.given["function"]
            expression = f"{function}({column})"
            if function == "count_distinct":
                expression = f"count(DISTINCT {column})"
        return packaged_sql(
            "other_check_value", rows=check.rows, expression=RenderedSql(expression, {})
        )

    def _counted(self) -> Measured:
        check = self._check
        condition = self._condition()
        columns = [unquoted(one) for one in columns_of(check.given)]
        if condition is None:
            counting = packaged_sql("other_check_duplicates", rows=check.rows, columns=columns)
        else:
            counting = packaged_sql("other_check_condition", rows=check.rows, condition=condition)
        (row,) = self._database.run(counting)
        bad, total = int(row[0]), int(row[1])
        sample: list[dict[str, Any]] = []
        if bad and self._kept:
            if condition is None:
                quoted = [RenderedSql(quote_name(one), {}) for one in columns]
                rows = packaged_sql(
                    "check_duplicated", rows=check.rows, columns=quoted, limit=self._kept
                )
            else:
                rows = packaged_sql(
                    "check_sample", rows=check.rows, condition=condition, limit=self._kept
                )
            sample = outcome(self._database.run(rows), self._kept)["rows"]
        return share_of(check, bad, total, sample)

    def _condition(self) -> RenderedSql | None:
        match self._check.kind:
            case "missing":
                return other_conditions.missing(self._dialect, self._check.given)
            case "invalid":
                return other_conditions.invalid(self._dialect, self._check.given)
            case "failed_rows":
                condition = KINDS["failed_rows"].condition
                assert condition is not None
                return condition(self._check)
        return None

    def _age(self) -> Measured:
        column = quote_name(unquoted(self._check.given["column"]))
        age = RenderedSql(self._dialect.age.format(f"max({column})"), {})
        newest = RenderedSql(self._dialect.as_text.format(f"max({column})"), {})
        statement = packaged_sql(
            "other_check_freshness", rows=self._check.rows, age=age, newest=newest
        )
        (row,) = self._database.run(statement)
        if row[0] is None:
            if row[1] is None:
                return Measured(None, "no rows")
            raise JobFailure(f"{self._check.name}: {row[1]!r} is no time")
        seconds = Decimal(str(row[0])) / seconds_of(self._check.given)
        return Measured(round(seconds, 3), f"the newest is {row[1]}")

    def _compared(self) -> Measured:
        check, given = self._check, self._check.given
        ours = int(_value(self._database, packaged_sql("check_count", rows=check.rows)))
        theirs = counted_there(check, self._open_reader)
        return Measured(abs(ours - theirs), f"{ours} rows here, {theirs} on {given['connection']}")

    def _schema(self) -> Measured:
        assert self._table is not None
        there = {column.name: column.native for column in self._table.columns}
        found = list(differences_of(there, self._check.given, fits_native))
        return Measured(len(found), "; ".join(found))


def queried_other(database: OtherDatabase, check: Check, query: RenderedSql, kept: int) -> Measured:
    """Measure a check by a query whose rows are those that should not be there."""
    found = outcome(database.run(query, stream=True), kept)
    if "rows" not in found:
        raise JobFailure(f"{check.name}: the statement returns no rows: a check is a query")
    return Measured(found["row_count"], "", found["row_count"], tuple(found["rows"]))


def _value(database: OtherDatabase, statement: RenderedSql) -> Any:
    (row,) = database.run(statement)
    return row[0]


def _exact(name: str, value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        raise JobFailure(f"{name}: {value!r:.80} is no number") from None
