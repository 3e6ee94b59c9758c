"""DataAggregation: totals of a table by group."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from headrace.errors import InvalidPayload
from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CheckedJob
from headrace.jobs.sql.query_result import outcome_of
from headrace.jobs.statements.previews import of_replace
from headrace.jobs.tables.expectations import Expectation, Expected
from headrace.jobs.tables.row_storage import replace_table
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.table_catalog import unquoted, written_column
from headrace.template import Preview, RenderedSql, quote_name

_AGGREGATE = re.compile(
    r"\s*(?P<function>sum|avg|min|max|count)\s*"
    r"\(\s*(?P<distinct>distinct\b\s*)?"
    r"(?P<column>\*|[^\W\d][\w$]*|\"(?:[^\"]|\"\")+\")\s*\)\s*",
    re.IGNORECASE,
)
_TOTAL = "total_"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One column of the result: `alias` = `function([DISTINCT] column)`; None counts rows."""

    alias: str
    function: str
    column: str | None
    distinct: bool


class DataAggregation(CheckedJob):
    """Group a table and calculate totals.

    Without `aggregates` and `into` the result is a sentence with the number of groups;
    otherwise it is `{groups, rows}` (the first 100) or `{groups, into}`.

    Parameters:
        table: the table to read, with its schema.
        group_by: the column to group by, or a list of columns; any name, even `Order ID`.
        sort_by: a column of the result to sort by; `total_<column>` also adds that sum.
        sort_order: asc or desc.
        aggregates: what to calculate, as `{revenue: "sum(amount)", buyers: "count(distinct
            customer)"}`. Functions: sum, avg, min, max, count. Write a column name that is not a
            plain word in double quotes. Default: a row count.
        into: a table that will contain exactly the result. It is created if it is missing; an
            existing one keeps its definition, owner, privileges and other columns.
        on_schema_change: what to do if that table lacks a column, or has one that cannot take
            the result's values: fail; ignore new columns; append_new_columns; sync_all_columns,
            which also changes types and drops columns that the result lacks; recreate, which
            drops the table with its privileges.
        expect: fail, and save nothing, if the numbers are others: `rows` (groups), as in ">0";
            `max_delete`, rows or a share of that table's rows that may be deleted, as in 5%.
    """

    tables_read = ("table",)
    tables_written = ("into",)
    tables_made = ("into",)

    def __init__(
        self,
        table: str,
        group_by: str | list[str],
        sort_by: str | None = None,
        sort_order: Literal["asc", "desc"] = "asc",
        aggregates: dict[str, str] | None = None,
        into: str | None = None,
        on_schema_change: OnSchemaChange = "fail",
        *,
        expect: Expected | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.group_by = [group_by] if isinstance(group_by, str) else group_by
        self.sort_by = sort_by
        self.sort_order = sort_order
        if expect and into is None:
            raise InvalidPayload("expect speaks of the rows of `into`, which is missing")
        self.into, self.on_schema_change = into, on_schema_change
        self.expect = Expectation.read(expect)
        self.tells_rows = aggregates is not None
        self.aggregates = _aggregates(aggregates, sort_by)
        self._check_sort()
        if self.checks and into is None:
            raise InvalidPayload("checks judge what is written: DataAggregation needs into")
        self.refuse_checks_of(into)

    def handle(self) -> str | dict[str, Any]:
        logger.info("Aggregating %s grouped by %s", self.table, ", ".join(self.group_by))
        if self.into is not None:
            return self._store(self.into)
        with self.session() as session:
            found = outcome_of(session, self._statement(), stream=True)
        if self.tells_rows:
            return {"groups": found["row_count"], "rows": found["rows"]}
        return f"Aggregation complete. {found['row_count']} groups found."

    def _store(self, into: str) -> dict[str, Any]:
        with self.session() as session:
            groups = replace_table(
                session,
                into,
                self._statement(),
                on_schema_change=self.on_schema_change,
                expect=self.expect,
            )
        return self.judged({"groups": groups, "into": into}, into)

    def preview(self) -> Iterator[Preview]:
        query = Preview(self._statement(), self.connection)
        if self.into is None:
            yield query
        else:
            yield from of_replace(query, self.into)
            yield from self.check_previews(self.into)

    def _statement(self) -> RenderedSql:
        return self.sql(
            "data_aggregation",
            table=self.table,
            group_by=[written_column(name) for name in self.group_by],
            aggregates=[
                {
                    "alias": a.alias,
                    "function": a.function,
                    "column": None if a.column is None else _named(a.column),
                    "distinct": a.distinct,
                }
                for a in self.aggregates
            ],
            sort_by=self._sort_column(),
            sort_order=self.sort_order,
        )

    def _sort_column(self) -> RenderedSql | None:
        if self.sort_by is None or self.sort_by in self.group_by:
            return written_column(self.sort_by) if self.sort_by else None
        return _named(self.sort_by)

    def _check_sort(self) -> None:
        columns = [*self.group_by, *(a.alias for a in self.aggregates)]
        if self.sort_by is not None and self.sort_by not in columns:
            raise InvalidPayload(
                f"sort_by {self.sort_by!r} is not a column of the result: {', '.join(columns)}"
            )


def _named(name: str) -> RenderedSql:
    return RenderedSql(quote_name(name), {})


def _aggregates(given: dict[str, str] | None, sort_by: str | None) -> list[Aggregate]:
    if given is not None:
        if not given:
            raise InvalidPayload("aggregates is empty: leave it out for a row count")
        return [parse_aggregate(alias, expression) for alias, expression in given.items()]
    found = [Aggregate("row_count", "count", None, distinct=False)]
    if sort_by is not None and sort_by.startswith(_TOTAL):
        found.append(Aggregate(sort_by, "sum", sort_by.removeprefix(_TOTAL), distinct=False))
    return found


def parse_aggregate(alias: str, expression: str) -> Aggregate:
    """Read `sum(amount)` or `count(distinct customer)`.

    Raises:
        InvalidPayload: it is anything else.
    """
    match = _AGGREGATE.fullmatch(expression)
    everything = match is not None and match["column"] == "*"
    if match is None or (
        everything and (match["function"].lower() != "count" or match["distinct"])
    ):
        raise InvalidPayload(
            f"aggregate {alias}: {expression!r} is none of sum, avg, min, max, count of one "
            "column, such as sum(amount), count(*) or count(distinct customer)"
        )
    column = None if everything else unquoted(match["column"])
    return Aggregate(alias, match["function"].lower(), column, match["distinct"] is not None)
