"""`headrace notify`, `headrace outbox`: receivers on trial, and the outbox."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.cli.installation_access import installation, settings_of
from headrace.cli.printing import print_items, print_json, print_table
from headrace.errors import ConfigError, HeadraceError
from headrace.errors.suggestions import did_you_mean

if TYPE_CHECKING:
    from uuid import UUID

    from headrace.engine.application import Headrace

_STATUSES = ("pending", "sent", "given_up")


def notify(given: argparse.Namespace) -> int:
    """Send a notification on trial, at once and past the outbox: no server has to run."""
    from headrace.declarations.config import hidden_values
    from headrace.engine.notifications.messages import trial_message
    from headrace.engine.notifications.sending import send
    from headrace.model.ids import new_id
    from headrace.observe.redaction import keep

    settings = settings_of(given)
    keep(hidden_values(settings), settings.withheld)
    receiver = settings.notifications.receivers.get(given.test)
    if receiver is None:
        hint = did_you_mean(given.test, settings.notifications.receivers, listed_as="receivers")
        hint = hint or "config.yaml has no notifications.receivers"
        raise ConfigError(f'there is no receiver "{given.test}"; {hint}')
    message = trial_message(str(new_id()), receiver.name, settings.public_url, datetime.now(UTC))
    try:
        told = send(message, receiver, settings.notifications)
    except HeadraceError as error:
        if given.json:
            print_json({"receiver": receiver.name, "id": message.id, "error": _shown(error)})
            return 1
        raise
    if given.json:
        print_json({"receiver": receiver.name, "id": message.id, "error": told})
    else:
        print(f"{receiver.name} has accepted the notification {message.id}.")
        if told:
            print(f"But it was {told}.")
    return 1 if told else 0


def _shown(error: Exception) -> str:
    from headrace.observe.redaction import redacted

    return redacted(str(error))


def outbox(given: argparse.Namespace) -> int:
    """List notifications, newest first."""
    if given.status is not None and given.status not in _STATUSES:
        hint = did_you_mean(given.status, _STATUSES, listed_as="it is one of")
        raise ConfigError(f'there is no status "{given.status}"; {hint}')
    with installation(given) as headrace:
        rows = headrace.database.rows(
            "notifications",
            status=given.status,
            receiver=given.receiver,
            pipeline=given.pipeline,
            limit=given.limit,
        )
    if given.json:
        print_items(rows)
        return 0
    print_table(
        [
            (
                row["created_at"],
                row["kind"],
                f"{row['pipeline']}.{row['step']}" if row["step"] else row["pipeline"],
                row["receiver"],
                row["status"],
                row["tries"],
                row["run_id"],
                row["error"],
            )
            for row in rows
        ],
        ("AT", "KIND", "OF", "RECEIVER", "STATUS", "TRIES", "RUN", "ERROR"),
        "No notifications match.",
    )
    return 0


def notifications_of(headrace: "Headrace", run_id: "UUID") -> list[dict[str, Any]]:
    """Return the notifications of a run, in their order."""
    return headrace.database.rows("notifications_of_run", run_id=run_id)


def show_lateness(run: Mapping[str, Any], rows: Sequence[dict[str, Any]]) -> None:
    """Print what of a run has been late, and who was told of it."""
    if run["late"]:
        print()
    for step, late in (run["late"] or {}).items():
        what = f"step {step}" if step else "the run"
        print(f"{'late':14} {what}: its {late['rule']} passed at {late['since']}")
    if not rows:
        return
    print()
    print_table(
        [
            (
                row["kind"] if row["step"] is None else f"{row['kind']} ({row['step']})",
                row["receiver"],
                row["status"],
                row["tries"],
                row["ended_at"] or row["created_at"],
                row["error"],
            )
            for row in rows
        ],
        ("NOTIFICATION", "RECEIVER", "STATUS", "TRIES", "AT", "ERROR"),
        "",
    )
