"""Sends record batches to PostgreSQL by COPY in binary format, encoded by pgpq."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.jobs.files.arrow_csv import Unfit
from headrace.jobs.files.copy_streams import copy_in
from headrace.jobs.files.optional_library import library
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.table_catalog import Column
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_ROWS_ENCODED = 16_384


def arrow_types(columns: Sequence[Column]) -> dict[str, Any] | None:
    """Return the type of pyarrow for each column, None where one has none that keeps all values.

    Those are integers, floats, booleans, texts, numeric with at most 38 digits, dates and times.
    None as well where the libraries are not installed.
    """
    try:
        library("pgpq", "")
        found = {column.name: _own_type(column) for column in columns}
    except JobFailure:
        return None
    return None if any(kind is None for kind in found.values()) else found


def arrow_type(column: Column) -> Any:
    """Return the type of pyarrow that holds a column's values, text if there is no other.

    None where the library is not installed.
    """
    try:
        return _own_type(column) or library("pyarrow", "").string()
    except JobFailure:
        return None


def _own_type(column: Column) -> Any:
    arrow = library("pyarrow", "")
    plain = {
        "smallint": arrow.int16(),
        "integer": arrow.int32(),
        "bigint": arrow.int64(),
        "real": arrow.float32(),
        "double precision": arrow.float64(),
        "boolean": arrow.bool_(),
        "text": arrow.string(),
        "date": arrow.date32(),
        "time without time zone": arrow.time64("us"),
        "timestamp without time zone": arrow.timestamp("us"),
        "timestamp with time zone": arrow.timestamp("us", tz="UTC"),
        "json": arrow.string(),
        "jsonb": arrow.string(),
    }
    return plain.get(column.type) or _with_limits(column, arrow)


def _with_limits(column: Column, arrow: Any) -> Any:
    name, _, limits = column.type.partition("(")
    if column.kind == "e" or name in ("character varying", "character"):
        return arrow.string() if not limits.endswith("[]") and not name.endswith("[]") else None
    if name == "numeric" and limits.endswith(")"):
        digits, _, scale = limits[:-1].partition(",")
        if int(digits) <= 38 and 0 <= int(scale) <= int(digits):
            return arrow.decimal128(int(digits), int(scale))
    return None


def copy_batches(
    session: "Session",
    table: RenderedSql,
    columns: Sequence[Column],
    batches: Iterator[Any],
    name: str,
) -> tuple[int, int]:
    """Copy record batches into a table; returns how many rows were sent, and how many it took.

    `columns` are those of the batches, by their order. An error of `batches` is raised as it is.

    Raises:
        JobFailure: PostgreSQL refuses a value.
    """
    sent = _Encoded(batches, columns)
    statement = packaged_sql("load_binary", table=table, columns=[one.name for one in columns])
    written = copy_in(session, statement, sent, name=name, ahead=True)
    return sent.rows, written


class _Encoded:
    """Batches as the driver reads them. The end is b"" after the end mark, and never before."""

    def __init__(self, batches: Iterator[Any], columns: Sequence[Column]) -> None:
        self._pieces = self._encoded(batches, columns)
        self.rows = 0

    def read(self, _size: int = -1, /) -> bytes:
        return next((piece for piece in self._pieces if piece), b"")

    def _encoded(self, batches: Iterator[Any], columns: Sequence[Column]) -> Iterator[bytes]:
        pgpq = library("pgpq", "")
        encoder = None
        for batch in batches:
            if encoder is None:
                encoder = self._encoder(pgpq, batch.schema, columns)
                yield encoder.write_header()
            for start in range(0, batch.num_rows, _ROWS_ENCODED):
                part = batch.slice(start, _ROWS_ENCODED)
                try:
                    piece = encoder.write_batch(part)
                except ValueError as error:
                    raise Unfit(str(error)) from None
                self.rows += part.num_rows
                yield piece
        if encoder is None:
            # A header without fields' descriptions, and the end mark.
            yield b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"
        else:
            yield encoder.finish()

    def _encoder(self, pgpq: Any, schema: Any, columns: Sequence[Column]) -> Any:
        texts = library("pgpq.encoders", "").StringEncoderBuilder
        jsonb = library("pgpq.schema", "").Jsonb()
        encoders: dict[str, Any] = {}
        for field, column in zip(schema, columns, strict=True):
            if column.type == "jsonb":
                encoders[field.name] = texts.new_with_output(field, jsonb)
            else:
                encoders[field.name] = pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field)
        return pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)


def without_dropped(batches: Iterator[Any], kept: Mapping[str, int]) -> Iterator[Any]:
    """Yield batches with the columns at these positions only, under these names."""
    for batch in batches:
        yield batch.select(list(kept.values())).rename_columns(list(kept))
