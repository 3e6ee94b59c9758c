"""What the language promises, as a user meets it: YAML, one `headrace up`, a worker."""

import json
import re
import shlex
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from headrace.store import embedded
from tests.integration.real_pipelines import PIPELINES
from tests.matrix.conftest import project, wait_ready
from tests.support.cli import Headrace
from tests.support.servers import embedded_servers
from tests.support.up import Up, jobs_of, statuses_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# What the pipelines write to, and what holds their steps back until a test lets them go on.
_SETUP = """
create table tidied (pipeline text, run text);
create table opened (gate text);
create table divisor (n int);
insert into divisor values (0);
create table taken (n int primary key);
insert into taken values (1);
create function wait_for(awaited text) returns void language plpgsql as $$
begin
  while not exists (select from opened where gate = awaited) loop
    perform pg_sleep(0.05);
  end loop;
end $$
"""


def write(headrace: Headrace, config: str, *names: str) -> None:
    (headrace.folder / "config.yaml").write_text(config, encoding="utf-8")
    for name in names:
        path = headrace.folder / "pipelines" / f"{name}.yaml"
        path.write_text(f"name: {name}\n{PIPELINES[name]}", encoding="utf-8")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("language")
    headrace = project(folder)
    write(headrace, "pools: {narrow: 2}\nshell_commands: true\n", *PIPELINES)
    with embedded_servers(folder / "home") as own:
        made = Up(headrace, own.database_url)
        made.query(_SETUP)
        said = headrace("validate")
        assert said.code == 0, said.out + said.err
        with headrace.started("up") as running:
            wait_ready(made.http, running)
            yield made
            running.stop()


def test_trigger_rules_see_a_failure_two_steps_up(up: Up) -> None:
    run = up.run("rules")

    assert run["status"] == "failed"
    statuses = statuses_of(run)
    assert statuses == {
        "off": "skipped", "bad": "failed", "middle": "skipped", "last": "skipped",
        "goes_on": "skipped", "warns": "completed", "always": "completed",
        "told": "completed", "any": "completed", "some": "skipped", "free": "completed",
    }  # fmt: skip
    jobs = jobs_of(run)
    assert {step: job["skip_reason"] for step, job in jobs.items() if job["skip_reason"]} == {
        "off": "condition",
        "middle": "upstream_failed",
        "last": "upstream_failed",
        "goes_on": "upstream_failed",
        "some": "condition",
    }


def test_nobody_is_told_of_a_failure_where_a_foreach_had_no_items(up: Up) -> None:
    run = up.run("nothing")

    assert run["status"] == "completed"
    assert statuses_of(run) == {"each": "completed", "page": "skipped", "after": "completed"}
    assert jobs_of(run)["page"]["skip_reason"] == "condition"


def test_a_cancelled_run_tidies_up_before_it_ends(up: Up) -> None:
    run_id = up.start("slow")
    up.wait_started(run_id, "load")

    up.http.ask(f"/runs/{run_id}/cancel", {})
    run = up.wait(run_id)

    assert run["status"] == "cancelled"
    assert statuses_of(run) == {
        "load": "cancelled", "after": "cancelled", "note": "cancelled", "tidy": "completed",
    }  # fmt: skip
    assert up.query("select count(*) from tidied where run = %s", run_id) == [(1,)]


def test_a_retried_run_tidies_up_again_and_is_told_how_to_run_the_present_plan(up: Up) -> None:
    run = up.run("divides", day="2026-07-01")
    assert run["status"] == "failed"
    assert statuses_of(run) == {"load": "failed", "cheer": "skipped", "tidy": "completed"}
    up.query("update divisor set n = 1")

    said = up.headrace("retry", run["id"])

    assert said.code == 0, said.err
    assert "It continues with the plan with which it was started." in said.out
    (line,) = re.findall(r"^  headrace (run divides --logical-date .*)$", said.out, re.MULTILINE)
    again = up.wait(run["id"])
    assert again["status"] == "completed"
    assert statuses_of(again) == {"load": "completed", "cheer": "completed", "tidy": "completed"}
    assert up.query("select count(*) from tidied where run = %s", run["id"]) == [(2,)]

    assert up.headrace(*shlex.split(line)).code == 0
    newest = up.http.ask("/runs?pipeline=divides")["items"][0]
    assert newest["id"] != run["id"]
    assert newest["params"] == run["params"] == {"day": "2026-07-01"}
    dates = {datetime.fromisoformat(one["logical_date"]) for one in (newest, run)}
    assert len(dates) == 1


def test_a_run_whose_place_is_taken_tidies_up_before_the_next_one_runs(up: Up) -> None:
    first = up.start("replaced")
    up.wait_started(first, "load")
    second = up.start("replaced", wait=0)

    after, before = up.wait(second), up.wait(first)

    assert before["status"] == "cancelled"
    assert jobs_of(before)["tidy"]["status"] == "completed"
    assert after["status"] == "completed"
    assert jobs_of(after)["load"]["started_at"] >= jobs_of(before)["tidy"]["finished_at"]


def test_a_handler_can_say_what_failed_and_why(up: Up) -> None:
    run = up.run("tells")

    (row,) = jobs_of(run)["note"]["result"]["rows"]
    assert row["steps"] == ["load"]
    assert row["run"] == run["id"]
    assert 'relation "nowhere" does not exist' in row["why"]
    assert jobs_of(run)["cheer"]["status"] == "skipped"


def test_a_number_keeps_its_digits_wherever_a_result_or_a_parameter_goes(up: Up) -> None:
    run = up.run("digits", given="76543210987654321.09")

    assert run["status"] == "completed", jobs_of(run)
    rows = "select step, result::text from headrace.job where run_id = %s order by step"
    said = dict(up.query(rows, run["id"]))
    assert said.keys() == {"each", "each[0]", "hands_on", "program", "read"}
    assert '[{"more": 12345678901234568.89}]' in said["each[0]"]
    assert '"12345678901234567.89 12345678901234567.89"' in said["program"]
    handed = json.loads(said["hands_on"], parse_float=str)["rows"][0]
    assert handed == {
        "given": "76543210987654321.09",
        "more": "12345678901234568.89",
        "j": {"n": "12345678901234567.89"},
        "n": "12345678901234567.89",
        "told": 'it is {"n": 12345678901234567.89}',
    }


@pytest.mark.parametrize(
    ("name", "said", "attempts"),
    [
        ("no_table", 'relation "nowhere" does not exist', 1),
        ("by_zero", "division by zero", 1),
        ("no_number", "invalid input syntax for type integer", 1),
        # A key that is taken may be free the next time: it speaks of other rows.
        ("taken_key", "duplicate key value", 2),
    ],
)
def test_an_error_that_lies_in_the_statement_fails_at_once(
    up: Up, name: str, said: str, attempts: int
) -> None:
    run = up.run(name)

    (job,) = run["jobs"]
    assert job["status"] == "failed"
    assert said in job["error"]
    assert job["attempt"] == attempts
    assert len(up.http.ask(f"/jobs/{job['id']}/attempts")["items"]) == attempts


def test_queued_runs_of_a_paused_pipeline_wait_until_it_is_resumed(up: Up) -> None:
    runs = [up.start("line", gate="resumed") for _ in range(3)]
    up.wait_started(runs[0], "only")
    assert [up.status(run) for run in runs] == ["running", "queued", "queued"]

    said = up.headrace("pause", "line")
    assert "Waiting for `headrace resume line`: 2 queued runs;" in said.out, said.err
    up.open("resumed")
    assert up.wait(runs[0])["status"] == "completed"
    up.run("plain")  # Were a place given away at the first one's end, this would come after it.
    assert [up.status(run) for run in runs[1:]] == ["queued", "queued"]

    assert up.headrace("resume", "line").code == 0
    assert [up.wait(run)["status"] for run in runs] == ["completed"] * 3


def test_a_pause_can_cancel_what_is_queued(up: Up) -> None:
    runs = [up.start("line", gate="emptied") for _ in range(3)]
    up.wait_started(runs[0], "only")

    said = up.headrace("pause", "line", "--cancel-queued")

    assert "Cancelled 2 queued runs." in said.out, said.err
    assert [up.status(run) for run in runs] == ["running", "cancelled", "cancelled"]
    up.open("emptied")
    assert up.wait(runs[0])["status"] == "completed"
    assert up.headrace("resume", "line").code == 0
    assert up.run("line", gate="emptied")["status"] == "completed"


def test_a_name_without_a_schema_never_means_a_table_of_headrace(up: Up) -> None:
    ((before,),) = up.query("select count(*) from headrace.run")

    run = up.run("names")

    statuses = statuses_of(run)
    assert statuses.pop("make") == "completed", jobs_of(run)["make"]["error"]
    assert statuses.pop("empty") == "completed", jobs_of(run)["empty"]["error"]
    assert set(statuses.values()) == {"failed"}
    for step in statuses:
        assert "does not exist" in jobs_of(run)[step]["error"]
    assert up.query("select n from public.job") == []
    assert up.query("select count(*) from headrace.run") == [(before + 1,)]


def test_schedules_tells_when_each_pipeline_is_due_while_a_daemon_leads(up: Up) -> None:
    rows = {row["pipeline"]: row for row in up.headrace("schedules", "--json").json["items"]}
    said = up.headrace("schedules")

    assert set(rows) == {"yearly"}
    assert rows["yearly"]["next_instant"].startswith("20")
    (line,) = (one for one in said.out.splitlines() if one.startswith("yearly"))
    assert "30 4 1 1 * Europe/Berlin" in line
    assert "-01-01 04:30" in line.replace("T", " ")
    assert " in " in line
    assert "No daemon is active" not in said.err


def test_a_job_tells_which_workers_are_new_enough_for_it(up: Up) -> None:
    run = up.run("asks")

    assert run["status"] == "completed"
    rows = up.query("select step, needs from headrace.job where run_id = %s", run["id"])
    assert dict(rows) == {
        "plain": None, "slots": 4, "both": 5, "rows": None, "each": 5, "each[0]": 5,
        "pooled": 4, "pooled[0]": 4, "bare": None, "bare[0]": None, "known[0]": 4,
    }  # fmt: skip


def test_a_job_that_ends_within_the_grace_completes_although_up_is_told_to_stop(
    tmp_path: Path,
) -> None:
    headrace = project(tmp_path)
    write(headrace, "grace: 12s\n", "eight")
    with embedded_servers(tmp_path / "home") as own:
        made = Up(headrace, own.database_url)
        with headrace.started("up", "--workers", "1") as running:
            wait_ready(made.http, running)
            run_id = made.start("eight")
            made.wait_started(run_id, "only")
            running.stop(signal.SIGTERM)
            assert running.process.returncode == 0, running.output()

    shown = headrace("show", run_id, "--json").json
    assert (shown["status"], shown["jobs"][0]["status"]) == ("completed", "completed")
    assert shown["jobs"][0]["attempt"] == 1


def test_schedules_tells_why_nothing_starts(tmp_path: Path) -> None:
    headrace = project(tmp_path)
    write(headrace, "", "yearly")
    with embedded.use(tmp_path / "home") as own:
        assert headrace("db", "upgrade").code == 0
        # As a daemon left it whose clock was a year ahead.
        Up(headrace, own.database_url).query(
            "insert into headrace.schedule (pipeline, paused, seen_until)"
            " values ('yearly', false, clock_timestamp() + interval '1 year')"
        )

        said = headrace("schedules")

    assert "No daemon is active: no runs start automatically until one is." in said.err
    assert "yearly is remembered as dealt with up to" in said.err
    assert "which is still to come: a clock was ahead" in said.err
