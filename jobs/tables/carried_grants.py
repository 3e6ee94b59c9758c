"""Gives what takes a table's or view's place the grants of the old one, and no others."""

from typing import TYPE_CHECKING

from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import Table
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def revoke_default_grants(session: "Session", made: RenderedSql) -> None:
    """Take back what default privileges grant on what was just made: the old one may lack it."""
    grantees = execute(session, packaged_sql("default_grantees", made=made.display))
    for grantee in list(grantees.scalars()):
        execute(session, RenderedSql(f"REVOKE ALL ON {made.display} FROM {grantee}", {}))


def grants_of(session: "Session", old: Table) -> list[RenderedSql]:
    """Return the statements that grant under its name what is granted on the old one."""
    found = packaged_sql("view_privileges", oid=old.oid, view=old.sql.display)
    return [RenderedSql(f"GRANT {one.what}", {}) for one in execute(session, found)]
