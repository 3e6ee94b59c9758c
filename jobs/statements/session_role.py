"""Lets a user's SQL work as another role than its session's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


def set_role(session: "Session", role: str | None) -> None:
    """Work as a role until the transaction ends; None changes nothing."""
    if role is not None:
        execute(session, packaged_sql("set_role", role=role, local=True))


@contextmanager
def working_as(connection: "Connection", role: str | None) -> Iterator[None]:
    """Work as a role within the block, outside a transaction."""
    if role is None:
        yield
        return
    before = connection.exec_driver_sql("SHOW role").scalar_one()
    execute(connection, packaged_sql("set_role", role=role, local=False))
    try:
        yield
    finally:
        # The word `none` is the role that logs in, and no role may be called so.
        back = packaged_sql("set_role", role=before, local=False)
        execute(connection, RenderedSql("RESET ROLE", {}) if before == "none" else back)
