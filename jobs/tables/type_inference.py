"""Finds types for the texts of a table that was just made, and gives its columns these types."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import Table
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


# From the narrowest on; a type fits if each value matches. Leading zeros are no number's.
_PATTERNS = (
    ("boolean", r"^(true|false|t|f|True|False|TRUE|FALSE)$"),
    ("bigint", r"^-?(0|[1-9]\d{0,17})$"),
    ("numeric", r"^-?(0|[1-9]\d*)(\.\d+)?$"),
    ("double precision", r"^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$"),
    ("date", r"^\d{4}-\d{2}-\d{2}$"),
    ("timestamp", r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$"),
    (
        "timestamptz",
        r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)$",
    ),
    ("uuid", r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"),
)


def infer_types(session: "Session", target: Table, columns: Sequence[str]) -> dict[str, str]:
    """Give text columns of `target` the narrowest types that hold all their values.

    Returns the type of each. A column without any value stays text. So does one with a value that
    only looks like one of a type, 2026-02-31 for example.
    """
    found: dict[str, str] = {}
    for name in columns:
        statement = packaged_sql(
            "infer_type",
            table=target.sql,
            column=name,
            patterns=[pattern for _, pattern in _PATTERNS],
        )
        row = execute(session, statement).one()
        fits = [kind for (kind, _), fit in zip(_PATTERNS, row.fits, strict=True) if fit]
        found[name] = "text"
        for kind in fits if row.any_value else ():
            if _retyped(session, target, name, kind):
                found[name] = kind
                break
    logger.info(
        "The types of %s: %s",
        target.written, ", ".join(f"{name} {kind}" for name, kind in found.items()),
    )  # fmt: skip
    return found


def _retyped(session: "Session", target: Table, column: str, kind: str) -> bool:
    statement = packaged_sql(
        "retype_column", table=target.sql, column=column, type=RenderedSql(kind, {})
    )
    from sqlalchemy.exc import DBAPIError

    try:
        with session.begin_nested():
            execute(session, statement)
    except DBAPIError:
        return False
    return True
