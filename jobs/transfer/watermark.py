"""Remembers how far a copy has read its source, in the target's database, with the rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.record_table import RecordTable
from headrace.jobs.tables.table_catalog import Column, Table, find_table, named, unquoted
from headrace.jobs.transfer.lag import Lag
from headrace.jobs.transfer.source import Source
from headrace.template import RenderedSql, quote_name, render

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

RECORD = RecordTable(
    "watermark", "create_watermark", "keep watermarks", ("SELECT", "INSERT", "UPDATE")
)
IncrementalGiven = dict[Literal["cursor", "lag", "initial_value", "on_null"], Any]
# Beyond it 32 bits no longer tell which transaction was the earlier one.
_DEEPEST = 2**31


@dataclass(frozen=True, slots=True)
class Incremental:
    """The parameter `incremental`: read only rows whose `cursor` has grown.

    With `lag`, a window before the greatest value that was read, an index is of use. Without it
    rows of transactions are read that had not ended then, whatever their value: they may have
    been committed late.
    """

    cursor: str
    lag: Lag | None = None
    initial_value: Any = None
    on_null: str = "include"

    @classmethod
    def read(cls, given: Mapping[Any, Any] | None) -> Self | None:
        """Read the parameter.

        Raises:
            InvalidPayload: saying what is wrong with it.
        """
        if given is None:
            return None
        cursor, on_null = given.get("cursor"), given.get("on_null", "include")
        if not isinstance(cursor, str):
            raise InvalidPayload("incremental.cursor names the column that grows")
        if on_null not in ("include", "exclude", "fail"):
            raise InvalidPayload("incremental.on_null is one of include, exclude, fail")
        return cls(cursor, Lag.read(given.get("lag")), given.get("initial_value"), on_null)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a source's transactions stand: the `oldest` that runs, and the `next` one.

    `place` names server, timeline and database: numbers of another place say nothing here.
    """

    oldest: int
    next: int
    place: str


@dataclass(frozen=True, slots=True)
class Watermark:
    """The greatest value of the cursor that was read, and the clock before that read."""

    value: str | None
    clock: Clock


@dataclass(slots=True)
class Progress:
    """One incremental read: `source` is what is new, `whole` tells that all of it is read."""

    source: Source
    whole: bool
    _table: str
    _name: str
    _column: Column
    _before: Watermark | None
    _clock: Clock

    @property
    def cursor(self) -> str:
        """The name of the column that grows, as it arrives."""
        return self._column.name

    def go_on_from(self, first: "Progress", *, ended: bool) -> None:
        """Be one of several reads that began with `first`; the last one has `ended` them.

        Until then what may be committed late counts from before: not all of it is read yet.
        """
        self._clock = first.clock_of(ended=ended)

    def clock_of(self, *, ended: bool) -> "Clock":
        """Return the clock to remember: this read's, or that of the one before."""
        return self._clock if ended or self._before is None else self._before.clock

    def greatest(self, session: "Session", rows_in: RenderedSql) -> str | None:
        """Return how far was read: `rows_in` is a table with the rows that have come."""
        statement = packaged_sql(
            "greatest_value",
            table=rows_in,
            column=self._column.name,
            before=self._before.value if self._before else None,
            type=RenderedSql(self._column.type, {}),
        )
        found = execute(session, statement).scalar()
        return None if found is None else str(found)

    def store(self, session: "Session", value: str | None) -> None:
        """Remember how far was read, once the rows are in their table."""
        target = find_table(session, self._table)
        assert target is not None, "its rows are there"
        execute(
            session,
            packaged_sql(
                "keep_watermark",
                target=target.sql.display,
                source=self._name,
                column=self._column.name,
                value=value,
                oldest=self._clock.oldest,
                place=self._clock.place,
            ),
        )
        logger.info(
            "%s was read up to %s = %s", self.source.table.written, self._column.name, value
        )


def begin(
    session: "Session",
    source: Source,
    incremental: Incremental,
    *,
    table: str,
    connection: str | None,
    stores: bool = True,
    use: str = "",
) -> Progress:
    """Return what there is to read for `table`, which may be missing.

    Unless it `stores` how far was read, the record is not made. What another `use` has read does
    not count.

    Raises:
        JobFailure: the cursor cannot be used.
    """
    raw, column = _cursor_column(source, incremental)
    clock = _clock(source.session)
    name = f"{connection or 'control'}: {source.identity}{use and f' {use}'}"
    target = find_table(session, table)
    before = _stored(session, target, name, column, clock, source, stores=stores)
    if incremental.on_null == "fail":
        _refuse_null(source, column.name, raw)
    conditions = list(_conditions(incremental, column, raw, before, clock))
    return Progress(
        replace(source, conditions=(*source.conditions, *conditions)),
        before is None,
        table,
        name,
        column,
        before,
        clock,
    )


def _cursor_column(source: Source, incremental: Incremental) -> tuple[RenderedSql, Column]:
    """Return the cursor as the source has it, and as it arrives."""
    selection, written = source.selection, source.table.written
    (own,) = named(source.table.columns, [incremental.cursor], written)
    if own.name in map(unquoted, selection.masks):
        raise JobFailure(f"{own.name} is the cursor of incremental and cannot be masked")
    name = selection.renamed.get(own.name, own.name)
    (column,) = named(source.model.columns, [quote_name(name)], f"what is read of {written}")
    if incremental.lag is None and source.table.kind not in "rpm":
        raise JobFailure(
            f"{written} is a {source.table.what}, whose rows do not tell when they were written: "
            "rows that are committed late could be lost. Give incremental a `lag` as long as the "
            "longest transaction, or read the table itself"
        )
    return RenderedSql(quote_name(own.name), {}), column


def _clock(session: "Session") -> Clock:
    row = execute(session, packaged_sql("source_clock")).one()
    return Clock(row.oldest, row.next, row.place)


def _stored(
    session: "Session",
    target: Table | None,
    name: str,
    column: Column,
    clock: Clock,
    source: Source,
    *,
    stores: bool,
) -> Watermark | None:
    """Return the watermark, None where all has to be read; why is told."""
    if stores:
        RECORD.make(session)
    elif find_table(session, RECORD.written) is None:
        return None
    if target is None:
        return None
    statement = packaged_sql("read_watermark", target=target.sql.display, source=name)
    row = execute(session, statement).first()
    if row is None:
        return None
    why = None
    if is_empty(session, target):
        why = f"{target.written} has no rows any more"
    elif row.cursor_column != column.name:
        why = f"the cursor was {row.cursor_column} before"
    elif row.place != clock.place:
        why = "it is another server, timeline or database than before (restored or switched over)"
    elif not 0 <= clock.next - row.oldest_transaction < _DEEPEST:
        why = "too many transactions have passed to tell them apart, or their numbers went back"
    if why is not None:
        logger.warning("%s is read whole: %s", source.table.written, why)
        return None
    return Watermark(row.value, Clock(row.oldest_transaction, clock.next, row.place))


def _conditions(
    incremental: Incremental,
    column: Column,
    raw: RenderedSql,
    before: Watermark | None,
    clock: Clock,
) -> Iterator[RenderedSql]:
    null = "{{ c }} IS NULL OR " if incremental.on_null == "include" else ""
    names: dict[str, Any] = {"c": raw, "type": RenderedSql(column.type, {})}
    if incremental.initial_value is not None:
        first = str(incremental.initial_value)
        text = null + "{{ c }} >= {{ value }}::text::{{ type }}"
        yield render(text, names | {"value": first})
    elif incremental.on_null == "exclude":
        yield render("{{ c }} IS NOT NULL", names)
    if before is None:
        return
    # Closed: rows with the greatest value may have come later. Those that are known change nothing.
    grown = "{{ c }} >= {{ value }}::text::{{ type }}" if before.value is not None else "true"
    if incremental.lag is not None:
        logger.info("Reading %s from %s less %s on", column.name, before.value,
                    incremental.lag.written)  # fmt: skip
        text = null + grown + (incremental.lag.subtracted(column) if before.value else "")
        yield render(text, names | {"value": before.value})
        return
    logger.info(
        "Reading %s from %s on, and what has been committed late, for which no index is of use "
        "(`lag` would use one)", column.name, before.value,
    )  # fmt: skip
    late = packaged_sql("written_since", next=clock.next, depth=clock.next - before.clock.oldest)
    text = null + grown + " OR ({{ late }})"
    yield render(text, names | {"value": before.value, "late": late})


def _refuse_null(source: Source, name: str, raw: RenderedSql) -> None:
    condition = RenderedSql(f"{raw.display} IS NULL", {})
    rows = source.selection.query(
        source.rows_in, {name: raw}, [name], [*source.conditions, condition]
    )
    if execute(source.session, packaged_sql("any_of_query", query=rows)).scalar():
        raise JobFailure(
            f"{source.table.written} has rows whose {name} is NULL, and incremental.on_null is "
            "fail: set it to include (they are read each time) or exclude, or fill the column"
        )


def is_empty(session: "Session", target: Table) -> bool:
    """Return whether a table has no rows."""
    statement = packaged_sql("any_row", table=target.sql, condition=RenderedSql("true", {}))
    return not execute(session, statement).scalar()
