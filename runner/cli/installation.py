"""Reaching the installation that a command speaks of."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigError

if TYPE_CHECKING:
    from runner.config import Settings
    from runner.engine.wiring import Headrace


def settings_of(given: argparse.Namespace) -> "Settings":
    """Return the settings of the files and variables; job classes of the project can be found.

    Raises:
        ConfigError: They are wrong.
    """
    from runner.config import load_settings

    settings = load_settings(config_file=Path(given.config) if given.config else None)
    # For jobs that are named by a dotted path. Last, so that nothing of the project can stand
    # before an installed module.
    if str(settings.project) not in sys.path:
        sys.path.append(str(settings.project))
    return settings


@contextmanager
def installation(given: argparse.Namespace) -> Iterator["Headrace"]:
    """Yield the installation, its embedded servers started, their schema up to date.

    A database of the user's own is migrated by `headrace db upgrade`, `up` and `daemon` only.
    """
    from runner.engine.wiring import connect

    with connect(settings_of(given)) as headrace:
        if headrace.settings.database_url is None:
            headrace.migrate()
        yield headrace


def known_queues(settings: "Settings", listed: str | None) -> tuple[str, ...]:
    """Return the queues of `--queues a,b`, all of them without it.

    Raises:
        ConfigError: There is no such queue.
    """
    from runner.suggest import did_you_mean

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
