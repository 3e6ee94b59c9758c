"""DuckDB, whose types are near PostgreSQL's."""

import re
from typing import Any

from headrace.errors import JobFailure
from headrace.jobapi import OtherDatabase
from headrace.jobs.others.dialect import Dialect, OtherColumn, Text
from headrace.jobs.others.pg_types import family_of, parts_of
from headrace.jobs.sql.packaged import packaged_sql
from headrace.template import RenderedSql, quote_name

_READ = {
    "BOOLEAN": "boolean", "TINYINT": "smallint", "SMALLINT": "smallint", "INTEGER": "integer",
    "BIGINT": "bigint", "HUGEINT": "numeric(39,0)", "UTINYINT": "smallint",
    "USMALLINT": "integer", "UINTEGER": "bigint", "UBIGINT": "numeric(20,0)",
    "UHUGEINT": "numeric(39,0)", "FLOAT": "real", "DOUBLE": "double precision",
    "VARCHAR": "text", "BLOB": "bytea", "DATE": "date", "TIME": "time without time zone",
    "TIMESTAMP": "timestamp without time zone", "TIMESTAMP_S": "timestamp(0) without time zone",
    "TIMESTAMP_MS": "timestamp(3) without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone", "INTERVAL": "interval",
    "UUID": "uuid", "JSON": "json",
}  # fmt: skip
_MADE = {
    "bool": "BOOLEAN", "bytes": "BLOB", "date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ", "interval": "INTERVAL", "uuid": "UUID", "json": "JSON",
}  # fmt: skip
_NUMBERS = {
    "smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT", "real": "FLOAT",
    "double precision": "DOUBLE",
}  # fmt: skip
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_NESTED = re.compile(r"(STRUCT|MAP|UNION)\(.*|.*\[\d*\]", re.DOTALL)
_WITH_ERA = ("date", "timestamp", "timestamptz")
_MOST_DIGITS, _AFTER_POINT = 38, 12


class DuckdbDialect(Dialect):
    """See `Dialect`."""

    kind = "duckdb"
    zones_are_lost = False
    differs = "{0} IS DISTINCT FROM {1}"
    text_differs = "{0} IS DISTINCT FROM {1}"
    as_text = "CAST({0} AS VARCHAR)"
    matches = "regexp_matches({0}, {1})"
    age = "epoch(now() - CAST({0} AS TIMESTAMPTZ))"

    def read_as(self, native: str) -> str | None:
        """See `Dialect`; lists and structs are JSON."""
        if decimal := _DECIMAL.fullmatch(native):
            return f"numeric({decimal[1]},{decimal[2]})"
        if _NESTED.fullmatch(native):
            return "json"
        return "text" if native.startswith("ENUM(") else _READ.get(native)

    def described(self, database: OtherDatabase, query: RenderedSql) -> list[OtherColumn]:
        """See `Dialect`."""
        rows = list(database.run(packaged_sql("other_describe", query=query)))
        return [OtherColumn(row[0], row[1], self.read_as(row[1])) for row in rows]

    def made_as(self, type_: str, *, in_key: bool) -> str:
        """See `Dialect`."""
        del in_key
        name, first, second = parts_of(type_)
        family = family_of(type_)
        if family == "numeric":
            digits, after = first or _MOST_DIGITS, (second or 0) if first else _AFTER_POINT
            if digits > _MOST_DIGITS:
                raise JobFailure(f"DuckDB has no {type_}: at most DECIMAL(38)")
            return f"DECIMAL({digits},{after})"
        return _NUMBERS.get(name) or _MADE.get(family, "VARCHAR")

    def selected(self, column: OtherColumn) -> str:
        """Have the library write the text."""
        name = quote_name(column.name)
        if family_of(column.type or "text") == "bytes":
            return f"hex({name})"
        if _NESTED.fullmatch(column.native):
            return f"CAST(to_json({name}) AS VARCHAR)"
        return f"CAST({name} AS VARCHAR)"

    def text_of(self, column: OtherColumn) -> Text:
        """See `Dialect`."""
        family = family_of(column.type or "text")
        if family == "bytes":
            return lambda value: f"\\x{value}"
        return _with_era if family in _WITH_ERA else str


def _with_era(value: Any) -> str:
    return str(value).replace(" (BC)", " BC")
