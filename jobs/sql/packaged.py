"""Renders the SQL templates of this folder, and sends statements."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.template import RenderedSql, render

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult
    from sqlalchemy.orm import Session

_TEMPLATES = Path(__file__).parent


AS_WRITTEN = "headrace_as_written"
"""The option of a statement whose values are read as `query_result` describes."""


def execute(
    target: "Session | Connection",
    sql: RenderedSql,
    *,
    stream: bool = False,
    as_written: bool = False,
) -> "CursorResult[Any]":
    """Send one rendered statement. With `stream` rows come in batches, not all at once.

    With `as_written` values are read as `query_result` has them.
    """
    connection = connection_of(target)
    options: dict[str, Any] = {AS_WRITTEN: True} if as_written else {}
    if stream:
        options |= {"stream_results": True, "max_row_buffer": 1000}
    if not sql.binds:
        # Without parameters the driver leaves percent signs alone.
        options["no_parameters"] = True
        return connection.exec_driver_sql(sql.display, execution_options=options)
    return connection.exec_driver_sql(sql.pyformat, dict(sql.binds), execution_options=options)


def refusal_of(session: "Session", sql: RenderedSql) -> Any:
    """Send a statement in a savepoint; returns what the server says against it, None if nothing.

    What is returned has `message_primary` and `message_detail`, as psycopg2's `Diagnostics`.

    Raises:
        DBAPIError: It was not the server that refused, but the connection broke, say.
    """
    from sqlalchemy.exc import DBAPIError

    try:
        with session.begin_nested():
            execute(session, sql)
    except DBAPIError as error:
        diag = getattr(error.orig, "diag", None)
        if diag is None or diag.message_primary is None:
            raise
        return diag
    return None


def connection_of(target: "Session | Connection") -> "Connection":
    """Return the connection of a session, or the one that is given."""
    # Imported here, and not where a job's file is loaded: `headrace validate` sends nothing.
    from sqlalchemy.orm import Session

    return target.connection() if isinstance(target, Session) else target


def packaged_sql(template: str, /, **values: Any) -> RenderedSql:
    """Render `jobs/sql/<template>.sql.j2`."""
    return render(_template(template), values, name=f"jobs/sql/{template}.sql.j2")


@lru_cache(maxsize=256)
def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.sql.j2").read_text(encoding="utf-8").rstrip()
