"""DataAggregation: totals of a table by group."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Literal

from headrace.errors import InvalidPayload
from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CheckedJob
from headrace.jobs.sql.query_result import outcome_of
from headrace.jobs.statements.previews import NEEDS_STAGED, named_table, of_replace
from headrace.jobs.tables.expectations import Expectation, Expected
from headrace.jobs.tables.key_merge import written_by_key
from headrace.jobs.tables.row_forecast import Looking, of_new_table, of_replacement
from headrace.jobs.tables.row_storage import Staged, replace_table
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.staging_table import staged_table
from headrace.jobs.tables.table_catalog import unquoted, writable_table, written_column
from headrace.jobs.transfer.changed_groups import (
    GroupsGiven,
    Totals,
    forecast_groups,
    refresh_groups,
    stage_forecast,
)
from headrace.jobs.transfer.watermark import Incremental
from headrace.model.forecast import Forecast
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
    otherwise it is `{groups, rows}` (the first 100) or `{groups, into}`; with `refresh: changed`
    also `{inserted, updated, deleted}`, and `groups` is the number of those that were calculated.

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
        refresh: all writes all groups anew; changed finds groups by the values of
            `group_by`, which must not be NULL, writes those whose totals differ, and deletes those
            that have vanished.
        incremental: with `refresh: changed`, calculate only groups in which a row is new or was
            changed: `{cursor: updated_at}`, the column that grows; rows that were committed late
            count. `lag`, as in 10m, reads a window before the greatest value instead, which can
            use an index. A row that was deleted, or moved to another group, leaves no trace in its
            old group unless that has vanished: refresh without `incremental` now and then.
        expect: fail, and save nothing, if the numbers are others: `rows` (groups), as in ">0";
            `max_delete`, rows or a share of that table's rows that may be deleted, as in 5%.
    """

    tables_read = ("table",)
    tables_written = ("into",)
    tables_made = ("into",)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
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
        refresh: Literal["all", "changed"] = "all",
        incremental: GroupsGiven | None = None,
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
        self.refresh, self.incremental = refresh, Incremental.read(incremental)
        self._refuse_together()
        self.expect = Expectation.read(expect)
        self.tells_rows = aggregates is not None
        self.aggregates = _aggregates(aggregates, None if sort_by in self.group_by else sort_by)
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
        if self.refresh == "changed":
            with self.session() as session:
                groups, written = refresh_groups(session, self._totals(into))
            return self.judged({"groups": groups, **asdict(written), "into": into}, into)
        with self.session() as session:
            groups = replace_table(
                session,
                into,
                self._statement(),
                on_schema_change=self.on_schema_change,
                expect=self.expect,
            )
        return self.judged({"groups": groups, "into": into}, into)

    def forecast(self) -> Forecast | None:
        if self.into is None:
            return None
        with self.session() as session:
            looking = Looking(self, self.connection, session)
            if self.refresh == "changed":
                return forecast_groups(looking, self._totals(self.into))
            staged = Staged(stage_forecast(looking, self._statement()))
            target = writable_table(session, self.into)
            if target is None:
                columns = staged_table(session).columns
                return of_new_table(self.into, staged.rows, columns, self.expect)
            return of_replacement(
                looking, target, staged, policy=self.on_schema_change, expect=self.expect
            )

    def _totals(self, into: str) -> Totals:
        def query(key: Sequence[str], groups: RenderedSql | None) -> RenderedSql:
            return self._statement([_named(name) for name in key], groups)

        digest = sha256(self._statement().display.encode()).hexdigest()
        return Totals(
            self.table, self.group_by, into, query, f"totals {digest[:16]}",
            self.incremental, self.connection, self.on_schema_change, self.expect,
        )  # fmt: skip

    def preview(self) -> Iterator[Preview]:
        query = Preview(self._statement(), self.connection)
        if self.into is None:
            yield query
        elif self.refresh == "changed":
            note = "those groups in which a row has changed" if self.incremental else ""
            yield replace(query, note=note)
            key = [unquoted(name) for name in self.group_by]
            names = [*key, *(a.alias for a in self.aggregates)]
            write = written_by_key(
                named_table(self.into), names, key, delete=self.incremental is None
            )
            yield Preview(write, self.connection, unexplained=NEEDS_STAGED)
            yield from self.check_previews(self.into)
        else:
            yield from of_replace(query, self.into)
            yield from self.check_previews(self.into)

    def _statement(
        self, key: list[RenderedSql] | None = None, groups: RenderedSql | None = None
    ) -> RenderedSql:
        return self.sql(
            "data_aggregation",
            table=self.table,
            groups=groups,
            group_by=key or [written_column(name) for name in self.group_by],
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

    def _refuse_together(self) -> None:
        if self.refresh == "changed" and self.into is None:
            raise InvalidPayload("refresh: changed speaks of the rows of `into`, which is missing")
        if self.refresh == "changed" and self.on_schema_change == "recreate":
            raise InvalidPayload("on_schema_change: recreate makes all groups anew: refresh: all")
        if self.incremental is not None and self.refresh != "changed":
            raise InvalidPayload("incremental belongs to refresh: changed")

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
