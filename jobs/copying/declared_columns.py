"""Reads the types that `columns` declares; holds them against those of an existing table."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.copying.file_columns import matching
from headrace.jobs.files.value_forms import Rewrite, of_date
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import Column, Table, unquoted
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ColumnSpec = str | dict[str, str]
"""A type, or `{type: date, format: DD.MM.YYYY}`."""
Columns = list[str] | dict[str, ColumnSpec]

SERIAL = {"smallserial": "smallint", "serial": "integer", "bigserial": "bigint"}
_LIMITS = re.compile(r"\(([\d, ]+)\)")


def written_types(given: Columns | None) -> dict[str, str]:
    """Return the types in `columns`, as they are written."""
    specs = given if isinstance(given, dict) else {}
    types = {
        unquoted(name): spec if isinstance(spec, str) else spec.get("type", "")
        for name, spec in specs.items()
    }
    return {name: type_ for name, type_ in types.items() if type_}


def declared_types(written: Mapping[str, str]) -> dict[str, str]:
    """Return those types, which no other SQL hides in."""
    return {
        name: packaged_sql("declared_type", type=type_).display for name, type_ in written.items()
    }


def formats_of(given: Columns | None) -> dict[str, Rewrite]:
    """Return the formats of dates in `columns`, by column.

    Raises:
        InvalidPayload: nobody knows one of them, or a column has another key.
    """
    formats = {}
    for name, spec in (given if isinstance(given, dict) else {}).items():
        if isinstance(spec, str):
            continue
        unknown = set(spec) - {"type", "format"}
        if unknown:
            raise InvalidPayload(
                f"columns.{name}: {sorted(unknown)[0]!r} is neither type nor format"
            )
        if "format" in spec:
            formats[unquoted(name)] = of_date(spec["format"])
    return formats


def refuse_other_types(
    session: "Session", table: Table, declared: Mapping[str, str], name: str
) -> None:
    """Refuse declared types that the table's columns do not have: they would not be used.

    Raises:
        JobFailure: naming the first such column, and what can be done.
    """
    types = [SERIAL.get(type_.strip().lower(), type_) for type_ in declared.values()]
    given = {row.position: row.type for row in execute(session, _looked_up(types))}
    rows = execute(session, packaged_sql("column_types", oid=table.oid))
    stored = {row.name: row.type for row in rows}
    for position, (key, type_) in enumerate(declared.items(), 1):
        column = matching(unquoted(key), table.columns)
        if column is None:
            continue  # Told with the other names, or made with this type.
        if given.get(position) is None:
            raise JobFailure(
                f"{name}: `columns` declares {column.name} as {type_}, and the database has no"
                f" type of that name; {table.written} has the column as {column.type}"
            )
        same = stored[column.name] == given[position]
        if not same or _limits(types[position - 1]) not in ("", _limits(column.type)):
            raise JobFailure(_told(table, column, type_, name))


def _looked_up(types: Sequence[str]) -> RenderedSql:
    return packaged_sql("declared_types", types=list(types))


def _limits(type_: str) -> str:
    found = _LIMITS.search(type_)
    if found is None:
        return ""
    limits = found[1].replace(" ", "")
    is_number = type_.strip().lower().startswith(("numeric", "decimal"))
    return f"{limits},0" if is_number and "," not in limits else limits


def _told(table: Table, column: Column, type_: str, name: str) -> str:
    alter = f"ALTER TABLE {table.sql.display} ALTER COLUMN {quote_name(column.name)} TYPE {type_}"
    return (
        f"{name}: `columns` declares {column.name} as {type_}, but {table.written} exists and "
        f"has it as {column.type}. Drop the table, or change it "
        f"({alter} USING {quote_name(column.name)}::{type_}), or leave the type out of "
        "`columns`, or set on_schema_change: sync_all_columns"
    )
