"""`headrace db`: the control database itself."""

import argparse
import json
import sys

from headrace.cli.installation_access import settings_of
from headrace.errors import ConfigError

_NO_DOWNGRADE = (
    "there is no downgrade: a schema never goes back to an earlier version, since rows of the newer"
    " one would be lost. To roll back a release, start its programs again and leave the schema:"
    " they work with it as long as it allows their version, and refuse otherwise. Beyond that,"
    " restore the backup from before the upgrade"
)


def db(given: argparse.Namespace) -> int:
    """Carry out `db upgrade`, `db downgrade` or `db url`."""
    if (given.check or given.json) and given.action != "upgrade":
        raise ConfigError(f"--check and --json are for `db upgrade`, not for `db {given.action}`")
    if given.action == "downgrade":
        raise ConfigError(_NO_DOWNGRADE)
    if given.action == "url":
        return _url(given)
    return _check(given) if given.check else _upgrade(given)


def _upgrade(given: argparse.Namespace) -> int:
    from headrace.engine.access import audit
    from headrace.engine.application import connect

    with connect(settings_of(given)) as headrace:
        before = headrace.schema().version
        headrace.migrate()
        version = headrace.schema().version
        if version != before:
            # Only now the table is there for sure.
            with audit.audited(headrace.database, "db upgrade", "headrace db upgrade"):
                pass
    text = f"The control database has version {version}."
    print(json.dumps({"version": version}) if given.json else text)
    return 0


def _check(given: argparse.Namespace) -> int:
    """Print whether an upgrade is needed, and change nothing. 1: it is.

    Raises:
        SchemaMismatch: The schema is too new for this version; an upgrade does not help.
    """
    from headrace.engine.application import connect
    from headrace.store.migrations import LATEST

    with connect(settings_of(given)) as headrace:
        schema = headrace.schema()
    if schema.newer:
        schema.require()
    needed = not schema.usable
    if given.json:
        found = {"upgrade_needed": needed, "version": schema.version, "newest": LATEST}
        print(json.dumps(found))
    elif needed:
        has = f"version {schema.version}" if schema.version else "no schema"
        print(f"The control database has {has}; `headrace db upgrade` brings it to {LATEST}.")
    else:
        print(f"The control database has version {schema.version}; no upgrade is needed.")
    return int(needed)


def _url(given: argparse.Namespace) -> int:
    from headrace.store import embedded

    settings = settings_of(given)
    if settings.database_url is not None:
        print(settings.database_url)
        return 0
    print(embedded.urls(settings.home).database_url)
    if embedded.find(settings.home) is None:
        print("The embedded servers are not running; `headrace up` starts them.", file=sys.stderr)
    return 0
