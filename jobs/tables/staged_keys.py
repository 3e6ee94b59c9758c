"""Looks whether the staged rows' key is one: never null, and each value once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg2

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.sql.query_result import outcome_of
from headrace.jobs.tables.staging_table import STAGED_SQL
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def check_keys(
    session: "Session", key: Sequence[str], source: str, rows_in: RenderedSql = STAGED_SQL
) -> None:
    """Refuse rows, by default the staged ones, whose key is null, or not unique.

    Raises:
        JobFailure: naming the first such key.
    """
    if rows_in is STAGED_SQL and _is_indexed(session, key):
        return
    statement = packaged_sql("doubled_key", table=rows_in, key=key)
    rows = outcome_of(session, statement, keep=1)["rows"]
    if rows:
        row = rows[0]
        values = ", ".join(f"{name}={row[name]}" for name in key)
        raise JobFailure(f"{source}: the key {values} is null or occurs {row['times']} times")


def _is_indexed(session: "Session", key: Sequence[str]) -> bool:
    """Give the staged rows the key as theirs; return whether that could be.

    It takes less time than to count, and helps the joins that follow.
    """
    from sqlalchemy.exc import DBAPIError

    try:
        with session.begin_nested():
            execute(session, packaged_sql("add_primary_key", table=STAGED_SQL, key=list(key)))
    except DBAPIError as error:
        # Null, doubled, too long for an index, or of a type without order.
        if isinstance(error.orig, psycopg2.OperationalError) and not error.orig.pgcode:
            raise
        return False
    return True
