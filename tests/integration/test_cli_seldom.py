"""What commands seldom say: of nothing that is there, of a file that has changed meanwhile."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.program import main
from headrace.engine import daemon as of_daemon
from headrace.engine.daemon import Daemon
from headrace.store.embedded import Servers
from tests.support.cluster import Cluster, cluster_on
from tests.support.ports import free_port

DAILY = """\
name: daily
schedule: {cron: "0 1 * * *"}
steps: [{id: only, job: FailedJob}]
"""
Said = tuple[int, str, str]


@pytest.fixture
def cluster(database: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    with cluster_on(Servers(database, redis_url), tmp_path) as made:
        yield made


@pytest.fixture
def headrace(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Carry out a command here; returns its exit code and what it has printed."""
    monkeypatch.chdir(cluster.folder)
    for name in ("DATABASE_URL", "REDIS_URL", "HEADRACE_CONFIG", "HEADRACE_HOME"):
        monkeypatch.setenv(name, cluster.environ[name])
    (cluster.folder / "pipelines" / "daily.yaml").write_text(DAILY)

    def called(*words: str) -> Said:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return called


@pytest.fixture
def leading(cluster: Cluster, headrace: Any, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """A daemon that leads for the whole test, as its files are at the moment."""
    assert headrace
    monkeypatch.setattr(of_daemon, "_LEASE_S", 3600.0)
    made = Daemon(cluster.headrace)
    made._turn()
    return made


def test_tokens_are_listed_and_revoked(headrace: Callable[..., Said]) -> None:
    assert headrace("token", "list") == (
        0,
        "There are no tokens with a role; `headrace token create NAME --role viewer` makes one.\n",
        "",
    )
    code, out, err = headrace("token", "create", "ops", "--role", "operator")
    assert (code, out[:4], out.count("\n")) == (0, "hrt_", 1)
    assert err == (
        'This is the token "ops" with the role operator. It is not stored and not shown again;'
        " `headrace token revoke ops` makes it invalid.\n"
    )
    code, out, _ = headrace("token", "list")
    head, row = out.splitlines()
    assert (code, head.split()) == (0, ["NAME", "ROLE", "CREATED", "LAST", "USED", "REVOKED"])
    assert row.split()[:2] == ["ops", "operator"]

    code, out, _ = headrace("token", "revoke", "ops", "--json")

    told = json.loads(out)
    assert (code, told["name"], told["role"]) == (0, "ops", "operator")
    assert told["revoked_at"]
    assert "token" not in told
    (listed,) = json.loads(headrace("token", "list", "--json")[1])["items"]
    assert listed["revoked_at"]
    headrace("token", "create", "ops", "--role", "admin")
    told = 'The token "ops" is revoked; sessions that it opened have ended.\n'
    assert headrace("token", "revoke", "ops") == (0, told, "")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("runs --status failed", "No runs match."),
        ("jobs --queue high", "No jobs match."),
        ("audit", "Nothing was changed or refused yet."),
        ("outbox", "No notifications match."),
        ("workers", "No worker is running; `headrace up` or `headrace worker` starts one."),
    ],
)
def test_a_listing_of_nothing_says_so(headrace: Callable[..., Said], command: str, told: str):
    assert headrace(*command.split()) == (0, f"{told}\n", "")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("token create", "token create takes the NAME of the token"),
        ("token revoke", "token revoke takes the NAME of the token"),
        ("token list ops", "token list takes no NAME"),
        ("token create ops", "token create takes --role: viewer, operator or admin"),
        ("token revoke ops --role admin", "token revoke takes no --role"),
        ("token list --role admin", "token list takes no --role"),
        ("db url --check", "--check and --json are for `db upgrade`, not for `db url`"),
        ("db downgrade --json", "--check and --json are for `db upgrade`, not for `db downgrade`"),
    ],
)
def test_what_does_not_go_together_is_told(headrace: Callable[..., Said], command: str, told: str):
    assert headrace(*command.split()) == (2, "", f"{told}\n")


def test_a_backfill_of_a_time_in_which_nothing_was_due_says_so(
    headrace: Callable[..., Said],
) -> None:
    code, out, _ = headrace(
        "backfill", "daily", "--from", "2026-01-01T02:00", "--to", "2026-01-01T03:00"
    )

    assert code == 0
    assert out.splitlines() == [
        "0 runs were started.",
        "No instant in this period has been due so far.",
    ]


def test_an_upgrade_that_is_not_needed_is_no_reason_to_act(headrace: Callable[..., Said]) -> None:
    code, out, _ = headrace("db", "upgrade", "--check")
    told = json.loads(headrace("db", "upgrade", "--check", "--json")[1])

    assert code == 0
    assert told == {
        "upgrade_needed": False, "version": told["newest"], "newest": told["newest"],
    }  # fmt: skip
    assert out == (f"The control database has version {told['newest']}; no upgrade is needed.\n")


def test_the_queues_are_counted_where_redis_does_not_answer(
    headrace: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    cluster.headrace.dispatcher.dispatch("FailedJob", {})
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")

    code, out, _ = headrace("queues", "--json")

    rows = {row["queue"]: row for row in json.loads(out)["items"]}
    assert code == 0
    assert {row["messages"] for row in rows.values()} == {None}
    assert sum(row["queued"] for row in rows.values()) == 1


@pytest.mark.usefixtures("leading")
def test_a_broken_file_is_listed_with_what_stays_active(
    headrace: Callable[..., Said], cluster: Cluster
) -> None:
    (cluster.folder / "pipelines" / "daily.yaml").write_text(f"{DAILY}steps: [")

    code, out, err = headrace("pipelines")

    assert code == 0
    assert "daily" in out
    assert err.splitlines() == [
        "Not valid: pipelines/daily.yaml; `headrace validate` shows why.",
        "The last valid version stays active of: daily.",
    ]


@pytest.mark.usefixtures("leading")
def test_a_schedule_that_is_removed_has_no_times_afterwards(
    headrace: Callable[..., Said], cluster: Cluster
) -> None:
    path = cluster.folder / "pipelines" / "daily.yaml"
    path.write_text(DAILY.replace('schedule: {cron: "0 1 * * *"}\n', ""))

    code, out, _ = headrace("plan", "daily", "--diff")

    assert code in (0, 1)
    before, _, after = out.partition("\nnext fire times after\n")
    assert "next fire times before\n  2" in before
    assert after == "  none, starts manually\n"


@pytest.mark.usefixtures("leading")
def test_a_change_whose_file_is_gone_meanwhile_is_told_without_its_place(
    headrace: Callable[..., Said], cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cluster.folder / "pipelines" / "daily.yaml"
    path.write_text(DAILY.replace("0 1", "0 2"))
    told = headrace("plan", "daily", "--diff")[1]
    assert "pipelines/daily.yaml:2:" in told

    monkeypatch.setattr("headrace.declarations.source.scan", lambda *_given: (None, []))
    meanwhile = headrace("plan", "daily", "--diff")[1]

    assert "pipelines/daily.yaml:2:" not in meanwhile
    assert "pipelines/daily.yaml" in meanwhile
    assert "0 2 * * *" in meanwhile
