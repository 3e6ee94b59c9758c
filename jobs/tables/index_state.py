"""Distinguishes an index that was half built from one that can be used."""

import re
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.template import RenderedSql, without_comments

if TYPE_CHECKING:
    from sqlalchemy import Connection

_IF_NOT_EXISTS = re.compile(
    r'\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+IF\s+NOT\s+EXISTS\s+("(?:[^"]|"")+"|[^\W\d]\w*)',
    re.IGNORECASE,
)


def refuse_half_built(connection: "Connection", statement: RenderedSql) -> None:
    """Refuse an index that `IF NOT EXISTS` has taken for made though an earlier attempt broke off.

    Raises:
        JobFailure: with the statement that removes it.
    """
    found = _IF_NOT_EXISTS.match(without_comments(statement.marked))
    if found is None:
        return
    written = found[1]
    name = written[1:-1].replace('""', '"') if written.startswith('"') else written.lower()
    invalid = execute(connection, packaged_sql("invalid_index", name=name)).scalar()
    if invalid is not None:
        raise JobFailure(
            f"the index {invalid} is invalid: an earlier attempt to build it was stopped, and IF "
            f"NOT EXISTS passes over it; run DROP INDEX CONCURRENTLY {invalid} first"
        )
