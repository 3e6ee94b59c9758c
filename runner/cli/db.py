"""`headrace db`: the control database itself."""

import argparse
import sys

from headrace.cli.installation_access import settings_of


def db(given: argparse.Namespace) -> int:
    """Carry out `db upgrade` or `db url`."""
    return _upgrade(given) if given.action == "upgrade" else _url(given)


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
    print(f"The control database has version {version}.")
    return 0


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
