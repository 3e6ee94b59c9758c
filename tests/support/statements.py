"""Sends the statements of jobs' templates, one by one."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from headrace.jobs.sql.packaged import execute, packaged_sql

Told = Callable[..., list[tuple[Any, ...]]]


def sent(connection: Connection, template: str, /, **values: Any) -> Any:
    """Send a template's statement and return what the driver does."""
    return execute(connection, packaged_sql(template, **values))
