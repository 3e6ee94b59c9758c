"""Reaching the installation that a command speaks of."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.cli.auditing import audited
from headrace.errors import ConfigError, StoreUnavailable

if TYPE_CHECKING:
    from headrace.declarations.config import Settings
    from headrace.engine.application import Headrace
    from headrace.store.database import Database


def settings_of(given: argparse.Namespace) -> "Settings":
    """Return the settings of the files and variables; job classes of the project can be found.

    Raises:
        ConfigError: They are wrong.
    """
    from headrace.declarations.config import hidden_values, load_settings
    from headrace.observe.redaction import keep

    settings = load_settings(config_file=Path(given.config) if given.config else None)
    keep(hidden_values(settings), settings.withheld)
    # For jobs that are named by a dotted path. Last, so that nothing of the project can stand
    # before an installed module.
    if str(settings.project) not in sys.path:
        sys.path.append(str(settings.project))
    return settings


@contextmanager
def installation(given: argparse.Namespace) -> Iterator["Headrace"]:
    """Yield the installation, its embedded servers started.

    What a command changes in it is in the audit trail; see `headrace.cli.auditing`.

    A schema is brought up to date by `headrace db upgrade`, `up` and `daemon` only: who looks at
    a home or a database must not take it away from the version that works with it.

    Raises:
        SchemaMismatch: The schema is older or newer than this version can work with.
    """
    from headrace.engine.application import connect

    with connect(settings_of(given)) as headrace:
        headrace.require_schema()
        with audited(headrace.database, given):
            yield headrace


@contextmanager
def reached_database(settings: "Settings") -> Iterator["Database"]:
    """Yield the control database if it is up; nothing is started for it.

    Raises:
        ConfigError: It is not up, or stops answering, or its schema is of another version.
    """
    from headrace.store.database import Database
    from headrace.store.migrations import look

    database = Database(control_url(settings), application_name="headrace:cli", pool_size=1)
    try:
        with database.transaction() as tx:
            look(tx.connection).require()
        yield database
    except StoreUnavailable as error:
        raise ConfigError(str(error)) from None
    finally:
        database.close()


def control_url(settings: "Settings") -> str:
    """Return the control database's URL; the embedded one's only while it runs.

    Raises:
        ConfigError: The embedded servers do not run.
    """
    from headrace.store import embedded

    if settings.database_url is not None:
        return settings.database_url
    found = embedded.find(settings.home)
    if found is None:
        raise ConfigError(
            f"no database is running: the embedded servers in {settings.home} do not run;"
            " `headrace up` starts them, DATABASE_URL names another one"
        )
    return found.database_url


def known_queues(settings: "Settings", listed: str | None) -> tuple[str, ...]:
    """Return the queues of `--queues a,b`, all of them without it.

    Raises:
        ConfigError: There is no such queue.
    """
    from headrace.errors.suggestions import did_you_mean

    if listed is None:
        return settings.queues
    names = tuple(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))
    for name in names:
        if name not in settings.queues:
            hint = did_you_mean(name, settings.queues, listed_as="the configuration has")
            raise ConfigError(f'there is no queue "{name}"; {hint}')
    if not names:
        raise ConfigError("--queues names no queue")
    return names
