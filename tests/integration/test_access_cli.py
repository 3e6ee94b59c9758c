"""Tokens and the audit trail as a user has them: commands, and web services of their own."""

import os
import pwd
import signal
import socket
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cli import Headrace
from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.servers import connect

HOURLY = """\
name: hourly
schedule: {cron: "0 * * * *", catchup: none}
steps:
  - {id: one, job: Fibonacci, with: {n: 3}}
"""
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def headrace(tmp_path: Path, database: str, redis_url: str) -> Headrace:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "hourly.yaml").write_text(HOURLY)
    return Headrace(
        tmp_path,
        {
            "DATABASE_URL": database,
            "REDIS_URL": redis_url,
            "HEADRACE_HOME": str(tmp_path / "home"),
        },
    )


def trail(headrace: Headrace) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = headrace("audit", "--json", "--limit", "100").json["items"]
    return items


def test_a_token_is_printed_once_listed_without_itself_and_revoked(headrace: Headrace):
    made = headrace("token", "create", "vera", "--role", "viewer")
    assert made.code == 0, made.err
    token = made.out.strip()
    assert token.startswith("hrt_")
    assert token not in made.err
    as_json = headrace("token", "create", "olga", "--role", "operator", "--json").json
    assert (as_json["name"], as_json["role"]) == ("olga", "operator")
    assert as_json["token"].startswith("hrt_")

    listed = headrace("token", "list", "--json")
    assert [(row["name"], row["role"]) for row in listed.json["items"]] == [
        ("olga", "operator"),
        ("vera", "viewer"),
    ]
    assert token not in listed.out
    assert "hash" not in listed.out
    assert headrace("token", "create", "vera", "--role", "admin").code == 1
    assert headrace("token", "revoke", "vera").code == 0
    missing = headrace("token", "revoke", "vera")
    assert (missing.code, "token list" in missing.err) == (1, True)
    wrong = headrace("token", "create", "../vera", "--role", "admin")
    assert (wrong.code, "cannot be the name" in wrong.err) == (2, True)
    assert headrace("token", "create", "vera", "--role", "admin").code == 0
    revoked = [
        row for row in headrace("token", "list", "--json").json["items"] if row["revoked_at"]
    ]
    assert [row["name"] for row in revoked] == ["vera"]


def test_what_the_command_line_changes_is_audited_as_the_system_s_user(headrace: Headrace):
    run = headrace("run", "hourly", "--detach").out.strip()
    headrace("cancel", run)
    headrace("cancel", run)
    headrace("pause", "hourly")
    headrace("resume", "hourly")
    headrace("runs")
    headrace("backfill", "hourly", "--from", "2024-01-01", "--to", "2024-01-01", "--dry-run")
    headrace("prune", "--older-than", "0s")
    token = headrace("token", "create", "vera", "--role", "viewer").out.strip()

    rows = trail(headrace)

    assert [(row["action"], row["path"], row["outcome"], row["status"]) for row in rows] == [
        ("token create", "headrace token create vera --role viewer", "done", 0),
        ("prune", "headrace prune --older-than 0s", "done", 0),
        ("resume", "headrace resume hourly", "done", 0),
        ("pause", "headrace pause hourly", "done", 0),
        ("cancel", f"headrace cancel {run}", "failed", 1),
        ("cancel", f"headrace cancel {run}", "done", 0),
        ("run", "headrace run hourly --detach", "done", 0),
    ]
    told = [(row["action"], row["concerns"]) for row in rows if row["concerns"]]
    assert told == [("cancel", f"run {run}"), ("run", f"run {run}")]
    whose = {(row["actor"], row["via"], row["role"], row["address"]) for row in rows}
    assert whose == {(ME, "command", "admin", socket.gethostname())}
    assert token not in headrace("audit").out
    first = headrace("audit", "--limit", "1").out.splitlines()
    assert [len(first), ME in first[1], "token create" in first[1]] == [2, True, True]


def test_a_run_that_is_waited_for_is_audited_once(headrace: Headrace):
    assert headrace("run", "hourly").code == 0

    assert [(row["action"], row["outcome"]) for row in trail(headrace)] == [("run", "done")]


def test_an_upgrade_of_the_schema_is_audited(tmp_path: Path, empty_database: str, redis_url: str):
    headrace = Headrace(tmp_path, {"DATABASE_URL": empty_database, "REDIS_URL": redis_url})
    (tmp_path / "pipelines").mkdir()

    headrace("db", "upgrade")
    headrace("db", "upgrade")

    assert [row["action"] for row in trail(headrace)] == ["db upgrade"]


def test_two_web_services_obey_the_tokens_of_the_command_line(headrace: Headrace):
    tokens = {
        role: headrace("token", "create", role, "--role", role).out.strip()
        for role in ("viewer", "operator", "admin")
    }
    sent = {role: {"Authorization": f"Bearer {token}"} for role, token in tokens.items()}
    with ExitStack() as stack:
        addresses, logs = [], []
        for _ in range(2):
            port = free_port()
            own = Headrace(headrace.folder, {**headrace.environ, "HEADRACE_PORT": str(port)})
            logs.append(stack.enter_context(own.started("web")))
            addresses.append(f"http://127.0.0.1:{port}")
        for web in logs:
            web.wait_for("serving on")
        for address in addresses:
            for role, expected in (("viewer", 403), ("operator", 201), ("admin", 201)):
                asked = httpx.post(f"{address}/pipelines/hourly/runs", headers=sent[role])
                assert asked.status_code == expected
        with httpx.Client(base_url=addresses[0]) as browser:
            browser.post("/sign-in", data={"token": tokens["viewer"]})
            other = httpx.Client(base_url=addresses[1], cookies=browser.cookies)
            stack.enter_context(other)
            assert other.get("/whoami").json()["actor"] == "viewer"
            headrace("token", "revoke", "viewer")
            for one in (browser, other):
                assert one.get("/whoami").status_code == 401
        for address in addresses:
            assert httpx.get(f"{address}/jobs", headers=sent["viewer"]).status_code == 401
        said = "".join(web.output() for web in logs)
    shown = headrace("audit", "--limit", "100").out
    for token in tokens.values():
        assert token not in said
        assert token not in shown
    refused = [row for row in trail(headrace) if row["outcome"] == "refused"]
    assert {(row["actor"], row["status"]) for row in refused} == {("viewer", 403), ("unknown", 401)}


def test_a_web_service_killed_in_the_middle_of_a_change_leaves_its_row(
    headrace: Headrace, database: str
):
    port = free_port()
    address = f"http://127.0.0.1:{port}/pipelines/hourly/pause"
    own = Headrace(headrace.folder, {**headrace.environ, "HEADRACE_PORT": str(port)})
    token = headrace("token", "create", "olga", "--role", "operator").out.strip()
    with own.started("web") as web, closing(connect(database)) as held, held.cursor() as cursor:
        web.wait_for("serving on")
        cursor.execute("BEGIN; LOCK TABLE headrace.schedule IN ACCESS EXCLUSIVE MODE")
        asked = threading.Thread(target=_ask, args=(address, token))
        asked.start()

        def begun() -> bool:
            cursor.execute("SELECT 1 FROM headrace.audit WHERE action = 'pause'")
            return bool(cursor.fetchall())

        wait_until(begun, limit_s=30)
        web.stop(signal.SIGKILL)
        asked.join(30)

    row = trail(headrace)[0]
    assert (row["actor"], row["outcome"], row["status"]) == ("olga", "begun", None)


def _ask(address: str, token: str) -> None:
    with suppress(httpx.TransportError):
        httpx.post(address, headers={"Authorization": f"Bearer {token}"}, timeout=30)
