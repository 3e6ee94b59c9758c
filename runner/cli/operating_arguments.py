"""The arguments of commands that intervene, give access and notify. Imports nothing slow."""

from headrace.cli.command_group import ID, Group, count


def interventions(group: Group) -> None:
    """Add what changes runs and jobs."""
    retry = group.add("retry", "intervening:retry", "run failed jobs again", json=True)
    retry.add_argument("id", nargs="?", metavar="ID", help=ID)
    retry.add_argument("--all-failed", action="store_true", help="retry every failed job")
    cancel = group.add("cancel", "intervening:cancel", "cancel a run or job", json=True)
    cancel.add_argument("id", metavar="ID", help=ID)
    pause = group.add(
        "pause", "intervening:pause", "stop the schedule and trigger of a pipeline", json=True
    )
    resume = group.add(
        "resume", "intervening:resume", "resume the schedule and trigger of a pipeline", json=True
    )
    pause.add_argument("--cancel-queued", action="store_true", help="also cancel its queued runs")
    for command in (pause, resume):
        command.add_argument("pipeline", metavar="PIPELINE")
    prune = group.add("prune", "intervening:prune", "delete old runs and jobs", json=True)
    prune.add_argument(
        "--older-than", metavar="AGE", help="age, such as 30d (`retention` of the configuration)"
    )


def access(group: Group) -> None:
    """Add tokens and the audit trail."""
    token = group.add("token", "access:token", "create, list or revoke tokens", json=True)
    token.add_argument(
        "action",
        choices=("create", "list", "revoke"),
        help="create: print a new token, once; list: show all; revoke: end one and its sessions",
    )
    token.add_argument("name", nargs="?", metavar="NAME", help="name of the token")
    token.add_argument(
        "--role",
        choices=("viewer", "operator", "admin"),
        help="viewer: read; operator: also run, retry, cancel, pause; admin: everything",
    )
    audit = group.add("audit", "access:audit", "show who did what, newest first", json=True)
    audit.add_argument(
        "--limit", type=count(1), default=20, metavar="N", help="number of rows (20)"
    )


def notifications(group: Group) -> None:
    """Add what tells people, and what was told."""
    notify = group.add("notify", "notifying:notify", "send a notification on trial", json=True)
    notify.add_argument(
        "--test",
        required=True,
        metavar="RECEIVER",
        help="receiver of notifications.receivers in the configuration",
    )
    listed = group.add(
        "outbox",
        "notifying:outbox",
        "list notifications and whether they were sent, newest first",
        json=True,
    )
    listed.add_argument("--status", help="pending, sent, given_up")
    listed.add_argument("--receiver", metavar="NAME", help="only to this receiver")
    listed.add_argument("--pipeline", metavar="NAME", help="only of this pipeline")
    listed.add_argument(
        "--limit", type=count(1), default=20, metavar="N", help="number of rows (20)"
    )


def database(group: Group) -> None:
    """Add what concerns the control database."""
    db = group.add("db", "db:db", "upgrade the control database, or print its URL", json=True)
    db.add_argument(
        "action",
        choices=("upgrade", "downgrade", "url"),
        help="upgrade: create or upgrade its schema; downgrade: explain why there is none; url:"
        " print its URL, for psql",
    )
    db.add_argument(
        "--check",
        action="store_true",
        help="only report whether an upgrade is needed; exit code 1 if it is",
    )
