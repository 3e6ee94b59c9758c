"""A control database, or a target, that takes no writes: daemon, worker and web service wait.

`headrace up` runs as its user starts it, on a PostgreSQL that becomes read-only beneath it.
"""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.connections.conftest import query
from tests.matrix.conftest import project, wait_ready
from tests.support.cli import Headrace, Running
from tests.support.places import PASSWORD, Server, debian_programs, second_server, standby
from tests.support.processes import deadline
from tests.support.up import Up, jobs_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

_LIMIT_S = 60.0
_EFFECT = "insert into effect values ({{ run.id }}::text, clock_timestamp())"
_PIPELINES: dict[str, dict[str, Any]] = {
    "once": {"steps": [{"id": "only", "job": "RunSql", "with": {"sql": _EFFECT}}]},
    "ticks": {
        "schedule": {"interval": "5s", "catchup": "all"},
        "concurrency": {"limit": 1, "on_conflict": "queue"},
        "steps": [{"id": "only", "job": "RunSql", "with": {"sql": _EFFECT}}],
    },
    "held": {
        "steps": [
            {"id": "wait", "job": "RunSql", "with": {"sql": "select pg_sleep(4)"}},
            {"id": "only", "job": "RunSql", "depends_on": ["wait"], "with": {"sql": _EFFECT}},
        ],
    },
}  # fmt: skip


def write(headrace: Headrace, config: dict[str, Any]) -> None:
    (headrace.folder / "config.yaml").write_text(json.dumps(config))
    for name, pipeline in _PIPELINES.items():
        path = headrace.folder / "pipelines" / f"{name}.yaml"
        path.write_text(json.dumps({"name": name, **pipeline}))


@contextmanager
def running(headrace: Headrace, url: str) -> Iterator[tuple[Up, Running]]:
    assert headrace("db", "upgrade").code == 0
    up = Up(headrace, url)
    up.query("create table effect (run text, at timestamptz)")
    with headrace.started("up", "--workers", "1") as started:
        wait_ready(up.http, started)
        assert up.run("once")["status"] == "completed"
        yield up, started
        assert "Traceback" not in started.output(), started.output()
        started.stop(signal.SIGTERM)
        assert started.process.returncode == 0, started.output()


def wait_for(what: str, holds: Any) -> None:
    give_up = deadline(_LIMIT_S)
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.1)


def is_refused_with_a_sentence(up: Up) -> bool:
    code, answer = up.http.asked("/pipelines/once/runs", {})
    return code == 503 and "takes no writes" in answer["detail"]


def goes_on(up: Up, held: str) -> None:
    """See that what was under way, what is asked for and what falls due is done, each once."""
    assert up.wait(held)["status"] == "completed"
    assert up.run("once")["status"] == "completed"
    accepted = up.query("select id::text from headrace.run where pipeline = 'once'")
    assert {up.wait(run)["status"] for (run,) in accepted} == {"completed"}
    (due,) = up.query("select count(*) from headrace.run where pipeline = 'ticks'")[0]
    wait_for("another run of the schedule", lambda: up.query(
        "select count(*) > greatest(%s, 1) from headrace.run where pipeline = 'ticks'"
        " and status = 'completed'", due)[0][0])  # fmt: skip
    doubled = up.query("select run from effect group by run having count(*) > 1")
    assert doubled == []
    gaps = up.query(
        "select max(gap) from (select logical_date - lag(logical_date) over (order by logical_date)"
        " as gap from headrace.run where pipeline = 'ticks') as spans"
    )
    assert gaps[0][0].total_seconds() == 5, "an instant was lost"


def test_everything_waits_while_the_control_database_takes_no_writes_and_then_goes_on(
    debian: Server, place: str, tmp_path: Path
):
    url = debian.url_for(place, "etl")
    headrace = project(tmp_path, DATABASE_URL=url)
    write(headrace, {})
    ending = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{place}'"
    with running(headrace, url) as (up, started):
        held = up.start("held")
        up.wait_started(held, "wait")
        debian.execute(f"alter database {place} set default_transaction_read_only = on", ending)

        wait_for("a refusal with its reason", lambda: is_refused_with_a_sentence(up))
        code, answer = up.http.asked("/health/ready")
        assert (code, list(answer["missing"])) == (503, ["postgresql"])
        assert "takes no writes" in answer["missing"]["postgresql"]
        assert up.http.asked("/runs")[0] == 200, "what only reads is answered"
        said = headrace("run", "once", "--detach")
        assert (said.code, "takes no writes" in said.err) == (1, True), said
        for part in ("daemon", "worker 1"):
            wait_for(f"the {part}'s word", partial(told, started, part))
        up.query("select pg_sleep(6)")
        debian.execute(f"alter database {place} reset default_transaction_read_only", ending)

        goes_on(up, held)
        assert told(started, "daemon") == 1, started.output()
        # A parent and its children.
        assert told(started, "worker 1") <= 4, started.output()


def told(started: Running, part: str) -> int:
    """Count how often a part has said what it waits for."""
    lines = started.output().splitlines()
    return sum(f" {part} " in line and "takes no writes" in line for line in lines)


def test_a_standby_that_is_promoted_takes_over(tmp_path: Path):
    programs = debian_programs()
    with second_server(programs) as primary:
        primary.execute(
            f"CREATE ROLE etl LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE work OWNER etl"
        )
        with standby(primary, programs) as second:
            hosts = f"127.0.0.1:{primary.port},127.0.0.1:{second.port}"
            url = f"postgresql://etl:{PASSWORD}@{hosts}/work"
            headrace = project(tmp_path, DATABASE_URL=url)
            write(headrace, {})
            with running(headrace, url) as (up, started):
                held = up.start("held")
                up.wait_started(held, "wait")
                (written,) = query(primary.url, "select pg_current_wal_flush_lsn()")
                replayed = f"select pg_last_wal_replay_lsn() >= '{written[0]}'"
                wait_for("the standby", lambda: query(second.url, replayed) == [(True,)])
                primary.stop()

                wait_for("a refusal with its reason", lambda: is_refused_with_a_sentence(up))
                wait_for("the daemon's word", lambda: "takes no writes" in started.output())
                query(second.url, "select pg_promote()")

                goes_on(up, held)


def test_a_standby_as_a_target_can_be_read_and_a_job_that_writes_names_it_and_the_remedy(
    tmp_path: Path,
):
    programs = debian_programs()
    with second_server(programs) as primary:
        primary.execute(
            f"CREATE ROLE etl LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE work OWNER etl"
        )
        query(primary.url_for("work", "etl"), "create table t (n) as select 1")
        with standby(primary, programs) as second:
            control = primary.url_for("control", "etl")
            primary.execute("CREATE DATABASE control OWNER etl")
            headrace = project(tmp_path, DATABASE_URL=control)
            write(headrace, {"connections": {"copy": second.url_for("work", "etl")}})
            steps = [
                {"id": "reads", "job": "RunSql",
                 "with": {"sql": "select n from t", "connection": "copy"}},
                {"id": "writes", "job": "RunSql",
                 "with": {"sql": "insert into t values (2)", "connection": "copy"}},
                {"id": "mirror", "job": "MirrorTable",
                 "with": {"connection": "copy", "source_table": "t", "target_table": "u"}},
                {"id": "vacuum", "job": "VacuumTable",
                 "with": {"table": "t", "connection": "copy"}},
            ]  # fmt: skip
            path = headrace.folder / "pipelines" / "copies.yaml"
            path.write_text(
                json.dumps({"name": "copies", "defaults": {"retry": {"limit": 0}}, "steps": steps})
            )
            with running(headrace, control) as (up, _started):
                jobs = jobs_of(up.run("copies"))
            assert jobs["reads"]["result"]["rows"] == [{"n": 1}]
            for step in ("writes", "mirror", "vacuum"):
                job = jobs[step]
                assert job["status"] == "failed"
                assert "in the connection copy: " in job["error"], job["error"]
                assert "it is a standby" in job["error"]
                assert "target_session_attrs=read-write" in job["error"]
