"""SQLite: types are what a column prefers, and each value has its own."""

import re
from collections.abc import Sequence
from typing import Any

from headrace.errors import JobFailure
from headrace.jobapi import OtherDatabase
from headrace.jobs.files.kept_values import kept_by
from headrace.jobs.others.dialect import Dialect, OtherColumn, Text
from headrace.jobs.others.pg_types import family_of, parts_of
from headrace.jobs.sql.packaged import packaged_sql
from headrace.template import RenderedSql, quote_name

_DECLARED = re.compile(r"([A-Za-z_ ]*?)\s*(?:\((\d+)(?:\s*,\s*(\d+))?\))?\s*")
_MOMENTS = {
    "DATE": "date",
    "TIME": "time without time zone",
    "DATETIME": "timestamp without time zone",
    "TIMESTAMP": "timestamp without time zone",
}
_TIMES = ("date", "time", "timestamp")
_REMEDY = "read a view or a query that converts it, as round() and datetime() do"
_MADE = {
    "bool": "BOOLEAN", "int": "BIGINT", "float": "DOUBLE PRECISION", "bytes": "BLOB",
    "date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMP",
}  # fmt: skip


class SqliteDialect(Dialect):
    """See `Dialect`."""

    kind = "sqlite"
    differs = "{0} IS NOT {1}"
    text_differs = "({0} COLLATE BINARY) IS NOT {1}"
    as_text = "CAST({0} AS TEXT)"
    matches = "{0} REGEXP {1}"
    age = "(julianday('now') - julianday({0})) * 86400"

    def read_as(self, native: str) -> str | None:
        """Read it by the rules of SQLite's manual, "Determination Of Column Affinity"."""
        word = native.upper().strip()
        bare, first, second = _parts(word)
        if bare in ("BOOLEAN", "BOOL"):
            return "boolean"
        if bare in _MOMENTS:
            return _MOMENTS[bare]
        if "INT" in word:
            return "bigint"
        if any(one in word for one in ("CHAR", "CLOB", "TEXT")):
            return "text"
        if not word or "BLOB" in word:
            return "bytea" if word else "text"
        if any(one in word for one in ("REAL", "FLOA", "DOUB")):
            return "double precision"
        if bare in ("NUMERIC", "DECIMAL") and first:
            return f"numeric({first},{second or 0})"
        return "numeric"

    def described(self, database: OtherDatabase, query: RenderedSql) -> list[OtherColumn]:
        """Find the columns' types among the values: a query's columns have none declared."""
        names = list(database.run(packaged_sql("other_no_rows", query=query)).keys())
        kinds = packaged_sql("other_storage_classes", query=query, columns=names)
        (found,) = database.run(kinds)
        return [
            OtherColumn(_asked(name, names), kept or "", _by_values(name, (kept or "").split(",")))
            for name, kept in zip(names, found, strict=True)
        ]

    def made_as(self, type_: str, *, in_key: bool) -> str:
        """See `Dialect`."""
        del in_key
        name, first, second = parts_of(type_)
        family = family_of(type_)
        if family == "numeric":
            return f"NUMERIC({first},{second or 0})" if first else "NUMERIC"
        if name.startswith("character") and first:
            return f"VARCHAR({first})"
        return _MADE.get(family, "TEXT")

    def text_of(self, column: OtherColumn) -> Text:
        """See `Dialect`."""
        family = family_of(column.type or "text")
        kept = kept_by(column.type or "text")

        def text(value: Any) -> str:
            if isinstance(value, bytes):
                if family != "bytes":
                    raise JobFailure(f"column {column.name}: a BLOB is no {column.type}")
                return "\\x" + value.hex()
            if family == "bytes":
                raise JobFailure(f"column {column.name}: {value!r:.60} is no BLOB")
            if family in _TIMES and not isinstance(value, str):
                raise JobFailure(f"column {column.name}: {value} is no {family} but a number")
            written = repr(value) if isinstance(value, float) else str(value)
            lost = kept.told(written, _REMEDY) if kept is not None else None
            if lost is not None:
                raise JobFailure(f"column {column.name}: {lost}")
            return written

        return text


def _parts(declared: str) -> tuple[str, int | None, int | None]:
    found = _DECLARED.fullmatch(declared)
    if found is None:
        return declared, None, None
    first, second = found[2], found[3]
    return found[1], int(first) if first else None, int(second) if second else None


def _asked(name: str, names: Sequence[str]) -> str:
    """Return what the query calls a column: the second `id` of a subquery is `id:1` in SQLite."""
    bare, colon, number = name.rpartition(":")
    if not colon or not number.isdecimal():
        return name
    return next((one for one in names if one.lower() == bare.lower()), name)


def _by_values(name: str, found: Sequence[str]) -> str:
    kept = {*found} - {"null", ""}
    if not kept or "text" in kept:
        if "blob" in kept:
            raise JobFailure(f"the column {quote_name(name)} has texts and BLOBs: cast it")
        return "text"
    if "blob" in kept:
        if len(kept) > 1:
            raise JobFailure(f"the column {quote_name(name)} has numbers and BLOBs: cast it")
        return "bytea"
    if kept == {"integer"}:
        return "bigint"
    return "double precision" if kept == {"real"} else "numeric"
