"""Makes the schema `headrace`, and keeps it off the search path of a role that is named like it."""

import logging
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import quote_ident
from sqlalchemy.exc import DBAPIError

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger("headrace.engine")

# Looked at first: CREATE SCHEMA IF NOT EXISTS asks for the right to make one, also where an
# administrator has made it beforehand.
_STATE = """SELECT current_database(), current_user, n.oid IS NOT NULL,
       coalesce(has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE'),
                has_database_privilege(current_database(), 'CREATE'))
  FROM (VALUES (1)) AS one
  LEFT JOIN pg_namespace n ON n.nspname = 'headrace'"""


def make_schema(connection: "Connection") -> None:
    """Make the schema where it is missing.

    Raises:
        ConfigError: The role may not; the message has what an administrator is to run.
    """
    database, role, there, allowed = connection.exec_driver_sql(_STATE).one()
    name = quote_ident(role, _raw(connection))
    if not allowed:
        needed = (
            f"GRANT USAGE, CREATE ON SCHEMA headrace TO {name}"
            if there
            else f"CREATE SCHEMA headrace AUTHORIZATION {name}"
        )
        raise ConfigError(
            f'the role "{role}" may not make the schema headrace, or tables in it, in the control'
            f' database "{database}"; its administrator runs in that database: {needed};'
        )
    if not there:
        connection.exec_driver_sql("CREATE SCHEMA headrace")


def give_search_path(connection: "Connection") -> None:
    """Have unqualified names mean other tables than ours, in psql as well, where they would not."""
    raw = _raw(connection)
    if not raw.base.shadowed:
        return
    path = raw.base.for_jobs()["search_path"]
    place = f"IN DATABASE {quote_ident(raw.info.dbname, raw)}"
    command = f"ALTER ROLE CURRENT_USER {place} SET search_path = {path}"
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(command)
    except DBAPIError as error:
        log.warning(
            "unqualified names mean Headrace's own tables in psql, since the role is named like"
            " the schema; run %s; (%s)",
            command,
            " ".join(str(error.orig).split()),
        )
        return
    log.warning(
        "the role %s is named like Headrace's schema: its search_path in the database %s is now %s,"
        " so that unqualified names do not mean Headrace's tables",
        raw.base.user,
        raw.info.dbname,
        path,
    )


def _raw(connection: "Connection") -> Any:
    return connection.connection.dbapi_connection
