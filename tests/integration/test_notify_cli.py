"""Notifications as a user sets them up: configuration, a folder's defaults, `up`, commands."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.cli import Headrace
from tests.support.http import Answered, HttpServer, http_server
from tests.support.mail import mail_server
from tests.support.ports import free_port
from tests.support.processes import wait_until

CONFIG = """
public_url: https://etl.example.com
workers: 1
notifications:
  allowed_hosts: [127.0.0.1]
  receivers:
    pager: {{type: webhook, url: "http://127.0.0.1:{port}/${{TOKEN}}"}}
    chat:
      type: slack
      url: "http://127.0.0.1:{port}/chat"
      subject: "{{{{ pipeline }}}} is through, {{{{ status }}}}"
  retry_delay: 0.2s
"""
FAILING = """\
name: failing
defaults: {retry: {limit: 0}}
steps: [{id: bad, job: RunSql, with: {sql: "SELECT * FROM missing_table"}}]
"""
FINE = """\
name: fine
notify: {on: [success], to: [chat]}
steps: [{id: good, job: RunSql, with: {sql: "SELECT 1 AS one"}}]
"""
MAIL = """
notifications:
  allowed_hosts: [127.0.0.1]
  receivers:
    post:
      type: email
      url: "smtp://127.0.0.1:{port}"
      starttls: false
      from: etl@example.com
      to: [a@example.com, b@example.com]
"""
TOKEN = "t0ken-canary"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as made:
        made.routes[f"/{TOKEN}"] = made.routes["/chat"] = Answered()
        yield made


def project(folder: Path, server: HttpServer, **environ: str) -> Headrace:
    (folder / "pipelines").mkdir()
    (folder / "config.yaml").write_text(CONFIG.format(port=server.port))
    (folder / "pipelines" / "_defaults.yaml").write_text("notify: {to: [pager]}\n")
    for name, text in (("failing", FAILING), ("fine", FINE)):
        (folder / "pipelines" / f"{name}.yaml").write_text(text)
    return Headrace(folder, {"TOKEN": TOKEN, "HEADRACE_PORT": str(free_port()), **environ})


def test_a_receiver_is_tried_without_any_server(tmp_path: Path, server: HttpServer) -> None:
    headrace = project(tmp_path, server)

    done = headrace("notify", "--test", "pager")
    assert done.code == 0, done.err
    (asked,) = server.asked
    assert json.loads(asked.body)["type"] == "test"
    assert asked.headers["webhook-id"] in done.out

    server.routes[f"/{TOKEN}"] = Answered(b"no entry", 403)
    refused = headrace("notify", "--test", "pager")
    assert refused.code == 1
    assert f"127.0.0.1:{server.port} answered 403 Forbidden: no entry" in refused.err
    assert TOKEN not in refused.err + refused.out + done.out
    assert "no entry" in headrace("notify", "--test", "pager", "--json").json["error"]
    unknown = headrace("notify", "--test", "pagr")
    assert unknown.code == 2
    assert 'there is no receiver "pagr"; did you mean "pager"?' in unknown.err


@pytest.mark.timeout(120)
def test_ends_of_runs_are_told_on_a_server_of_another_major_version(
    tmp_path: Path, server: HttpServer, second: Engine, redis_url: str
) -> None:
    url = second.url.set(drivername="postgresql").render_as_string(hide_password=False)
    headrace = project(tmp_path, server, DATABASE_URL=url, REDIS_URL=redis_url)

    with headrace.started("up") as up:
        up.wait_for("leading")  # The schema is there then.
        wait_until(lambda: headrace("workers", "--json").json["items"], limit_s=60)
        failed = headrace("run", "failing", "--json").json
        assert headrace("run", "fine").code == 0
        wait_until(lambda: len(server.asked) == 2, limit_s=20, what="two notifications")
        wait_until(
            lambda: {row["status"] for row in listed(headrace)} == {"sent"}, what="their records"
        )

    by_path = {one.path: json.loads(one.body) for one in server.asked}
    data = by_path[f"/{TOKEN}"]["data"]
    assert data["link"] == f"https://etl.example.com/#/runs/{failed['id']}"
    assert data["steps"][0]["step"] == "bad"
    assert (data["steps"][0]["attempt"], data["steps"][0]["of"]) == (1, 1)
    assert "missing_table" in data["steps"][0]["error"]
    assert by_path["/chat"]["text"] == "fine is through, completed"

    shown = headrace("show", failed["id"])
    assert "NOTIFICATION" in shown.out
    assert "pager" in shown.out
    (told,) = headrace("show", failed["id"], "--json").json["notifications"]
    assert (told["kind"], told["receiver"], told["status"]) == ("failure", "pager", "sent")
    assert "failure" in headrace("outbox").out
    assert headrace("outbox", "--status", "lost").code == 2


def listed(headrace: Headrace) -> list[dict[str, str]]:
    return list(headrace("outbox", "--json").json["items"])


def test_on_trial_recipients_that_are_refused_are_told_and_the_command_fails(
    tmp_path: Path,
) -> None:
    with mail_server(free_port()) as server:
        server.refused = {"b@example.com"}
        (tmp_path / "config.yaml").write_text(MAIL.format(port=server.port))
        headrace = Headrace(tmp_path, {})

        done = headrace("notify", "--test", "post")
        told = headrace("notify", "--test", "post", "--json")

    assert (done.code, told.code) == (1, 1)
    accepted, but = done.out.splitlines()
    assert accepted.startswith("post has accepted the notification ")
    assert but == "But it was refused for b@example.com."
    assert told.json["receiver"] == "post"
    assert told.json["error"] == "refused for b@example.com"
    assert server.taken[1]["Message-ID"] == f"<{told.json['id']}@example.com>"
    assert server.recipients == [["a@example.com"]] * 2
