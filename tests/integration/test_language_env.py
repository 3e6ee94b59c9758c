"""Environment variables hold while a step's job runs, and not a moment longer."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.jobs import BaseJob
from headrace.jobs.base import logger
from headrace.store.embedded import Servers
from tests.support.by_hand import ByHand, by_hand
from tests.support.cluster import Cluster, cluster_on

SECRET = "canary-9vT2mKq"


class TellEnvironment(BaseJob):
    """Returns the variables that it is asked for, as it and a program see them."""

    def __init__(self, names: list[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = names

    def handle(self) -> Any:
        own = {name: os.environ.get(name) for name in self.names}
        seen = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
        assert all(value is None or f"{name}={value}" in seen for name, value in own.items())
        os.environ["LEFT_BEHIND"] = "x"
        return {**own, "hour": time.localtime(0).tm_hour}


class TellVariable(BaseJob):
    """Returns one variable, and leaves another behind. So short that it shares commits."""

    def handle(self) -> Any:
        os.environ["LEFT_BEHIND"] = "x"
        return os.environ.get("NUMBER_OF_ITEM")


class LoseSecret(BaseJob):
    """Says its secret wherever it can, then fails with it, or returns it."""

    def __init__(self, fail: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fail = fail

    def handle(self) -> Any:
        secret = os.environ["TOKEN"]
        assert "$" not in secret
        logger.info("it is %s", secret)
        logger.warning("x" * 3995 + secret)
        try:
            raise ValueError(f"inner {secret!r}")
        except ValueError as error:
            logger.exception("caught")
            if self.fail:
                raise RuntimeError("y" * 3995 + secret) from error
        return {"token": secret, secret: [secret]}


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


def tell(*names: str) -> str:
    listed = ", ".join(names)
    return f"job: {__name__}.TellEnvironment, with: {{names: [{listed}]}}"


def test_variables_hold_for_the_job_and_its_programs_and_are_gone_after_it(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    monkeypatch.setenv("REGION", "worldwide")
    before = dict(os.environ)
    hand.declare(
        f"""
name: env
params: {{day: {{type: date, default: 2026-01-31}}}}
defaults: {{env: {{TZ: Etc/GMT-7, REGION: eu, KIND: daily}}}}
steps:
  - id: first
    {tell("TZ", "REGION", "KIND", "DAY", "GREETING").replace(", with", chr(10) + "    with")}
    env: {{REGION: us, DAY: "{{{{ params.day }}}}", GREETING: "$${{x}} of ${{REGION}}"}}
  - id: then
    {tell("REGION", "AFTER").replace(", with", chr(10) + "    with")}
    depends_on: [first]
    env: {{AFTER: "{{{{ steps.first.result.KIND }}}}"}}
"""
    )

    run = hand.run("env")

    jobs = hand.jobs(run)
    assert jobs["first"]["error"] is None
    # A reference reads the worker's environment, not the other variables of the step.
    assert jobs["first"]["result"] == {
        "TZ": "Etc/GMT-7",
        "REGION": "us",
        "KIND": "daily",
        "DAY": "2026-01-31",
        "GREETING": "${x} of ***",
        "hour": 7,
    }
    assert jobs["then"]["result"] | {"hour": 7} == {"REGION": "eu", "AFTER": "daily", "hour": 7}
    assert dict(os.environ) == before
    assert time.localtime(0).tm_hour == time.gmtime(0).tm_hour or "TZ" in before


def test_the_row_and_the_plan_hold_the_reference_only(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    hand.declare(
        f"""
name: secretive
steps:
  - {{id: well, job: {__name__}.LoseSecret, env: {{TOKEN: "${{SHOP_TOKEN}}"}}}}
  - id: badly
    job: {__name__}.LoseSecret
    with: {{fail: true}}
    retry: {{limit: 0}}
    env: {{TOKEN: "${{SHOP_TOKEN}}"}}
"""
    )

    run = hand.run("secretive")

    jobs = hand.jobs(run)
    assert jobs["well"]["env"] == {"TOKEN": "${SHOP_TOKEN}"}
    assert jobs["well"]["result"] == {"token": "***", "***": ["***"]}
    assert jobs["badly"]["status"] == "failed"
    assert "inner '***'" in jobs["badly"]["traceback"]
    assert everything(hand)
    for row in everything(hand):
        # Not half of it either: texts are cut after they were hidden.
        assert SECRET[:6] not in row


def test_a_missing_variable_fails_the_job_with_its_name_and_changes_nothing(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    before = dict(os.environ)
    hand.declare(
        f"""
name: missing
steps:
  - id: only
    job: {__name__}.TellEnvironment
    with: {{names: []}}
    retry: {{limit: 0}}
    env: {{A: b, TOKEN: "${{SHOP_TOKEN}}"}}
"""
    )

    job = hand.jobs(hand.run("missing"))["only"]

    assert job["status"] == "failed"
    assert job["error"].startswith("env.TOKEN: the environment variable SHOP_TOKEN is not set")
    assert dict(os.environ) == before


def test_a_parameter_cannot_read_the_worker_s_environment(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    hand.declare(
        f"""
name: asked
params: {{note: {{default: ""}}}}
steps:
  - id: only
    job: {__name__}.TellEnvironment
    with: {{names: [NOTE]}}
    env: {{NOTE: "{{{{ params.note }}}}"}}
"""
    )

    job = hand.jobs(hand.run("asked", note="${SHOP_TOKEN}"))["only"]

    assert job["result"]["NOTE"] == "${SHOP_TOKEN}"


def test_variables_of_the_client_hold_for_the_job_s_own_connections(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    config = {"connections": {"other": database}}
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "zones.yaml").write_text(
        """
name: zones
defaults: {queue: high}
steps:
  - {id: a, job: RunSql, with: {sql: SHOW timezone, connection: other}}
  - {id: b, job: RunSql, depends_on: [a], env: {PGTZ: Asia/Tokyo},
     with: {sql: SHOW timezone, connection: other}}
  - {id: c, job: RunSql, depends_on: [b], with: {sql: SHOW timezone, connection: other}}
"""
    )
    with cluster_on(Servers(database, redis_url), tmp_path, config=config) as cluster:
        run = cluster.headrace.start_run("zones", {})
        cluster.worker()
        cluster.wait_all_final()
        rows = cluster.sql(
            "SELECT result -> 'rows' -> 0 ->> 'TimeZone' AS zone FROM headrace.job"
            " WHERE run_id = %s ORDER BY step",
            str(run["id"]),
        )
        zones = [row["zone"] for row in rows]
        assert zones[1] == "Asia/Tokyo"
        assert zones[0] == zones[2] != "Asia/Tokyo"
        cluster.check()


def test_short_jobs_that_share_a_commit_have_variables_of_their_own(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "many.yaml").write_text(
        f"""
name: many
params: {{items: {{type: list, default: {list(range(200))}}}}}
steps:
  - id: with_one
    job: {__name__}.TellVariable
    foreach: {{items: "{{{{ params.items }}}}"}}
    env: {{NUMBER_OF_ITEM: "{{{{ item }}}}"}}
  - {{id: without, job: {__name__}.TellVariable, foreach: {{items: "{{{{ params.items }}}}"}}}}
"""
    )
    with cluster_on(Servers(database, redis_url), tmp_path) as cluster:
        cluster.headrace.start_run("many", {})
        cluster.worker()
        cluster.wait_all_final(limit_s=40)
        rows = cluster.sql("SELECT step, result, env FROM headrace.job")
        found = {row["step"]: row["result"] for row in rows}
        assert found == {f"with_one[{n}]": str(n) for n in range(200)} | {
            f"without[{n}]": None for n in range(200)
        }
        cluster.check()


def test_a_worker_s_log_does_not_tell_a_secret(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "secretive.yaml").write_text(
        f"""
name: secretive
defaults: {{env: {{TOKEN: "${{SHOP_TOKEN}}"}}}}
steps:
  - {{id: well, job: {__name__}.LoseSecret}}
  - {{id: badly, job: {__name__}.LoseSecret, with: {{fail: true}}, retry: {{limit: 0}}}}
"""
    )
    with cluster_on(Servers(database, redis_url), tmp_path) as cluster:
        cluster.headrace.start_run("secretive", {})
        worker = cluster.worker(env={"SHOP_TOKEN": SECRET})
        cluster.wait_all_final()
        log = worker.log.read_text()
        assert "caught" in log and "***" in log
        assert SECRET[:6] not in log
        assert SECRET[:6] not in everything_stored(cluster)
        cluster.check()


def everything(hand: ByHand) -> list[str]:
    found: list[str] = []
    raw = hand.executor.store.raw
    with raw.cursor() as cursor:
        for table in ("job", "job_attempt", "job_log", "run"):
            cursor.execute(f"SELECT t::text FROM headrace.{table} t")
            found += [row[0] for row in cursor.fetchall()]
    return found


def everything_stored(cluster: Cluster) -> str:
    tables = cluster.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'headrace'")
    return str(
        [cluster.sql(f"SELECT t::text FROM headrace.{one['tablename']} t") for one in tables]
    )
