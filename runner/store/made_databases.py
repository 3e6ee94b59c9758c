"""Databases beside the control database, made when a job first uses them."""

import psycopg2
from psycopg2 import errors as pg_errors

from headrace.errors import ConfigError, StoreUnavailable
from headrace.model.connection import NamedConnection
from headrace.store import dsn
from headrace.store.connect import connect_raw
from headrace.store.outages import unavailable_message
from headrace.store.session_settings import quoted_name

_THERE = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s"
_NAME = "headrace:make-database"


def is_there(connection: NamedConnection) -> bool:
    """Return whether a connection's database has been made, or is no business of ours.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    return _ask(connection, make=False)


def make_missing(connection: NamedConnection) -> None:
    """Make a connection's database where it is one beside the control database and is missing.

    Raises:
        ConfigError: The role may not make databases.
        StoreUnavailable: PostgreSQL does not answer.
    """
    _ask(connection, make=True)


def _ask(connection: NamedConnection, *, make: bool) -> bool:
    if connection.control_url is None:
        return True
    name = dsn.parameters(connection.url)["dbname"]
    raw = connect_raw(connection.control_url, application_name=_NAME)
    try:
        with raw.plain() as cursor:
            cursor.execute(_THERE, (name,))
            there = cursor.fetchone() is not None
            if make and not there:
                cursor.execute(f"CREATE DATABASE {quoted_name(name)}")
            return there
    except (pg_errors.DuplicateDatabase, pg_errors.UniqueViolation):
        return True  # Another worker was faster.
    except pg_errors.InsufficientPrivilege as error:
        raise ConfigError(
            f'the database "{name}" is missing, and the role of database_url may not make it:'
            f" CREATE DATABASE {quoted_name(name)}, or name others in connections of config.yaml"
        ) from error
    except psycopg2.Error as error:
        raise StoreUnavailable(unavailable_message(error)) from error
    finally:
        raw.close()
