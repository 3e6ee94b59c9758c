"""`headrace token` and `headrace audit`: who may do what, and who did what."""

import argparse
import sys

from headrace.cli.installation_access import installation
from headrace.cli.printing import print_items, print_json, print_table
from headrace.errors import ConfigError


def token(given: argparse.Namespace) -> int:
    """Carry out `token create`, `token list` or `token revoke`."""
    _check(given)
    if given.action == "list":
        return _list(given)
    return _create(given) if given.action == "create" else _revoke(given)


def _check(given: argparse.Namespace) -> None:
    """Refuse arguments that the action does not take.

    Raises:
        ConfigError: One is missing, or one too many.
    """
    named = given.action != "list"
    if named and given.name is None:
        raise ConfigError(f"token {given.action} takes the NAME of the token")
    if not named and given.name is not None:
        raise ConfigError("token list takes no NAME")
    if given.action == "create" and given.role is None:
        raise ConfigError("token create takes --role: viewer, operator or admin")
    if given.action != "create" and given.role is not None:
        raise ConfigError(f"token {given.action} takes no --role")


def _create(given: argparse.Namespace) -> int:
    from headrace.engine.access.tokens import create_token
    from headrace.model.caller import Role

    with installation(given) as headrace:
        row = create_token(headrace.database, given.name, Role(given.role))
    if given.json:
        print_json(row)
        return 0
    # Alone on standard output, so that a program can take it from there.
    print(row["token"])
    sys.stdout.flush()
    print(
        f'This is the token "{row["name"]}" with the role {row["role"]}. It is not stored and not'
        f" shown again; `headrace token revoke {row['name']}` makes it invalid.",
        file=sys.stderr,
    )
    return 0


def _list(given: argparse.Namespace) -> int:
    with installation(given) as headrace:
        rows = headrace.database.rows("tokens")
    if given.json:
        print_items(rows)
        return 0
    columns = ("name", "role", "created_at", "last_used_at", "revoked_at")
    print_table(
        [[row[column] for column in columns] for row in rows],
        ("NAME", "ROLE", "CREATED", "LAST USED", "REVOKED"),
        "There are no tokens with a role; `headrace token create NAME --role viewer` makes one.",
    )
    return 0


def _revoke(given: argparse.Namespace) -> int:
    from headrace.engine.access.tokens import revoke_token

    with installation(given) as headrace:
        row = revoke_token(headrace.database, given.name)
    if given.json:
        print_json(row)
    else:
        print(f'The token "{row["name"]}" is revoked; sessions that it opened have ended.')
    return 0


def audit(given: argparse.Namespace) -> int:
    """List what was changed and refused, newest first."""
    with installation(given) as headrace:
        rows = headrace.database.rows("audit", before=None, limit=given.limit)
    if given.json:
        print_items(rows)
        return 0
    print_table(
        [
            (
                row["at"],
                row["actor"],
                row["role"],
                row["action"],
                f"{row['outcome']}, {row['count']} times" if row["count"] > 1 else row["outcome"],
                row["status"],
                row["address"],
                row["path"],
                row["concerns"],
            )
            for row in rows
        ],
        ("AT", "ACTOR", "ROLE", "ACTION", "OUTCOME", "STATUS", "FROM", "PATH", "CONCERNS"),
        "Nothing was changed or refused yet.",
    )
    return 0
