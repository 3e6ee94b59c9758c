"""Counters and histograms as Prometheus meets them: YAML, one `headrace up`, events, `/metrics`.

Each test makes something happen and reads the number that tells of it.
"""

import gzip
import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from headrace.observe.metric_list import METRICS
from tests.matrix.conftest import project, wait_ready
from tests.support.processes import deadline, wait_until
from tests.support.servers import embedded_servers
from tests.support.telemetry import Receiver, receiving
from tests.support.up import Up, statuses_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_LIMIT_S = 30.0
_DIES = """
import os, signal
from headrace import BaseJob

class DiesOnce(BaseJob):
    def __init__(self, mark: str, **kwargs):
        self.mark = mark

    def handle(self):
        if not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
"""
_CONFIG = """workers: 2
log_format: json
telemetry: {{opentelemetry: {{endpoint: "{0}"}}, openlineage: {{url: "{0}"}}}}
"""
_PIPELINES = {
    "fine": """steps:
  - {id: first, job: Fibonacci, with: {n: 5}}
  - {id: off, job: Fibonacci, with: {n: 5}, depends_on: [first], when: "{{ false }}"}
  - {id: slow, job: SlowQuery, with: {duration: 0.6}, depends_on: [first]}
""",
    "bad": "steps:\n  - {id: only, job: FailedJob, retry: {limit: 1, delay: 0s}}\n",
    "dies": "steps:\n  - {id: only, job: DiesOnce, with: {mark: MARK}}\n",
    "long": "steps:\n  - {id: only, job: SlowQuery, with: {duration: 60}}\n",
    "often": "schedule: {interval: 1s}\nsteps:\n  - {id: only, job: Fibonacci, with: {n: 5}}\n",
    "never": "steps:\n  - {id: only, job: Fibonacci, with: {n: 5}}\n",
}


def scraped(up: Up, **headers: str) -> tuple[str, Mapping[str, str]]:
    asked = urllib.request.Request(f"{up.http.address}/metrics", headers=headers)
    with urllib.request.urlopen(asked, timeout=10) as answer:
        body = answer.read()
        told = {name.lower(): value for name, value in answer.headers.items()}
    if told.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    return body.decode(), told


def samples(up: Up) -> dict[str, float]:
    return {
        f"{one.name}{json.dumps(one.labels, sort_keys=True)}" if one.labels else one.name: one.value
        for family in families(scraped(up)[0])
        for one in family.samples
    }


def name(family: str, **labels: str) -> str:
    return (
        f"headrace_{family}{json.dumps(labels, sort_keys=True)}" if labels else f"headrace_{family}"
    )


def wait_for(up: Up, meets: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    give_up = deadline(_LIMIT_S)
    while not meets(found := samples(up)):
        assert time.monotonic() < give_up, found
        time.sleep(0.2)
    return found


def grown(up: Up, before: Mapping[str, float], family: str, by: float, **labels: str) -> None:
    """Wait until a number has grown by this, and not more."""
    key = name(family, **labels)
    found = wait_for(up, lambda now: now[key] >= before.get(key, 0) + by)
    assert found[key] == before.get(key, 0) + by


def _check_log(text: str) -> None:
    """Each line of each process is one JSON object; those about a job say which."""
    entries = [json.loads(line) for line in text.splitlines()]
    roles = {entry["role"].split()[0] for entry in entries}
    assert roles >= {"daemon", "worker", "web"}, roles
    (failed, *_) = (one for one in entries if one.get("pipeline") == "bad" and "attempt" in one)
    assert {"job_id", "run_id", "pipeline", "step", "attempt"} <= failed.keys()
    assert (failed["step"], failed["attempt"]) == ("only", 1)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("metrics")
    headrace = project(folder)
    (folder / "jobs").mkdir()
    (folder / "jobs" / "dies_once.py").write_text(_DIES)
    (folder / "config.yaml").write_text(_CONFIG.format(receiver.url))
    for one, steps in _PIPELINES.items():
        text = f"name: {one}\n{steps}".replace("MARK", str(folder / "mark"))
        (folder / "pipelines" / f"{one}.yaml").write_text(text)
    with embedded_servers(folder / "home") as own:
        made = Up(headrace, own.database_url)
        with headrace.started("up") as running:
            wait_ready(made.http, running)
            wait_for(made, lambda now: name("schedule_paused", pipeline="never") in now)
            made.run("bad")  # `_check_log` has a failure then, whichever tests run
            wait_for(made, lambda now: now.get(name("job_retries_total"), 0) >= 1)
            yield made
            running.stop()
            _check_log(running.output())


def test_each_declared_pipeline_has_its_counters_at_0(up: Up) -> None:
    found = samples(up)

    for family in ("jobs_finished_total", "runs_finished_total"):
        for status in ("completed", "failed", "cancelled", "skipped"):
            assert found[name(family, pipeline="never", status=status)] == 0
    assert found[name("schedule_skipped_total", pipeline="never")] == 0
    assert found[name("schedule_overdue_seconds", pipeline="never")] == 0


def test_ended_jobs_and_runs_are_counted_by_pipeline_and_status(up: Up) -> None:
    before = samples(up)
    up.run("fine")
    up.run("fine")

    grown(up, before, "runs_finished_total", 2, pipeline="fine", status="completed")
    grown(up, before, "jobs_finished_total", 4, pipeline="fine", status="completed")
    grown(up, before, "jobs_finished_total", 2, pipeline="fine", status="skipped")


def test_a_failure_and_its_retry_are_counted(up: Up) -> None:
    before = samples(up)
    assert up.run("bad")["status"] == "failed"

    grown(up, before, "runs_finished_total", 1, pipeline="bad", status="failed")
    grown(up, before, "jobs_finished_total", 1, pipeline="bad", status="failed")
    grown(up, before, "job_retries_total", 1)


def test_a_cancelled_run_is_counted(up: Up) -> None:
    before = samples(up)
    run = up.start("long")
    up.wait_started(run, "only")
    assert samples(up)[name("runs", status="running")] >= 1
    assert samples(up)[name("jobs", queue="medium", status="started")] >= 1
    up.http.ask(f"/runs/{run}/cancel", {})

    grown(up, before, "runs_finished_total", 1, pipeline="long", status="cancelled")
    grown(up, before, "jobs_finished_total", 1, pipeline="long", status="cancelled")


def test_a_job_that_works_for_long_in_the_control_database_holds_up_no_counting(up: Up) -> None:
    run = up.start("long")
    up.wait_started(run, "only")
    before = samples(up)
    up.run("fine")
    grown(up, before, "runs_finished_total", 1, pipeline="fine", status="completed")
    assert up.status(run) == "running"
    before = samples(up)
    up.http.ask(f"/runs/{run}/cancel", {})
    # Counted now, it is not counted in another test.
    grown(up, before, "runs_finished_total", 1, pipeline="long", status="cancelled")
    grown(up, before, "jobs_finished_total", 1, pipeline="long", status="cancelled")


def test_a_crash_and_the_recovery_from_it_are_counted(up: Up) -> None:
    before = samples(up)
    run = up.run("dies")
    assert statuses_of(run) == {"only": "completed"}, run["jobs"]

    grown(up, before, "worker_crashes_total", 1)
    grown(up, before, "recoveries_total", 1)


def test_durations_and_waits_are_observed(up: Up) -> None:
    up.query("update headrace.schedule set paused = true where pipeline = 'often'")
    before = wait_for(up, lambda now: now[name("totals_age_seconds")] == 0)
    up.run("fine")
    found = wait_for(
        up,
        lambda now: (
            now[name("run_duration_seconds_count")] > before[name("run_duration_seconds_count")]
        ),
    )
    up.query(
        "update headrace.schedule set paused = false, seen_until = now() where pipeline = 'often'"
    )

    for family, ends in (("job_duration", 2), ("run_duration", 1), ("queue_wait", 2)):
        key = name(f"{family}_seconds_count")
        assert found[key] - before[key] >= ends
    key = name("job_duration_seconds_bucket", le="0.5")
    assert found[name("job_duration_seconds_count")] > found[key]
    assert found[name("job_duration_seconds_sum")] - before[name("job_duration_seconds_sum")] >= 0.6


def test_the_lag_of_schedules_is_observed_and_what_a_pause_skips_is_counted(up: Up) -> None:
    before = samples(up)
    count = name("schedule_lag_seconds_count")
    found = wait_for(up, lambda now: now[count] >= before[count] + 2)
    assert found[name("schedule_lag_seconds_sum")] >= 0

    assert up.headrace("pause", "often").code == 0
    skipped = name("schedule_skipped_total", pipeline="often")
    found = wait_for(up, lambda now: now[skipped] > before[skipped])
    assert found[name("schedule_paused", pipeline="often")] == 1
    assert up.headrace("resume", "often").code == 0
    wait_for(up, lambda now: now[name("schedule_paused", pipeline="often")] == 0)


def test_the_leader_is_a_gauge_and_a_second_daemon_counts_nothing_twice(up: Up) -> None:
    with up.headrace.started("daemon") as second:
        second.wait_for("on standby")
        before = samples(up)
        assert before[name("leader")] == 1
        up.run("fine")
        grown(up, before, "runs_finished_total", 1, pipeline="fine", status="completed")


def test_totals_survive_pruning(up: Up) -> None:
    assert up.headrace("pause", "often").code == 0
    up.run("fine")
    wait_for(
        up,
        lambda now: (
            now[name("totals_age_seconds")] == 0 and now[name("runs", status="running")] == 0
        ),
    )
    before = {key: value for key, value in samples(up).items() if "_total" in key}

    assert up.headrace("prune", "--older-than", "0s").code == 0

    assert up.query("select count(*) from headrace.run where pipeline = 'fine'") == [(0,)]
    after = samples(up)
    kept = [key for key in before if "skipped_total" not in key]
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert up.headrace("resume", "often").code == 0


def test_each_metric_that_is_documented_is_there_in_both_formats(up: Up) -> None:
    plain, told = scraped(up)
    opened, open_told = scraped(
        up, Accept="application/openmetrics-text; version=1.0.0", **{"Accept-Encoding": "gzip"}
    )

    assert told["content-type"].startswith("text/plain; version=0.0.4")
    assert open_told["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_told["content-encoding"] == "gzip"
    assert opened.endswith("# EOF\n")
    for read, text in ((families, plain), (open_families, opened)):
        kinds = {one.name: one.type for one in read(text)}
        assert kinds == {f"headrace_{one.name}": one.kind for one in METRICS.values()}


def test_ended_runs_are_sent_as_traces_and_lineage_though_the_receiver_was_away(
    up: Up, receiver: Receiver
) -> None:
    receiver.status = 503
    run = up.run("bad")
    assert run["status"] == "failed"
    wait_until(lambda: receiver.refused, limit_s=30, what="a refusal")
    receiver.status = 200

    wait_until(lambda: receiver.of_run(run["id"]), limit_s=60, what="the trace")
    wait_until(lambda: len(receiver.about(run["id"])) == 4, limit_s=60, what="the events")
    assert set(receiver.of_run(run["id"])) == {"bad", "only", "attempt 1", "attempt 2"}
    told = [(one["job"]["name"], one["eventType"]) for one in receiver.about(run["id"])]
    assert told == [("bad", "START"), ("bad.only", "START"), ("bad.only", "FAIL"), ("bad", "FAIL")]
