"""Receivers that are away, daemons that are killed: each notification arrives, once, in order."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace.store import embedded
from headrace.store.embedded import Servers
from headrace.store.migrations import upgrade
from tests.support.cluster import Cluster, cluster_on
from tests.support.crashed_postgres import end_postgres
from tests.support.http import Answered, Asked, HttpServer, http_server
from tests.support.mail import MailServer, mail_server
from tests.support.ports import free_port
from tests.support.processes import Process, wait_until

# `make test` waits this long for receivers that are away; a longer absence by the variable.
AWAY_S = float(os.environ.get("HEADRACE_TEST_AWAY_S", "1"))
JOB = "tests.support.jobs_effects.EffectJob"
BAD = "tests.support.jobs_effects.FailOnceEffectJob"
BOTH = "{on: [failure, recovery, late, success], to: [pager, post]}"


class Receivers:
    """A webhook's and a mail server's ports, and what has arrived there."""

    def __init__(self) -> None:
        self.port, self.mail_port = free_port(), free_port()
        self.hooks: list[Asked] = []
        self.mails: list[Any] = []

    def config(self, **more: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/t0ken"
        mail = f"smtp://127.0.0.1:{self.mail_port}"
        people = {"from": "etl@example.com", "to": ["team@example.com"], "starttls": False}
        return {
            "notifications": {
                "allowed_hosts": ["127.0.0.1"],
                "receivers": {
                    "pager": {"type": "webhook", "url": url},
                    "post": {"type": "email", "url": mail, **people},
                },
                "retry_delay": "0.2s",
                **more,
            }
        }

    @contextmanager
    def there(self) -> Iterator[tuple[HttpServer, MailServer]]:
        """Be reachable."""
        with http_server(port=self.port) as hooks, mail_server(self.mail_port) as mails:
            hooks.routes["/t0ken"] = Answered()
            try:
                yield hooks, mails
            finally:
                self.hooks += hooks.asked
                self.mails += mails.taken


@pytest.fixture
def receivers() -> Receivers:
    return Receivers()


@pytest.fixture
def cluster(
    database: str, redis_url: str, tmp_path: Path, receivers: Receivers
) -> Iterator[Cluster]:
    env = {"HEADRACE_LEASE_S": "4", "HEADRACE_NOTIFICATION_CLAIM_S": "3"}
    config = receivers.config()
    servers = Servers(database, redis_url)
    with cluster_on(servers, tmp_path, config=config, env=env) as made:
        yield made
        made.check()


def declare(cluster: Cluster, name: str, text: str) -> None:
    (cluster.folder / "pipelines" / f"{name}.yaml").write_text(f"name: {name}\n{text}")


def start(cluster: Cluster, name: str) -> str:
    return str(cluster.headrace.start_run(name, {})["id"])


def sent(cluster: Cluster) -> list[dict[str, Any]]:
    return cluster.sql("SELECT * FROM headrace.notification ORDER BY created_at, id")


def wait_until_sent(cluster: Cluster, count: int) -> None:
    wait_until(
        lambda: (
            len(sent(cluster)) == count and {row["status"] for row in sent(cluster)} == {"sent"}
        ),
        limit_s=20,
        what=f"{count} notifications that are sent",
    )


def kinds(hooks: list[Asked]) -> list[str]:
    return [str(json.loads(one.body)["type"]) for one in hooks]


def ids(hooks: list[Asked]) -> list[str]:
    return [one.headers["webhook-id"] for one in hooks]


@pytest.mark.timeout(250)
def test_receivers_that_are_away_get_each_notification_once_and_in_order(
    cluster: Cluster, receivers: Receivers
) -> None:
    step = f"steps: [{{id: load, job: {BAD}, with: {{times: 1}}, retry: {{limit: 0}}}}]\n"
    declare(cluster, "p", f"notify: {BOTH}\n{step}")
    daemon = cluster.daemon()
    cluster.worker()
    run_id = start(cluster, "p")
    wait_until(lambda: len(sent(cluster)) == 2, what="the failure's notifications")
    cluster.headrace.interventions.retry_run(run_id)
    # A failure, a recovery and a success for each of the two receivers.
    wait_until(lambda: len(sent(cluster)) == 6, what="the notifications")
    end = time.monotonic() + AWAY_S
    wait_until(
        lambda: time.monotonic() > end and all(row["error"] for row in sent(cluster)[:2]),
        limit_s=AWAY_S + 15,
        what="failed sends",
    )

    with receivers.there():
        wait_until_sent(cluster, 6)

    rows = sent(cluster)
    assert kinds(receivers.hooks) == ["run.failure", "run.recovery", "run.success"]
    by_webhook = [str(row["id"]) for row in rows if row["receiver"] == "pager"]
    assert sorted(ids(receivers.hooks)) == sorted(by_webhook)
    mailed = [str(mail["Message-ID"]) for mail in receivers.mails]
    assert sorted(mailed) == sorted(
        f"<{row['id']}@example.com>" for row in rows if row["receiver"] == "post"
    )
    assert rows[0]["tries"] > 1
    # What calls the receiver is a secret.
    assert "t0ken" not in daemon.text() + str(rows)
    assert "pager was not notified" in daemon.text()
    assert "pager can be notified again" in daemon.text()


def test_a_daemon_that_is_killed_between_send_and_record_sends_the_same_id_again(
    cluster: Cluster, receivers: Receivers
) -> None:
    steps = f"steps: [{{id: load, job: {JOB}}}]\n"
    declare(cluster, "p", f"notify: {{on: [success], to: [pager]}}\n{steps}")
    cluster.daemon(env=cluster.crash_at("notification-sent"))
    cluster.worker()
    with receivers.there() as (hooks, _mails):
        start(cluster, "p")
        cluster.wait_for_crash()
        assert len(hooks.asked) == 1
        cluster.daemon()
        wait_until_sent(cluster, 1)

    first, second = ids(receivers.hooks)
    assert first == second


def test_an_outage_of_postgres_after_the_send_does_not_have_it_sent_again(
    own_servers: Servers, own_home: Path, tmp_path: Path, receivers: Receivers
) -> None:
    upgrade(own_servers.database_url)
    answering, crashed = threading.Event(), threading.Event()

    def slowly(_asked: Asked) -> Answered:
        answering.set()
        crashed.wait(60)
        return Answered()

    env = {"HEADRACE_LEASE_S": "4", "HEADRACE_NOTIFICATION_CLAIM_S": "1"}
    with (
        cluster_on(own_servers, tmp_path, config=receivers.config(), env=env) as cluster,
        receivers.there() as (hooks, _mails),
    ):
        hooks.routes["/t0ken"] = slowly
        steps = f"steps: [{{id: load, job: {JOB}}}]\n"
        declare(cluster, "p", f"notify: {{on: [success], to: [pager]}}\n{steps}")
        cluster.daemon()
        cluster.worker()
        start(cluster, "p")
        wait_until(answering.is_set, what="the send")
        end_postgres(own_home)
        # Whoever does not know of the send might take it as soon as PostgreSQL is back.
        crashed.set()
        embedded.start(own_home)
        cluster.reconnect()
        wait_until_sent(cluster, 1)
        cluster.check()

    assert len(receivers.hooks) == 1


def test_two_daemons_send_nothing_twice_while_the_lead_changes(
    cluster: Cluster, receivers: Receivers
) -> None:
    steps = f"steps: [{{id: load, job: {JOB}}}]\n"
    declare(cluster, "p", f"notify: {{on: [success], to: [pager, post]}}\n{steps}")
    daemons = [cluster.daemon(), cluster.daemon()]
    cluster.worker()
    with receivers.there() as (hooks, _mails):
        hooks.routes["/t0ken"] = slowly
        for _ in range(6):
            start(cluster, "p")
        wait_until(lambda: hooks.asked, what="the first send")
        paused = leader(cluster, daemons)
        # Asked to stop, it ends what it is sending; then the other one goes on.
        paused.signal(signal.SIGTERM)
        wait_until_sent(cluster, 12)

    assert set(Counter(ids(receivers.hooks)).values()) == {1}
    assert len(receivers.hooks) == len(receivers.mails) == 6


def test_a_paused_leader_that_comes_back_sends_nothing_that_another_one_has(
    cluster: Cluster, receivers: Receivers
) -> None:
    steps = f"steps: [{{id: load, job: {JOB}}}]\n"
    declare(cluster, "p", f"notify: {{on: [success], to: [pager]}}\n{steps}")
    daemons = [cluster.daemon(), cluster.daemon()]
    cluster.worker()
    cluster.wait_for_leader()
    paused = leader(cluster, daemons)
    paused.pause()
    with receivers.there():
        start(cluster, "p")
        wait_until_sent(cluster, 1)
        paused.resume()
        start(cluster, "p")
        wait_until_sent(cluster, 2)

    assert set(Counter(ids(receivers.hooks)).values()) == {1}


def test_what_is_late_is_told_while_it_is_and_not_afterwards(
    cluster: Cluster, receivers: Receivers
) -> None:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    held = f"{{reached: {reached}, go: {go}}}"
    declare(
        cluster,
        "p",
        f"notify: {{to: [pager]}}\nexpected_duration: 0.5s\n"
        f"steps: [{{id: load, job: tests.support.jobs_effects.HeldJob, with: {held},"
        " expected_duration: 0.1s, deadline: 1h}]\n",
    )
    daemon = cluster.daemon()
    cluster.worker()
    with receivers.there():
        run_id = start(cluster, "p")
        cluster.wait_for_file(reached)
        wait_until_sent(cluster, 2)
        assert cluster.sql("SELECT status FROM headrace.run") == [{"status": "running"}]
        go.touch()
        cluster.wait_all_final()

    assert sorted(kinds(receivers.hooks)) == ["run.late", "step.late"]
    assert f"run {run_id} of p, step load, is late: its expected_duration" in daemon.text()
    # It ended as it should: nothing was stopped.
    assert cluster.sql("SELECT status FROM headrace.run") == [{"status": "completed"}]


def test_a_receiver_that_stays_away_is_given_up_and_told(
    database: str, redis_url: str, tmp_path: Path, receivers: Receivers
) -> None:
    config = receivers.config(give_up_after="0.3s")
    with cluster_on(Servers(database, redis_url), tmp_path, config=config) as cluster:
        steps = f"steps: [{{id: load, job: {JOB}}}]\n"
        declare(cluster, "p", f"notify: {{on: [success], to: [pager]}}\n{steps}")
        daemon = cluster.daemon()
        cluster.worker()
        start(cluster, "p")
        wait_until(
            lambda: [row["status"] for row in sent(cluster)] == ["given_up"], what="the end of it"
        )
        wait_until(lambda: "gave up the notification" in daemon.text(), what="the log")
        cluster.check()


def test_a_schedule_whose_run_cannot_be_made_is_told_as_a_failure(
    cluster: Cluster, receivers: Receivers
) -> None:
    declare(
        cluster,
        "p",
        "schedule: {interval: 1s}\nnotify: {to: [pager]}\n"
        "params: {day: {type: integer, default: '{{ run.logical_date }}'}}\n"
        f"steps: [{{id: load, job: {JOB}}}]\n",
    )
    with receivers.there():
        cluster.daemon()
        wait_until(lambda: sent(cluster), what="a failure that is told")
        (cluster.folder / "pipelines" / "p.yaml").unlink()
        wait_until(lambda: {row["status"] for row in sent(cluster)} == {"sent"}, what="its send")

    assert set(kinds(receivers.hooks)) == {"run.failure"}
    data = json.loads(receivers.hooks[0].body)["data"]
    assert data["run_id"] is None
    assert "day" in data["error"]


def test_the_heartbeat_is_called_while_all_is_well_and_not_otherwise(
    database: str, redis_url: str, tmp_path: Path, receivers: Receivers
) -> None:
    beat = {"url": f"http://127.0.0.1:{receivers.port}/alive", "interval": "1s"}
    config = receivers.config(heartbeat=beat)
    with cluster_on(Servers(database, redis_url), tmp_path, config=config) as cluster:
        with receivers.there() as (hooks, _mails):
            hooks.routes["/alive"] = Answered()
            daemon = cluster.daemon()
            wait_until(lambda: "no worker is alive" in daemon.text(), what="the reason")
            assert hooks.asked == []
            cluster.worker()
            wait_until(lambda: len(hooks.asked) >= 2, what="two calls")
            assert {(one.method, one.path) for one in hooks.asked} == {("GET", "/alive")}
        assert "/alive" not in daemon.text()


def leader(cluster: Cluster, daemons: list[Process]) -> Process:
    wait_until(lambda: cluster.sql("SELECT 1 FROM headrace.leader"), what="a leader")
    holder = cluster.sql("SELECT holder FROM headrace.leader")[0]["holder"]
    return next(daemon for daemon in daemons if f".{daemon.pid}." in holder)


def slowly(_asked: Asked) -> Answered:
    time.sleep(0.1)
    return Answered()
