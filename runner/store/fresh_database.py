"""Databases of Headrace that are made for a test and dropped after it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import uuid4

import psycopg2.errors
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from headrace.store.connect import engine_of
from headrace.store.database import Row
from headrace.store.embedded.borrowed import borrowed_url
from headrace.store.migrations import upgrade
from headrace.store.session_settings import Use, Wanted

_ROLE = "testing"
# Of tries to drop a database, a tenth of a second apart.
_PATIENCE = 100


class FreshDatabase:
    """A database with Headrace's schema and nothing in it; `url` is as any client takes it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """Run a statement, committed at once, and return its rows; `:name` is a bound value."""
        return _run(self.url, sql, values)

    def execute(self, sql: str, **values: Any) -> None:
        """Run statements, committed at once; `:name` is a bound value."""
        _run(self.url, sql, values)


@contextmanager
def fresh_database(server_url: str | None = None) -> Iterator[FreshDatabase]:
    """Make a database on the server of the URL, else on an embedded one, and drop it at the end.

    Raises:
        EmbeddedError, ConfigError: As their messages say.
    """
    if server_url is None:
        server_url = borrowed_url()
        url = _create(server_url, template=_migrated(server_url))
    else:
        url = _create(server_url)
    try:
        upgrade(url)
        yield FreshDatabase(url)
    finally:
        _drop(server_url, url)


@cache
def _migrated(server_url: str) -> str:
    """Return the name of a database to be copied: that takes less time than to migrate each."""
    url = _create(server_url)
    upgrade(url)
    return _name_of(url)


def _create(server_url: str, *, template: str | None = None) -> str:
    name = f"headrace_test_{uuid4().hex[:12]}"
    copied = f' TEMPLATE "{template}"' if template else ""
    _run(server_url, f'CREATE DATABASE "{name}"{copied}', {})
    url = make_url(server_url).set(database=name)
    return url.render_as_string(hide_password=False)


def _drop(server_url: str, url: str) -> None:
    for tries_left in reversed(range(_PATIENCE)):
        try:
            _run(server_url, f'DROP DATABASE IF EXISTS "{_name_of(url)}" WITH (FORCE)', {})
            return
        except DBAPIError as error:
            # An autovacuum worker is at it, which an ordinary role cannot end: it ends by itself.
            busy = isinstance(error.orig, psycopg2.errors.InsufficientPrivilege)
            if not busy or not tries_left:
                raise
            time.sleep(0.1)


def _name_of(url: str) -> str:
    return str(make_url(url).database)


def _run(url: str, sql: str, values: dict[str, Any]) -> list[Row]:
    # As a job's session: `create table kept` means the schema that it means there.
    wanted = Wanted(Use.TARGET, f"headrace:{_ROLE}")
    engine = engine_of(url, wanted, pool_size=1, autocommit=True)
    try:
        with engine.connect() as connection:
            if values:
                result = connection.execute(text(sql), values)
            else:  # As it is: a colon or a percent sign in it means nothing.
                plain = connection.execution_options(no_parameters=True)
                result = plain.exec_driver_sql(sql)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []
    finally:
        engine.dispose()
