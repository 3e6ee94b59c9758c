"""MySQL and MariaDB."""

import re
from collections.abc import Sequence
from typing import Any

from headrace.errors import JobFailure
from headrace.jobapi import OtherDatabase
from headrace.jobs.others.dialect import STAGED, Dialect, OtherColumn, OtherTable, Text
from headrace.jobs.others.pg_types import family_of, parts_of
from headrace.jobs.sql.packaged import packaged_sql
from headrace.template import RenderedSql, quote_name, split_name

_DECLARED = re.compile(r"([a-z0-9]+)(?:\(([^)]*)\))?(.*)", re.DOTALL)
_READ = {
    "smallint": "smallint", "mediumint": "integer", "int": "integer", "bigint": "bigint",
    "float": "real", "double": "double precision", "date": "date", "year": "smallint",
    "char": "text", "varchar": "text", "tinytext": "text", "text": "text", "mediumtext": "text",
    "longtext": "text", "enum": "text", "set": "text", "binary": "bytea", "varbinary": "bytea",
    "tinyblob": "bytea", "blob": "bytea", "mediumblob": "bytea", "longblob": "bytea",
    "json": "json", "uuid": "uuid", "inet4": "text", "inet6": "text", "tinyint": "smallint",
}  # fmt: skip
_UNSIGNED = {
    "tinyint": "smallint", "smallint": "integer", "mediumint": "integer", "int": "bigint",
    "bigint": "numeric(20,0)",
}  # fmt: skip
_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_MADE = {
    "bool": "TINYINT(1)", "bytes": "LONGBLOB", "date": "DATE", "time": "TIME(6)",
    "timestamp": "DATETIME(6)", "timestamptz": "DATETIME(6)", "uuid": f"CHAR(36) {_TEXT}",
}  # fmt: skip
_NUMBERS = {
    "smallint": "SMALLINT", "integer": "INT", "bigint": "BIGINT", "real": "FLOAT",
    "double precision": "DOUBLE",
}  # fmt: skip
_LONGEST_VARCHAR = 16383
_LONGEST_KEY = 255
_MOST_DIGITS, _MOST_AFTER_POINT = 65, 30


class MysqlDialect(Dialect):
    """See `Dialect`."""

    kind = "mysql"
    differs = "NOT ({0} <=> {1})"
    as_text = "CAST({0} AS CHAR) COLLATE utf8mb4_bin"
    length = "char_length({0})"
    matches = "{0} REGEXP {1}"
    age = "timestampdiff(MICROSECOND, {0}, utc_timestamp(6)) / 1000000"
    text_differs = "NOT (CAST({0} AS BINARY) <=> CAST({1} AS BINARY))"

    def read_as(self, native: str) -> str | None:
        """See `Dialect`."""
        found = _DECLARED.fullmatch(native.lower())
        if found is None:
            return None
        word, inside, rest = found[1], found[2] or "", found[3]
        if (word, inside) == ("tinyint", "1") or (word, inside) == ("bit", "1"):
            return "boolean"
        if word == "decimal":
            return f"numeric({inside})"
        if word in ("datetime", "timestamp"):
            zone = "with" if word == "timestamp" else "without"
            return f"timestamp({inside or 0}) {zone} time zone"
        if word == "time":
            return f"time({inside or 0}) without time zone"
        if "unsigned" in rest and word in _UNSIGNED:
            return _UNSIGNED[word]
        return _READ.get(word)

    def described(self, database: OtherDatabase, query: RenderedSql) -> list[OtherColumn]:
        """Let the server describe the rows; it plans the query, and gives none."""
        asked = database.run(packaged_sql("other_no_rows", query=query))
        names, types = asked.keys(), asked.types or []
        return [
            OtherColumn(name, native, self.read_as(native))
            for name, native in zip(names, types, strict=True)
        ]

    def made_as(self, type_: str, *, in_key: bool) -> str:
        """See `Dialect`."""
        name, first, second = parts_of(type_)
        family = family_of(type_)
        if name in _NUMBERS:
            return _NUMBERS[name]
        if family == "numeric":
            digits, after = first or _MOST_DIGITS, (second or 0) if first else _MOST_AFTER_POINT
            if digits > _MOST_DIGITS or after > _MOST_AFTER_POINT:
                raise JobFailure(f"MySQL has no {type_}: at most DECIMAL(65,30)")
            return f"DECIMAL({digits},{after})"
        if name.startswith("character") and first and first <= _LONGEST_VARCHAR:
            return f"VARCHAR({first}) {_TEXT}"
        if in_key and family not in _MADE:
            return f"VARCHAR({_LONGEST_KEY}) {_TEXT}"
        return _MADE.get(family, f"LONGTEXT {_TEXT}")

    def selected(self, column: OtherColumn) -> str:
        """Have the server write the text: its driver would round a float, say."""
        name = quote_name(column.name)
        family = family_of(column.type or "text")
        if family == "bytes":
            return f"HEX({name})"
        if family == "bool":
            return f"{name} + 0"
        if column.type == "real":
            return f"CAST({name} + 0e0 AS CHAR)"
        return f"CAST({name} AS CHAR)"

    def text_of(self, column: OtherColumn) -> Text:
        """See `Dialect`."""
        family = family_of(column.type or "text")
        if family == "bytes":
            return lambda value: f"\\x{value}"
        if family == "timestamptz":
            return lambda value: f"{value}+00"
        if family == "bool":
            return _boolean_of(column.name)
        return str

    def drop_staged(self, database: OtherDatabase) -> None:
        """Drop it by the word that ends no transaction."""
        database.run(packaged_sql("other_drop_temporary", table=STAGED))

    def check_writable(self, database: OtherDatabase, table: OtherTable) -> None:
        """Refuse an engine without transactions."""
        *place, name = split_name(table.written)
        asked = packaged_sql("other_engine", place=place[0] if place else None, table=name)
        engine, transactions = next(iter(database.run(asked)), (None, None))
        if engine is None:
            raise JobFailure(f"{table.written} is a view: rows are written to tables only")
        if transactions != "YES":
            raise JobFailure(
                f"{table.written} has the engine {engine}, which knows no transactions: a job that"
                f" fails would leave half of its rows there. ALTER TABLE {table.sql}"
                " ENGINE = InnoDB, or use RunSql with transaction: false"
            )

    def update(
        self, target: str, key: Sequence[str], columns: Sequence[OtherColumn]
    ) -> RenderedSql:
        """See `Dialect`."""
        return packaged_sql(
            "other_update_join",
            target=RenderedSql(target, {}),
            staged=STAGED,
            key=key,
            columns=[column.name for column in columns],
            differs=RenderedSql(self.any_differs(columns), {}),
        )


def _boolean_of(column: str) -> Text:
    def text(value: Any) -> str:
        if value not in (0, 1):
            raise JobFailure(
                f"column {column}: {value} is no boolean, as TINYINT(1) is read; read a view that"
                " adds 0 to it, or make the column SMALLINT"
            )
        return "t" if value else "f"

    return text
