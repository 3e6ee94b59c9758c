"""The commands that speak to servers, each a process of its own."""

import contextlib
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.cli import Headrace
from tests.support.processes import deadline
from tests.support.servers import connect

TWO_STEPS = """\
name: two
description: Two steps.
params: {n: {type: integer, default: 5}}
steps:
  - {id: first, job: Fibonacci, with: {n: "{{ params.n }}"}}
  - {id: second, job: RunSql, depends_on: [first], with: {sql: "SELECT 2; SELECT 1 AS one"}}
"""
FAILING = """\
name: failing
defaults: {retry: {limit: 0, delay: 1s}}
steps:
  - {id: bad, job: RunSql, with: {sql: "SELECT * FROM missing_table"}}
  - {id: after, job: Fibonacci, depends_on: [bad], with: {n: 3}}
"""
HOURLY = """\
name: hourly
schedule: {cron: "0 * * * *", catchup: none}
steps:
  - {id: one, job: Fibonacci, with: {n: 3}}
"""


@pytest.fixture
def headrace(tmp_path: Path, database: str, redis_url: str) -> Headrace:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    for name, text in (("two", TWO_STEPS), ("failing", FAILING), ("hourly", HOURLY)):
        (folder / f"{name}.yaml").write_text(text)
    return Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})


def test_run_brings_its_own_worker_shows_progress_and_ends_0(headrace: Headrace):
    done = headrace("run", "two", "-p", "n=7")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].endswith("of two started")
    assert any("first" in line and "completed in" in line for line in lines)
    assert "completed: 2 steps in" in lines[-1]
    run = headrace("runs", "--json").json["items"][0]
    assert (run["pipeline"], run["status"], run["params"]) == ("two", "completed", {"n": 7})
    # Whatever it brought has ended with it.
    assert {row["status"] for row in headrace("workers", "--json").json["items"]} == {"stopped"}
    assert "no active daemon" in headrace("top").out


def test_top_prints_one_look_as_json_with_the_rows_of_the_listings_and_ends(headrace: Headrace):
    headrace("run", "two", "--detach")

    look = headrace("top", "--json").json

    assert list(look) == ["at", "leader", "queues", "workers", "runs"]
    assert (look["leader"], look["workers"]) == (None, [])
    for listing in ("queues", "runs"):
        assert look[listing] == headrace(listing, "--json").json["items"]


def test_a_failed_run_ends_1_with_its_error_and_can_be_retried(headrace: Headrace, database: str):
    done = headrace("run", "failing", "--json")
    assert done.code == 1
    run = done.json
    assert run["status"] == "failed"
    by_step = {job["step"]: job for job in run["jobs"]}
    assert (by_step["bad"]["status"], by_step["after"]["status"]) == ("failed", "skipped")

    shown = headrace("show", run["id"]).out
    assert "missing_table" in shown
    assert "Traceback (most recent call last)" in shown
    job = headrace("show", by_step["bad"]["id"], "--json").json
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["failed"]

    with contextlib.closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute("CREATE TABLE missing_table (n integer)")
    assert headrace("retry", run["id"]).code == 0
    # A second run brings the worker that does the first one's work as well.
    assert headrace("run", "two").code == 0
    again = headrace("show", run["id"], "--json").json
    assert [job["status"] for job in again["jobs"]] in (
        ["completed", "completed"],
        ["completed", "started"],
        ["completed", "queued"],
    )


def test_a_detached_run_waits_for_a_worker_and_can_be_cancelled(headrace: Headrace):
    done = headrace("run", "two", "--detach")
    assert done.code == 0
    run_id = done.out.strip()
    assert "No worker is running" in done.err
    assert headrace("queues", "--json").json["items"][1]["queued"] == 1
    assert headrace("jobs", "--status", "queued").out.count("Fibonacci") == 1
    assert headrace("cancel", run_id).out == f"run {run_id} is cancelled\n"
    again = headrace("cancel", run_id)
    assert again.code == 1
    assert "ended already" in again.err


def test_run_takes_the_worker_that_is_up(headrace: Headrace):
    with headrace.started("worker") as worker, headrace.started("daemon") as daemon:
        worker.wait_for("serving high, medium, low")
        daemon.wait_for("leading, term 1")
        give_up = deadline(10)
        while not headrace("workers", "--json").json["items"]:
            assert time.monotonic() < give_up
        assert headrace("run", "two").code == 0
        assert len(headrace("workers", "--json").json["items"]) == 1
        worker.stop(signal.SIGTERM)
        daemon.stop(signal.SIGTERM)
        assert (worker.process.returncode, daemon.process.returncode) == (0, 0)


def test_an_interrupted_run_ends_130_and_leaves_no_process(headrace: Headrace):
    (headrace.folder / "pipelines" / "slow.yaml").write_text(
        "name: slow\nsteps:\n  - {id: wait, job: SlowQuery, with: {duration: 30}}\n"
    )
    with headrace.started("run", "slow") as run:
        run.wait_for("started")
        tree = run.tree()
        assert tree
        os.killpg(run.process.pid, signal.SIGINT)
        assert run.process.wait(timeout=12) == 130
        assert "continues on any running worker" in run.output()
        assert not set(run.tree()) & set(tree)
    # The job was given back and costs nothing of its budget.
    job = headrace("jobs", "--json").json["items"][0]
    assert (job["status"], job["retry_count"]) == ("queued", 0)


def test_a_run_whose_set_up_fails_says_so_once_and_brings_no_process(headrace: Headrace):
    done = headrace("run", "tow")

    assert (done.code, done.out) == (1, "")
    assert done.err.count("tow") == len(done.err.splitlines()) == 1
    assert headrace("workers", "--json").json["items"] == []
    assert headrace("runs", "--json").json["items"] == []


def test_a_run_that_is_interrupted_in_its_set_up_ends_130(headrace: Headrace):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://headrace@127.0.0.1:{silent.getsockname()[1]}/etl"
        waiting = replace(headrace, environ={**headrace.environ, "DATABASE_URL": url})
        with waiting.started("run", "two") as run:
            asked, _ = silent.accept()
            with asked:
                run.stop(signal.SIGINT)
            assert run.process.returncode == 130, run.output()
            assert "Traceback" not in run.output()


def test_listings_are_tables_for_people_and_items_for_programs(headrace: Headrace):
    headrace("run", "two")
    for name in ("pipelines", "runs", "jobs", "schedules", "workers", "queues"):
        table, listed = headrace(name), headrace(name, "--json")
        assert table.code == listed.code == 0
        assert table.out.splitlines()[0].isupper()
        assert isinstance(listed.json["items"], list)
    names = [item["name"] for item in headrace("pipelines", "--json").json["items"]]
    assert names == ["failing", "hourly", "two"]
    assert headrace("runs", "--pipeline", "hourly").out == "No runs match.\n"
    assert headrace("runs", "--status", "compleed").code == 2
    assert len(headrace("jobs", "--limit", "1", "--json").json["items"]) == 1


def test_a_broken_file_is_told_of_and_hides_no_other(headrace: Headrace):
    (headrace.folder / "pipelines" / "broken.yaml").write_text("name: broken\n")
    done = headrace("pipelines")
    assert done.code == 0
    assert "two" in done.out
    assert "Not valid: pipelines/broken.yaml" in done.err
    refused = headrace("run", "broken")
    assert refused.code == 1
    assert "pipelines/broken.yaml:1:1" in refused.err


def test_logs_shows_what_a_run_said(headrace: Headrace):
    run_id = headrace("run", "two", "--json").json["id"]
    assert "second Running 2 statements of sql" in headrace("logs", run_id).out
    assert headrace("logs", "two").code == 1


def test_show_prints_a_pipeline_as_it_is_in_force(headrace: Headrace):
    shown = headrace("show", "hourly")
    assert 'cron: "0 * * * *"' in shown.out
    assert "- id: one" in shown.out
    assert headrace("show", "nothing").code == 1


def test_backfill_starts_one_run_an_instant_and_none_twice(headrace: Headrace):
    stretch = ("backfill", "hourly", "--from", "2026-01-01T00:00", "--to", "2026-01-01T05:00")
    planned = headrace(*stretch, "--dry-run", "--json").json["items"]
    assert len(planned) == 6
    assert headrace("runs", "--json").json["items"] == []
    started = headrace(*stretch, "--json").json["items"]
    assert len({run["id"] for run in started}) == 6
    assert headrace(*stretch, "--json").json["items"] == []
    assert headrace("backfill", "two", "--from", "2026-01-01", "--to", "2026-01-02").code == 1


def test_backfill_keeps_to_its_most_active_runs(headrace: Headrace):
    stretch = ("--from", "2026-01-01T00:00", "--to", "2026-01-01T02:00")
    with headrace.started_worker():
        done = headrace("backfill", "hourly", *stretch, "--max-active", "1", "--json")
    assert len(done.json["items"]) == 3
    spans = sorted(
        (run["started_at"], run["finished_at"])
        for run in headrace("runs", "--json").json["items"]
        if run["finished_at"]
    )
    assert len(spans) >= 2
    assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans))


def test_pause_and_resume_are_seen_in_the_listing(headrace: Headrace):
    assert headrace("pause", "hourly").code == 0
    assert headrace("schedules", "--json").json["items"][0]["paused"] is True
    assert headrace("resume", "hourly").code == 0
    assert headrace("schedules", "--json").json["items"][0]["paused"] is False
    assert headrace("pause", "hurly").code == 1


def test_pause_and_resume_say_to_programs_what_they_did(headrace: Headrace):
    queued = headrace("run", "two", "--detach", "--json").json["id"]
    kept = headrace("pause", "two", "--json").json
    assert kept == {"pipeline": "two", "paused": True, "queued": 0, "cancelled": []}
    assert headrace("resume", "two", "--json").json == {"pipeline": "two", "paused": False}
    assert headrace("show", queued, "--json").json["status"] == "running"


NOTHING = {"runs": 0, "jobs": 0, "logs": 0, "partial_files": 0, "audit": 0}


def test_prune_deletes_what_ended_and_leaves_nothing_of_it(headrace: Headrace, database: str):
    headrace("run", "two")
    headrace("run", "failing")
    waiting = headrace("run", "two", "--detach").out.strip()
    assert headrace("prune", "--older-than", "1d", "--json").json == NOTHING
    assert headrace("prune", "--json").json == NOTHING
    settings = headrace.folder / "config.yaml"
    settings.write_text("retention: null\n")
    assert headrace("prune").code == 2
    settings.unlink()
    assert headrace("prune", "--older-than", "soon").code == 2
    assert headrace("prune", "--older-than", "0s", "--json").json == {
        **NOTHING,
        "runs": 2,
        "jobs": 4,
    }
    assert [run["id"] for run in headrace("runs", "--json").json["items"]] == [waiting]
    with contextlib.closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM headrace.job_attempt),"
            " (SELECT count(*) FROM headrace.job_log),"
            " (SELECT count(*) FROM headrace.job_dependency)"
        )
        assert cursor.fetchone() == (0, 0, 1)


def test_logs_that_were_deleted_are_told_as_such(headrace: Headrace):
    run = headrace("run", "two", "--json").json["id"]
    assert "No log lines" not in headrace("logs", run).out
    short = replace(headrace, environ={**headrace.environ, "HEADRACE_LOG_RETENTION": "0s"})
    assert short("prune", "--json").json["logs"] >= 1
    assert headrace("logs", run).out.strip() == "No log lines."
    assert "deleted 0s after the end of a job (log_retention)" in short("logs", run).out


def test_prune_keeps_a_job_that_another_one_still_waits_for(headrace: Headrace, database: str):
    with contextlib.closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute(
            "INSERT INTO headrace.job (id, job_class, status, queue, timeout_s, retry, finished_at)"
            " SELECT gen_random_uuid(), 'Fibonacci', status, 'low', 1, '{}', ended"
            "   FROM (VALUES ('completed', now()), ('completed', now()), ('waiting', NULL))"
            "     AS job (status, ended)"
        )
        cursor.execute(
            "INSERT INTO headrace.job_dependency"
            " SELECT (SELECT id FROM headrace.job WHERE status = 'completed' LIMIT 1), id"
            "   FROM headrace.job WHERE status = 'waiting'"
        )
    assert headrace("prune", "--older-than", "0s", "--json").json == {**NOTHING, "jobs": 1}


def test_a_database_without_the_schema_is_told_so(
    tmp_path: Path, empty_database: str, redis_url: str
):
    (tmp_path / "pipelines").mkdir()
    headrace = Headrace(tmp_path, {"DATABASE_URL": empty_database, "REDIS_URL": redis_url})
    done = headrace("runs")
    assert done.code == 2
    assert "headrace db upgrade" in done.err
    assert headrace("db", "upgrade", "--check").code == 1
    assert headrace("db", "upgrade").code == 0
    assert headrace("runs").out == "No runs match.\n"
    assert headrace("db", "url").out.strip() == empty_database


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_every_command_finds_the_embedded_servers_running_or_not(tmp_path: Path):
    home = Headrace(tmp_path, {})
    assert home("init", "shop").code == 0
    shop = Headrace(tmp_path / "shop", {})
    assert shop("db", "url").err.startswith("The embedded servers are not running")
    assert shop("run", "hello", "-p", "greeting=Hi").code == 0
    assert len(shop("runs", "--json").json["items"]) == 1
    assert shop("db", "url").out.startswith("postgresql://")


def test_what_triggers_a_pipeline_is_shown_by_every_command(headrace: Headrace):
    (headrace.folder / "pipelines" / "after.yaml").write_text(
        "name: after\ntrigger: {pipelines: [two, failing], on: ended, window: 6h}\n"
        "steps:\n  - {id: only, job: Fibonacci, with: {n: 3}}\n"
    )
    (headrace.folder / "pipelines" / "refused.yaml").write_text(
        "name: refused\ntrigger: {pipelines: [two], with: {n: '{{ upstream.two.status }}'}}\n"
        "params: {n: {type: integer}}\nsteps:\n  - {id: only, job: Fibonacci, with: {n: 3}}\n"
    )
    text = "after two and failing ended within 6h"
    assert text in headrace("pipelines").out
    assert f"next {text}" in headrace("plan", "after").out
    assert headrace("plan", "after", "--json").json["trigger"]["pipelines"] == ["two", "failing"]
    assert text in headrace("schedules").out
    assert "pipelines: [two, failing]" in headrace("show", "after").out
    headrace("pause", "after")
    assert "paused" in headrace("schedules").out
    headrace("resume", "after")

    with headrace.started("up", "--no-web") as up:
        up.wait_for("leading")
        ids = [headrace("run", name, "--json").json["id"] for name in ("two", "failing")]
        give_up = deadline(20)
        while not (runs := headrace("runs", "--pipeline", "after", "--json").json["items"]):
            assert time.monotonic() < give_up, up.output()

    shown = headrace("show", runs[0]["id"])
    assert [
        f"after          {name} {one}" in shown.out
        for name, one in zip(("two", "failing"), ids, strict=True)
    ] == [True, True]
    upstream = headrace("show", runs[0]["id"], "--json").json["upstream"]
    assert [one["id"] for one in upstream] == ids
    told = headrace("pipelines").err
    assert f"refused was not started by run {ids[0]} of two" in told
    assert '"completed", not an integer' in told


def test_a_backfill_that_starts_nothing_prints_the_line_that_runs_the_present_plan(
    headrace: Headrace,
):
    stretch = ("backfill", "hourly", "--from", "2026-01-01T00:00", "--to", "2026-01-01T01:00")
    assert headrace(*stretch).code == 0

    again = headrace(*stretch)

    assert "0 runs were started." in again.out
    assert "  headrace run hourly --logical-date 2026-01-01T01:00:00+0" in again.out
