"""Loads Parquet files and spreadsheets: in binary where the types allow it, otherwise as text."""

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.copying.binary_copy import arrow_types, copy_batches
from headrace.jobs.copying.careful_copy import (
    Careful,
    CarefulRow,
    CarefulValue,
    careful_row,
)
from headrace.jobs.copying.file_columns import Header, declared_fits, match_header
from headrace.jobs.copying.file_reading import Reading
from headrace.jobs.copying.row_intake import Intake
from headrace.jobs.copying.text_frames import TextColumn, TextFrames
from headrace.jobs.files.arrow_csv import Unfit
from headrace.jobs.files.column_shapes import Shape
from headrace.jobs.files.columnar_files import Columnar
from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.json_text import as_text
from headrace.jobs.files.kept_values import kept_by
from headrace.jobs.files.optional_library import library
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.table_catalog import Column
from headrace.model import exact_json

OpenColumns = Callable[[], AbstractContextManager[Columnar]]


class ColumnarFile:
    """A file with columns; `name` is what errors call it."""

    names_first = True

    def __init__(self, name: str, opened: OpenColumns, reading: Reading) -> None:
        self.name, self._open, self._reading = name, opened, reading
        self.place = name
        self._found: list[str] | None = None

    def columns(self) -> list[str]:
        """Return the columns by the names that they get.

        Raises:
            JobFailure: they are not what was declared.
        """
        if self._found is None:
            with self._open() as opened:
                self._found = [name for name in self._named(opened) if name is not None]
        return self._found

    def copy(self, intake: Intake) -> None:
        """Copy the rows.

        Raises:
            JobFailure: one does not fit.
        """
        with self._open() as opened:
            names = self._named(opened)
        kept = Header([name for name in names if name is not None])
        columns = match_header(kept, intake.columns, self.name, intake.target.written)
        at = [at for at, name in enumerate(names) if name is not None]
        intake.begin_file(self.name, [column.name for column in columns])
        read, written = self._binary(intake, columns, at) or self._text(intake, columns, at)
        intake.account(self.name, read, written, [column.name for column in columns])

    def careful(self, intake: Intake) -> Careful:
        """Return the rows one by one, each as COPY reads it, or why it has no place."""
        with self._open() as opened:
            names = self._named(opened)
        kept = Header([name for name in names if name is not None])
        columns = match_header(kept, intake.columns, self.name, intake.target.written)
        at = [at for at, name in enumerate(names) if name is not None]
        line = ["_line"] if intake.metadata.has_line else []
        copied = [*(column.name for column in columns), *line]
        return Careful(copied, self._careful_rows(intake, columns, at))

    def _careful_rows(
        self, intake: Intake, columns: Sequence[Column], at: Sequence[int]
    ) -> Iterator[CarefulRow]:
        shapes = [intake.shape(column.name) for column in columns]
        rewrites = self._rewrites(columns)
        how = [
            CarefulValue(
                one.name,
                rewrites.get(one.name),
                ("",) if shape.never_empty else (),
                kept=kept_by(one.type),
            )
            for one, shape in zip(columns, shapes, strict=True)
        ]
        with self._open() as opened:
            number = opened.first_line
            for batch in _texts(opened.batches, at, shapes, self.name):
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    raw = exact_json.dumps(
                        {c.name: value for c, value in zip(columns, row, strict=True)},
                        ensure_ascii=False,
                    )
                    line = number if intake.metadata.has_line else None
                    yield careful_row(number, raw, row, how, line)
                    number += 1

    def _named(self, opened: Columnar) -> list[str | None]:
        reading = self._reading
        names = list(opened.names) or list(reading.declared)
        if not names:
            raise JobFailure(f"{self.name}: the file is empty, a header was expected")
        for position, name in enumerate(names):
            if not name or name in names[:position]:
                what = f"{name!r} occurs twice" if name else f"{position + 1} has no name"
                raise JobFailure(f"{self.name}: the column {what}")
        found = reading.names.columns(names, self.name)
        if reading.declared and opened.names:
            known = Header([name for name in found if name is not None])
            declared_fits(known, reading.declared, self.name, all_of_them=reading.all_declared)
        return found

    def _binary(
        self, intake: Intake, columns: Sequence[Column], at: Sequence[int]
    ) -> tuple[int, int] | None:
        types = arrow_types(columns)
        if types is None or self._rewrites(columns) or intake.metadata.has_line:
            return None
        wanted = [types[column.name] for column in columns]
        try:
            with self._open() as opened, intake.session.begin_nested():
                batches = _typed(opened.batches, at, wanted)
                return copy_batches(intake.session, intake.into, columns, batches, self.name)
        except (Unfit, JobFailure) as reason:
            logger.debug("%s: read as text: %s", self.name, reason)
            return None

    def _text(
        self, intake: Intake, columns: Sequence[Column], at: Sequence[int]
    ) -> tuple[int, int]:
        shapes = [intake.shape(column.name) for column in columns]
        empty = [c.name for c, shape in zip(columns, shapes, strict=True) if shape.never_empty]
        line = ["_line"] if intake.metadata.has_line else []
        statement = packaged_sql(
            "load_csv",
            table=intake.into,
            columns=[*(column.name for column in columns), *line],
            delimiter=",",
            null="",
            never_empty=empty,
        )
        rewrites = self._rewrites(columns)
        described = {
            position: TextColumn(column.name, rewrites.get(column.name), kept=kept_by(column.type))
            for position, column in enumerate(columns)
        }
        with self._open() as opened:
            frames = TextFrames(
                _texts(opened.batches, at, shapes, self.name),
                described,
                self.name,
                Lines(opened.first_line - 1),
                adds_line=bool(line),
            )
            written = intake.copy(statement, frames, self.name)
        return frames.rows, written

    def _rewrites(self, columns: Sequence[Column]) -> dict[str, Any]:
        return {c.name: f for c in columns if (f := self._reading.formats.get(c.name))}


def _typed(batches: Iterator[Any], at: Sequence[int], types: Sequence[Any]) -> Iterator[Any]:
    arrow = library("pyarrow", "")
    for batch in batches:
        try:
            arrays = [
                _cast(batch.column(place), kind, arrow)
                for place, kind in zip(at, types, strict=True)
            ]
        except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError) as error:
            raise Unfit(str(error)) from None
        yield arrow.record_batch(arrays, names=[str(n) for n in range(len(arrays))])


def _cast(array: Any, kind: Any, arrow: Any) -> Any:
    """Cast an array where PostgreSQL would read its text as the same value."""
    own = array.type.value_type if arrow.types.is_dictionary(array.type) else array.type
    if own == kind:
        return array if array.type == kind else array.cast(kind)
    numbers = arrow.types.is_integer(own) and (
        arrow.types.is_integer(kind) or arrow.types.is_decimal(kind)
    )
    texts = arrow.types.is_large_string(own) and arrow.types.is_string(kind)
    zoned = arrow.types.is_timestamp(own) and arrow.types.is_timestamp(kind)
    same_zone = zoned and (own.tz is None) == (kind.tz is None)
    times = arrow.types.is_time(own) and arrow.types.is_time(kind)
    decimals = arrow.types.is_decimal(own) and arrow.types.is_decimal(kind)
    if numbers or texts or same_zone or times or decimals:
        return array.cast(kind)
    raise Unfit(f"{own} is no {kind}")


def _texts(
    batches: Iterator[Any], at: Sequence[int], shapes: Sequence[Shape], name: str
) -> Iterator[Any]:
    arrow = library("pyarrow", "")
    for batch in batches:
        arrays = []
        for place, shape in zip(at, shapes, strict=True):
            try:
                arrays.append(_as_texts(batch.column(place), shape, arrow))
            except (ValueError, OverflowError) as error:
                # Such as nanoseconds, or the year 10000, inside a list.
                told = str(error).partition(" to convert to ")[0].partition("\n")[0]
                column = batch.schema.field(place).name
                raise JobFailure(
                    f"{name}: column {column}: {told}: PostgreSQL has no such value. Leave the "
                    f"column out (select: [-{column}]), or have the file written without it"
                ) from None
        yield arrow.record_batch(arrays, names=[str(n) for n in range(len(arrays))])


def _as_texts(array: Any, shape: Shape, arrow: Any) -> Any:
    if arrow.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    own = array.type
    if arrow.types.is_string(own):
        return array
    if arrow.types.is_nested(own):
        return arrow.array([_nested(one, shape) for one in array.to_pylist()], arrow.string())
    if any(is_it(own) for is_it in (arrow.types.is_binary, arrow.types.is_large_binary,
                                    arrow.types.is_binary_view,
                                    arrow.types.is_fixed_size_binary)):  # fmt: skip
        return arrow.array(_each(array.to_pylist(), _plain), arrow.string())
    if arrow.types.is_duration(own):
        # As a number PostgreSQL would take it for seconds, whatever its unit is.
        counts, unit = array.cast(arrow.int64()).to_pylist(), _A_SECOND[own.unit]
        return arrow.array(_each(counts, lambda one: _span(one, unit)), arrow.string())
    return array.cast(arrow.string())


_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _each(values: Sequence[Any], text_of: Callable[[Any], str]) -> list[str | None]:
    return [None if one is None else text_of(one) for one in values]


def _nested(value: Any, shape: Shape) -> str | None:
    if value is None:
        return None
    return as_text(exact_json.dumps(value, default=_plain, encoding=None, allow_nan=True), shape)


def _plain(value: Any) -> str:
    """Return a value that JSON does not know as PostgreSQL reads it."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, datetime.timedelta):
        return _span(value // datetime.timedelta(microseconds=1), _A_SECOND["us"])
    return str(value.isoformat())


def _span(count: int, a_second: int) -> str:
    whole, rest = divmod(abs(count), a_second)
    return f"{'-' * (count < 0)}{whole}.{str(a_second + rest)[1:]} seconds"
