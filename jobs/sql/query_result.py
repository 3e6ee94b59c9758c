"""Turns the rows of a query into a job's result: what JSON holds, exact and bounded."""

import math
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import psycopg2
from psycopg2.extensions import (
    PYDATE,
    PYDATETIME,
    PYDATETIMETZ,
    PYINTERVAL,
    PYTIME,
    new_array_type,
    new_type,
)

from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import AS_WRITTEN, connection_of, execute
from headrace.model import exact_json
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Engine
    from sqlalchemy.orm import Session

    from headrace.jobapi import Answer, Statements

ROWS_KEPT = 100
BYTES_KEPT = 1_000_000
"""What the rows of a result take as JSON at most: each listing of jobs sends them."""

_INT_DIGITS = 4300  # Python writes no int of more digits.
_MICROSECOND = timedelta(microseconds=1)


def outcome_of(
    target: "Session | Connection", sql: RenderedSql, *, keep: int = ROWS_KEPT, stream: bool = False
) -> dict[str, Any]:
    """Send one statement and return its `outcome`, with each value as it is in the database."""
    with execute(_values_as_written(target), sql, stream=stream, as_written=True) as cursor:
        return outcome(cursor, keep)


def outcome_direct(
    target: "Statements", sql: RenderedSql, *, keep: int = ROWS_KEPT, stream: bool = False
) -> dict[str, Any]:
    """Do the same by the driver alone."""
    # Without parameters it leaves percent signs alone.
    text, values = (sql.pyformat, sql.binds) if sql.binds else (sql.display, None)
    with target.run(text, values, stream=stream, types=_TYPES) as answer:
        return outcome(answer, keep)


def outcome(cursor: "CursorResult[Any] | Answer", keep: int = ROWS_KEPT) -> dict[str, Any]:
    """Return `{row_count}`, with the first `keep` rows and `columns` where there are rows.

    Rows that would make it larger than `BYTES_KEPT` are counted but left out, which
    `truncated: true` says. A column whose name was there before is called `name_2`.
    """
    if not cursor.returns_rows:
        return {"row_count": max(0, cursor.rowcount)}
    columns = _distinct(list(cursor.keys()))
    rows: list[dict[str, Any]] = []
    count, size, full = 0, 0, False
    for row in cursor:
        if count < keep and not full:
            kept = dict(zip(columns, map(as_json, row), strict=True))
            size += len(exact_json.dumps(kept))
            full = size > BYTES_KEPT
            if not full:
                rows.append(kept)
        count += 1
    found = {"row_count": count, "columns": columns, "rows": rows}
    if not full:
        return found
    logger.warning("The result keeps %d of %s: more do not fit into %d MB", len(rows),
                   number_of(count, "row"), BYTES_KEPT // 1_000_000)  # fmt: skip
    return found | {"truncated": True}


def as_json(value: Any) -> Any:
    """Return a column's value as JSON has it.

    Numbers keep every digit. Dates and times are ISO 8601, a span is its seconds. What Python
    has no value for (years before 1 or after 9999, infinity, 24:00, spans with months) is the
    text that PostgreSQL writes.
    """
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else _endless(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        exactly = Decimal(value // _MICROSECOND).scaleb(-6)
        return seconds if Decimal(repr(seconds)) == exactly else exactly
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else str(value)


_heard: "WeakSet[Engine]" = WeakSet()


def _values_as_written(target: "Session | Connection") -> "Connection":
    """Have what Python cannot hold read as PostgreSQL writes it, where a statement asks for it.

    The driver refuses a date before the year 1, takes infinity for the year 9999, a month for
    thirty days and 24:00 for 00:00.
    """
    from sqlalchemy import event

    connection = connection_of(target)
    # Once for an engine: to listen costs more than a small statement.
    if connection.engine not in _heard:
        event.listen(connection.engine, "before_cursor_execute", _register)
        _heard.add(connection.engine)
    return connection


def _register(_connection: Any, cursor: Any, *rest: Any) -> None:
    context = rest[2]
    if context is not None and context.execution_options.get(AS_WRITTEN):
        cursor.string_types = _TYPES


def _distinct(columns: list[str]) -> list[str]:
    names: list[str] = []
    for column in columns:
        name, number = column, 2
        while name in names or (name != column and name in columns):
            name, number = f"{column}_{number}", number + 1
        names.append(name)
    return names


def _endless(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _number(value: Decimal) -> int | Decimal | str:
    if not value.is_finite():
        return str(value)
    whole = value == value.to_integral_value() and value.adjusted() < _INT_DIGITS
    return int(value) if whole else value


def _or_text(cast: Callable[[Any, Any], Any], other: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    """Read by `cast`, but not what it makes another value of: a text that has one of `other`."""

    def _read(text: Any, cursor: Any) -> Any:
        if text is None or any(word in text for word in other):
            return text
        try:
            return cast(text, cursor)
        except (ValueError, OverflowError, psycopg2.Error):
            return text

    return _read


def _types() -> Iterator[Any]:
    # Type and array type by their numbers in pg_type, which never change.
    for name, cast, other, oid, array in (
        ("DATE", PYDATE, ("infinity",), 1082, 1182),
        ("TIMESTAMP", PYDATETIME, ("infinity",), 1114, 1115),
        ("TIMESTAMPTZ", PYDATETIMETZ, ("infinity",), 1184, 1185),
        ("INTERVAL", PYINTERVAL, ("infinity", "mon", "year"), 1186, 1187),
        ("TIME", PYTIME, ("24:00",), 1083, 1183),
        ("TIMETZ", PYTIME, ("24:00",), 1266, 1270),
    ):
        one = new_type((oid,), name, _or_text(cast, other))
        yield one
        yield new_array_type((array,), f"{name}[]", one)
    # The driver reads each decimal of JSON as a float, and has ranges of its own.
    for name, read, oid, array in (
        ("JSON", exact_json.loads, 114, 199),
        ("JSONB", exact_json.loads, 3802, 3807),
        ("INT4RANGE", str, 3904, 3905),
        ("NUMRANGE", str, 3906, 3907),
        ("TSRANGE", str, 3908, 3909),
        ("TSTZRANGE", str, 3910, 3911),
        ("DATERANGE", str, 3912, 3913),
        ("INT8RANGE", str, 3926, 3927),
    ):
        one = new_type((oid,), name, _each_by(read))
        yield one
        yield new_array_type((array,), f"{name}[]", one)


def _each_by(read: Callable[[str], Any]) -> Callable[[Any, Any], Any]:
    return lambda text, _cursor: None if text is None else read(text)


# As a cursor holds what is registered with it: by the number of the type.
_TYPES = {oid: one for one in _types() for oid in one.values}
