"""Remembers how far an API was read, in the target's database, with the rows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Self

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import logger
from headrace.jobapi.outbound.urls import without_query
from headrace.jobs.files.column_shapes import SCALAR
from headrace.jobs.files.json_text import as_text, values_of
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.staging_table import lock_name
from headrace.jobs.tables.table_catalog import Column, Table, find_table, named
from headrace.jobs.transfer.lag import Lag
from headrace.jobs.transfer.watermark import RECORD, is_empty
from headrace.model import exact_json
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

AskedGiven = dict[Literal["cursor", "start_param", "initial_value", "lag"], Any]
_AT_ONCE = 10_000
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_PLACE = "http"


@dataclass(frozen=True, slots=True)
class AskedSince:
    """The parameter `incremental` of a request: `start_param` asks for what has come since.

    `cursor` is the column whose greatest value is the next run's start.
    """

    cursor: str
    start_param: str
    initial_value: str | None = None
    lag: Lag | None = None

    @classmethod
    def read(cls, given: Mapping[Any, Any] | None) -> Self | None:
        """Read the parameter.

        Raises:
            InvalidPayload: saying what is wrong with it.
        """
        if given is None:
            return None
        for name in ("cursor", "start_param"):
            if not isinstance(given.get(name), str) or not given[name]:
                raise InvalidPayload(f"incremental needs {name}, a text")
        first = given.get("initial_value")
        text = None if first is None else str(first)
        return cls(given["cursor"], given["start_param"], text, Lag.read(given.get("lag")))


@dataclass(frozen=True, slots=True)
class RequestWatermark:
    """How far a URL was read for a table, or the part of it that query and body ask for.

    `part` is a digest of these, since secrets may stand in them; empty where there are none.
    """

    since: AskedSince
    table: str
    url: str
    part: str

    @classmethod
    def of(
        cls, since: AskedSince, table: str, url: str, query: Mapping[str, Any], body: Any
    ) -> Self:
        """Return the watermark of a request."""
        asked = [url.partition("?")[2], query, body]
        text = exact_json.dumps(asked, sort_keys=True) if any(asked) else ""
        part = sha256(text.encode()).hexdigest()[:16] if text else ""
        return cls(since, table, without_query(url), part)

    def start(self, session: "Session") -> str | None:
        """Return what to ask for, None for all there is; why all is read again is logged."""
        target = find_table(session, self.table)
        value = None if target is None else self._stored(session, target)
        if value is None or target is None:
            return self.since.initial_value
        if self.since.lag is None:
            return value
        return self._lagged(session, target, value, self.since.lag)

    def store(self, session: "Session", records: Iterable[str]) -> str | None:
        """Remember the greatest value of the records, in the transaction that has stored them.

        Returns it. Another run may have come further meanwhile: its value stays.

        Raises:
            JobFailure: the cursor has no order that is known, or a record has no value.
        """
        lock_name(session, self.table)
        RECORD.make(session)
        target = find_table(session, self.table)
        assert target is not None, "its rows are there"
        column = self._column(target)
        greatest = self._stored(session, target)
        coming = self._values(records)
        while some := list(islice(coming, _AT_ONCE)):
            values = [*some, greatest] if greatest is not None else some
            greatest = self._greatest(session, column, values)
        if greatest is not None:
            values_kept = {"target": target.sql.display, "source": self._source, "value": greatest}
            columns = {"column": column.name, "oldest": 0, "place": _PLACE}
            execute(session, packaged_sql("keep_watermark", **values_kept, **columns))
        return greatest

    @property
    def _source(self) -> str:
        return f"http: {self.url}" + (f" {self.part}" if self.part else "")

    def _stored(self, session: "Session", target: Table) -> str | None:
        if not RECORD.is_usable(session):
            return None
        row = execute(
            session,
            packaged_sql("read_watermark", target=target.sql.display, source=self._source),
        ).first()
        if row is None:
            return None
        why = None
        if is_empty(session, target):
            why = f"{target.written} has no rows any more"
        elif row.cursor_column != self._column(target).name:
            why = f"the cursor was {row.cursor_column} before"
        if why is not None:
            logger.warning("%s is read whole: %s", self.url, why)
            return None
        return str(row.value)

    def _column(self, target: Table) -> Column:
        (column,) = named(target.columns, [self.since.cursor], target.written)
        if column.type.startswith((*_NUMBERS, "timestamp", "date")):
            return column
        raise JobFailure(
            f"{target.written}.{column.name} is {column.type}, which does not tell the later of "
            "two values: give the cursor of incremental a type such as timestamptz or bigint "
            "(`columns`)"
        )

    def _values(self, records: Iterable[str]) -> Iterator[str]:
        for number, record in enumerate(records, 1):
            raw = values_of(record).get(self.since.cursor)
            value = None if raw is None else as_text(raw, SCALAR)
            if value is None:
                raise JobFailure(
                    f"{self.url}: record {number} has no {self.since.cursor!r}, the cursor of "
                    "incremental: the next run could not tell whether it has it"
                )
            yield value

    def _greatest(self, session: "Session", column: Column, values: list[str]) -> str:
        type_ = RenderedSql(column.type, {})
        statement = packaged_sql("greatest_text", values=values, type=type_)
        return str(execute(session, statement).scalar_one())

    def _lagged(self, session: "Session", target: Table, value: str, lag: Lag) -> str:
        column = self._column(target)
        lag.subtracted(column)  # Refuses one that does not fit the type.
        kind = "number" if lag.steps is not None else "instant"
        if column.type.startswith("date"):
            kind = "date"
        elif column.type.endswith("without time zone"):
            kind = "local"
        statement = packaged_sql(
            "lagged_text",
            value=value,
            type=RenderedSql(column.type, {}),
            kind=kind,
            lag=lag.steps if lag.steps is not None else lag.seconds,
        )
        return str(execute(session, statement).scalar_one())
