"""The rows with which a `compare` compares: those of another connection."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from headrace import jobapi
from headrace.jobs.checks.check import Check
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

OpenReader = Callable[[str | None], AbstractContextManager["Session"]]
"""Opens a session that only reads, on the connection of this name."""


def rows_there(check: Check) -> RenderedSql:
    """Return the other connection's rows, for FROM."""
    given = check.given
    if "query" in given:
        return RenderedSql(f"({given['query']}\n) AS given", {})
    return Check("compare", "", check.bound, given.get("table", check.table), check.filter).rows


def counted_there(check: Check, open_reader: OpenReader) -> int:
    """Return the number of those rows, whatever kind of database they are in."""
    connection = check.given["connection"]
    counting = packaged_sql("check_count", rows=rows_there(check))
    attempt = jobapi.current()
    if attempt.kind_of(connection) != "postgresql":
        with attempt.other(connection, read_only=True) as database:
            (row,) = database.run(counting)
            return int(row[0])
    with open_reader(connection) as session:
        return int(execute(session, counting).scalar_one())
