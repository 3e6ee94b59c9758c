"""What the command line changes directly is in the audit trail, as the user who calls it."""

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.store.database import Transaction

# Commands that change something, with the arguments that say what; values of parameters are left
# out, since one may be a secret.
CHANGES = {
    "run": ("pipeline", "logical_date", "detach"),
    "backfill": ("pipeline", "start", "end", "max_active"),
    "retry": ("id", "all_failed"),
    "cancel": ("id",),
    "pause": ("pipeline", "cancel_queued"),
    "resume": ("pipeline",),
    "prune": ("older_than",),
    "token": ("action", "name", "role"),
}
# How an argument is written whose option has another name.
_OPTIONS = {"start": "--from", "end": "--to"}
_POSITIONAL = ("pipeline", "id", "action", "name")


@contextmanager
def audited(database: "Transaction", given: argparse.Namespace) -> Iterator[None]:
    """Write down what a command does, before and after; one that only looks leaves no row.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; nothing was done.
    """
    action = action_of(given)
    if action is None:
        yield
        return
    from headrace.engine.access import audit

    with audit.audited(database, action, path_of(given)):
        yield


def concerns(kind: str, ids: Iterable[object]) -> None:
    """Tell the trail which runs or jobs the command has made or changed."""
    from headrace.engine.access import audit

    audit.concerns(kind, ids)


def action_of(given: argparse.Namespace) -> str | None:
    """Return what a command changes, in a word; None if it only looks."""
    name = given.command.partition(":")[2]
    if name not in CHANGES or getattr(given, "dry_run", False):
        return None
    if name == "token":
        return None if given.action == "list" else f"token {given.action}"
    return str(name)


def path_of(given: argparse.Namespace) -> str:
    """Return the command as it was called, without the values of parameters."""
    name = given.command.partition(":")[2]
    words = ["headrace", name]
    for argument in CHANGES[name]:
        value = getattr(given, argument)
        if value is None or value is False:
            continue
        if argument not in _POSITIONAL:
            words.append(_OPTIONS.get(argument, f"--{argument.replace('_', '-')}"))
        if value is not True:
            words.append(str(value))
    return " ".join(words)
