"""Which commands leave a row in the audit trail, and what it says."""

import pytest

from headrace.cli.arguments import parser
from headrace.cli.auditing import CHANGES, action_of, path_of
from headrace.cli.command_group import COMMANDS

# Commands that only look, that serve, or that change files of the caller's own.
OTHERS = {
    *("up", "daemon", "worker", "web"),
    *("validate", "plan", "cron", "schema", "init"),
    *("pipelines", "runs", "jobs", "schedules", "workers", "queues", "show", "last", "logs", "top"),
    *("audit", "db", "notify", "outbox"),
}


def test_each_command_that_changes_something_is_audited():
    assert set(CHANGES) | OTHERS == set(COMMANDS)
    assert not set(CHANGES) & OTHERS


@pytest.mark.parametrize(
    ("words", "action", "path"),
    [
        ("run plain -p secret=x --detach", "run", "headrace run plain --detach"),
        ("retry --all-failed", "retry", "headrace retry --all-failed"),
        ("retry 1234", "retry", "headrace retry 1234"),
        ("cancel 1234", "cancel", "headrace cancel 1234"),
        ("pause plain --cancel-queued", "pause", "headrace pause plain --cancel-queued"),
        ("resume plain", "resume", "headrace resume plain"),
        ("prune --older-than 30d", "prune", "headrace prune --older-than 30d"),
        (
            "backfill plain --from 2024-01-01 --to 2024-01-02",
            "backfill",
            "headrace backfill plain --from 2024-01-01 --to 2024-01-02",
        ),
        (
            "token create vera --role viewer",
            "token create",
            "headrace token create vera --role viewer",
        ),
        ("token revoke vera", "token revoke", "headrace token revoke vera"),
    ],
)
def test_a_change_is_named_without_the_values_of_parameters(words: str, action: str, path: str):
    given = parser().parse_args(words.split())

    assert action_of(given) == action
    assert path_of(given) == path


@pytest.mark.parametrize(
    "words", ["token list", "backfill plain --from 2024-01-01 --to 2024-01-02 --dry-run", "audit"]
)
def test_who_only_looks_leaves_no_row(words: str):
    assert action_of(parser().parse_args(words.split())) is None
