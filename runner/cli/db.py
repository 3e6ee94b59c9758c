"""`headrace db`: the control database itself."""

import argparse
import sys

from headrace.cli.installation_access import settings_of


def db(given: argparse.Namespace) -> int:
    """Carry out `db upgrade` or `db url`."""
    return _upgrade(given) if given.action == "upgrade" else _url(given)


def _upgrade(given: argparse.Namespace) -> int:
    from headrace.engine.application import connect

    with connect(settings_of(given)) as headrace:
        headrace.migrate()
        version = headrace.schema().version
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
