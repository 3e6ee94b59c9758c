"""What the routes answer, over a real database and Redis, with no worker up."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from headrace.engine.application import Headrace
from headrace.engine.catalog.active_definitions import InForce
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.scheduling.pipeline_triggers import PipelineTriggers
from headrace.queue.process import process_name
from tests.support.web import client_of, installation

JOB = {"job": "Fibonacci", "with": {"n": 3}}


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path) as found:
        yield found


@pytest.fixture
def client(headrace: Headrace) -> Iterator[TestClient]:
    with client_of(headrace) as found:
        yield found


# -- jobs -----------------------------------------------------------------------------


def test_create_jobs_dispatches_the_seeds_seven_jobs_on_their_three_queues(client: TestClient):
    answer = client.post("/create-jobs/")

    assert answer.status_code == 201
    assert answer.json()["next"] is None
    rows = answer.json()["items"]
    assert [(row["job_class"], row["queue"], row["status"]) for row in rows] == [
        ("PopulateRecords", "high", "queued"),
        ("SlowQuery", "medium", "queued"),
        ("DataAggregation", "medium", "waiting"),
        ("TruncateTable", "medium", "waiting"),
        ("DropTable", "low", "waiting"),
        ("Fibonacci", "low", "queued"),
        ("FailedJob", "low", "queued"),
    ]
    by_class = {row["job_class"]: row for row in rows}
    for job, upstream in (
        ("DataAggregation", "PopulateRecords"),
        ("TruncateTable", "DataAggregation"),
        ("DropTable", "TruncateTable"),
    ):
        shown = client.get(f"/jobs/{by_class[job]['id']}").json()
        assert shown["depends_on"] == [by_class[upstream]["id"]]


@pytest.mark.parametrize(
    ("script", "told"),
    [(None, "it has no users.sql"), ("CREATE TABLE shop.users (id int)", "does not create")],
)
def test_create_jobs_in_a_project_without_the_sets_own_script_dispatches_nothing_and_says_why(
    client: TestClient, headrace: Headrace, script: str | None, told: str
):
    path = headrace.settings.pipelines / "sql/users.sql"
    path.unlink()
    if script is not None:
        path.write_text(script)

    answer = client.post("/create-jobs/")

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert told in answer.json()["detail"]
    assert client.get("/jobs").json()["items"] == []


def test_job_status_and_jobs_answer_the_same_row(client: TestClient):
    made = client.post("/jobs", json=JOB).json()

    row = client.get(f"/job-status/{made['id']}").json()

    assert row == client.get(f"/jobs/{made['id']}").json()
    assert UUID(row["id"]).version == 7
    assert row["payload"] == {"n": 3}
    assert row["status"] == "queued"
    assert row["created_at"].endswith("+00:00")
    seed = {"result", "error", "traceback", "retry_count", "next_retry_time", "updated_at"}
    assert seed <= row.keys()


def test_a_job_is_dispatched_in_the_words_of_the_yaml(client: TestClient):
    first = client.post("/jobs", json=JOB).json()

    answer = client.post(
        "/jobs",
        json={
            **JOB,
            "queue": "low",
            "depends_on": [first["id"]],
            "retry": {"limit": 1, "delay": "5s"},
            "timeout": "2m",
        },
    )

    row = answer.json()
    assert answer.status_code == 201
    assert (row["queue"], row["status"], row["timeout_s"]) == ("low", "waiting", 120)
    assert (row["retry"]["limit"], row["retry"]["delay_s"]) == (1, 5)


def test_a_second_dispatch_with_one_idempotency_key_answers_the_first_job(client: TestClient):
    keyed = {**JOB, "idempotency_key": "once"}

    first, second = (client.post("/jobs", json=keyed).json()["id"] for _ in range(2))

    assert first == second
    assert len(client.get("/jobs").json()["items"]) == 1


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"job": "Fibonaci", "with": {"n": 3}}, "unknown-job", 'did you mean "Fibonacci"'),
        ({"job": "Fibonacci", "with": {}}, "invalid-with", '"n"'),
        ({"job": "Fibonacci", "with": {"n": "x"}}, "invalid-with", "a whole number"),
        ({"job": "Fibonacci", "with": {"n": 3, "m": 1}}, "invalid-with", '"m"'),
        ({**JOB, "queue": "hihg"}, "invalid-with", "hihg"),
        ({**JOB, "timeout": "soon"}, "invalid-with", "soon"),
        ({**JOB, "retry": {"tries": 3}}, "invalid-with", "tries"),
        ({**JOB, "depends_on": ["x"]}, "invalid-with", "depends_on"),
        ({**JOB, "que": "low"}, "invalid-request", "que"),
        ({"with": {}}, "invalid-request", "job"),
        ({**JOB, "idempotency_key": "a\0b"}, "invalid-request", "cannot be stored"),
        ({"job": "RunSql", "with": {"sql": "SELECT '\0'"}}, "invalid-request", "stored"),
        ([], "invalid-request", "body"),
    ],
)
def test_a_dispatch_that_does_not_fit_is_refused_with_its_reason(
    client: TestClient, body: object, code: str, words: str
):
    answer = client.post("/jobs", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert words in answer.json()["detail"]
    assert client.get("/jobs").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 422, "body.1: JSON decode error"),
        (b'{"job": "Fibonacci", "with": {"n": NaN}}', 422, "NaN and Infinity are not JSON numbers"),
        (b'{"job": "Fibonacci", "with": {"n": -Infinity}}', 422, "NaN and Infinity are not"),
        (b'{"job": "Fibonacci", "with": {"n": 1e99999999999999999999}}', 422, "Infinity are not"),
        (b'{"job": "Fibonacci", "with": {"n": 1e999}}', 422, "takes a whole number"),
        (b'{"job": "Fibonacci", "with": {"n": "\\ud800"}}', 422, "cannot be stored"),
        (b'{"job": "Fibonacci", "with": {"\\u0000": 1}}', 422, "cannot be stored"),
        (b"[" * 100_000, 400, "error parsing the body"),
        (b'{"job": "A", "with": ' + b'{"n": ' * 200 + b"1" + b"}" * 201, 422, "deeper than 64"),
        (
            b'{"job": "Fibonacci", "with": {"n": ' + b"9" * 10_000 + b"}}",
            422,
            "takes a whole number",
        ),
        (b"\xff\xfe", 422, "body.0: JSON decode error"),
    ],
)
def test_a_body_that_is_no_storable_json_is_refused_with_its_reason(
    client: TestClient, body: bytes, status: int, words: str
):
    answer = client.post("/jobs", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert client.get("/jobs").json()["items"] == []


@pytest.mark.parametrize("number", ["1.5", "-0.25", "1e-300", "0"])
def test_a_decimal_number_in_a_body_is_stored(client: TestClient, number: str):
    body = f'{{"job": "RunSql", "with": {{"sql": "select 1", "params": {{"n": {number}}}}}}}'

    made = client.post("/jobs", content=body, headers={"Content-Type": "application/json"})

    assert made.status_code == 201, made.text
    stored = client.get(f"/jobs/{made.json()['id']}").json()["payload"]["params"]["n"]
    assert stored == float(number)


def test_a_number_in_a_body_keeps_its_digits(client: TestClient):
    body = b'{"job": "RunSql", "with": {"sql": "select 1", "params": {"n": 12345678901234567.89}}}'

    made = client.post("/jobs", content=body, headers={"Content-Type": "application/json"})

    assert made.status_code == 201, made.text
    assert '"n":12345678901234567.89' in client.get(f"/jobs/{made.json()['id']}").text


def test_an_upstream_job_that_does_not_exist_answers_404(client: TestClient):
    answer = client.post("/jobs", json={**JOB, "depends_on": [str(uuid4())]})

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


# Written out: where tests run in several processes, each has to collect the same.
UNKNOWN_ID = "b093770c-5cf9-4906-a616-40e5cf5960ea"


@pytest.mark.parametrize("given", [UNKNOWN_ID, "x", "1", "%00", "../etc", "é"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/{}"),
        ("GET", "/job-status/{}"),
        ("GET", "/jobs/{}/attempts"),
        ("GET", "/jobs/{}/logs"),
        ("POST", "/jobs/{}/retry"),
        ("POST", "/jobs/{}/cancel"),
        ("GET", "/runs/{}"),
        ("GET", "/runs/{}/jobs"),
        ("GET", "/runs/{}/events"),
        ("POST", "/runs/{}/cancel"),
        ("POST", "/runs/{}/retry"),
    ],
)
def test_an_id_of_nothing_answers_404(client: TestClient, method: str, path: str, given: str):
    answer = client.request(method, path.format(given))

    assert answer.status_code == 404
    assert answer.json().keys() >= {"detail", "code"}


def test_jobs_are_listed_newest_first_page_by_page(client: TestClient):
    made = [client.post("/jobs", json=JOB).json()["id"] for _ in range(5)]

    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        listed = client.get("/jobs", params=query).json()
        seen.append([row["id"] for row in listed["items"]])
        cursor = listed["next"]
        if cursor is None:
            break

    made.reverse()
    assert seen == [made[:2], made[2:4], made[4:]]


def test_jobs_are_filtered_by_each_column(client: TestClient):
    client.post("/jobs", json={**JOB, "queue": "low"})
    cancelled = client.post("/jobs", json=JOB).json()["id"]
    client.post(f"/jobs/{cancelled}/cancel")
    client.post("/pipelines/plain/runs")

    def count(**query: str) -> int:
        return len(client.get("/jobs", params=query).json()["items"])

    assert count() == 3
    assert count(queue="low") == 1
    assert count(status="cancelled") == 1
    assert count(pipeline="plain") == 1
    assert count(job_class="Fibonacci") == 3
    assert count(job_class="FailedJob") == 0


@pytest.mark.parametrize(
    "query", ["status=done", "limit=0", "limit=1001", "limit=x", "cursor=x", "queue=%00"]
)
def test_a_listing_that_is_asked_for_wrongly_answers_422(client: TestClient, query: str):
    answer = client.get(f"/jobs?{query}")

    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["detail"]


def test_a_job_is_cancelled_and_retried_and_not_twice(client: TestClient):
    job_id = client.post("/jobs", json=JOB).json()["id"]

    assert client.post(f"/jobs/{job_id}/retry").status_code == 409
    assert client.post(f"/jobs/{job_id}/cancel").json()["status"] == "cancelled"
    refused = client.post(f"/jobs/{job_id}/cancel")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal-transition")
    assert client.post(f"/jobs/{job_id}/retry").json()["status"] == "queued"
    assert client.get(f"/jobs/{job_id}/attempts").json() == {"items": [], "next": None}
    assert client.get(f"/jobs/{job_id}/logs").json() == {"items": [], "next": None}


# -- pipelines ------------------------------------------------------------------------


def test_pipelines_come_in_pages_in_the_order_of_their_names(client: TestClient):
    first = client.get("/pipelines", params={"limit": 1}).json()
    rest = client.get("/pipelines", params={"limit": 1, "cursor": first["next"]}).json()

    assert [row["name"] for row in first["items"]] == ["chain"]
    assert ([row["name"] for row in rest["items"]], rest["next"]) == (["plain"], None)
    assert first["count"] == rest["count"] == 2
    assert client.get("/pipelines").json()["next"] is None


def test_pipelines_are_listed_with_the_problems_of_the_others(client: TestClient):
    run = client.post("/pipelines/plain/runs").json()

    listed = client.get("/pipelines").json()

    chain, plain = listed["items"]
    assert (chain["name"], chain["description"]) == ("chain", "Three steps, one after the other.")
    assert chain["schedules"][0]["cron"] == "0 * * * *"
    assert chain["next_instant"].endswith(":00:00+00:00")
    assert (chain["paused"], chain["last_run"]) == (False, None)
    assert (plain["next_instant"], plain["last_run"]["id"]) == (None, run["id"])
    problem = listed["problems"][0]
    assert problem["file"].endswith("broken.yaml")
    assert (problem["line"], problem["code"]) == (3, "unknown-job")


def test_an_edited_file_is_seen_at_the_next_request(client: TestClient, tmp_path: Path):
    client.get("/pipelines")
    (tmp_path / "pipelines" / "new.yaml").write_text(
        "name: new\nsteps:\n  - {id: only, job: Fibonacci, with: {n: 1}}\n"
    )

    assert client.get("/pipelines/new").json()["steps"][0]["with"] == {"n": 1}


def test_one_pipeline_is_shown_with_its_steps_and_next_instants(client: TestClient):
    shown = client.get("/pipelines/chain").json()

    assert [(step["id"], step["depends_on"]) for step in shown["steps"]] == [
        ("first", []),
        ("second", ["first"]),
        ("third", ["second"]),
    ]
    assert len(shown["next_instants"]) == 5
    assert shown["params"][0]["name"] == "n"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/pipelines/chian", None),
        ("POST", "/pipelines/chian/runs", None),
        ("POST", "/pipelines/chian/pause", None),
        ("POST", "/pipelines/chian/resume", None),
        ("POST", "/pipelines/chian/backfill", {"from": "2026-01-01", "to": "2026-01-02"}),
    ],
)
def test_an_unknown_pipeline_answers_404_with_a_suggestion(
    client: TestClient, method: str, path: str, body: object
):
    answer = client.request(method, path, json=body)

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-pipeline")
    assert "chain" in answer.json()["detail"]


def test_a_run_of_a_broken_file_answers_its_problems(client: TestClient):
    answer = client.post("/pipelines/broken/runs")

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [item["code"] for item in answer.json()["items"]] == ["unknown-job"]


def test_params_that_do_not_fit_answer_422(client: TestClient):
    answer = client.post("/pipelines/chain/runs", json={"params": {"n": "many"}})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-params")
    assert client.get("/runs").json()["items"] == []


def test_pause_and_resume_show_in_the_pipeline(client: TestClient):
    assert client.post("/pipelines/chain/pause").json()["paused"] is True
    assert client.get("/pipelines/chain").json()["paused"] is True
    assert client.post("/pipelines/chain/resume").json()["paused"] is False


# -- runs -----------------------------------------------------------------------------


def test_a_run_is_started_shown_cancelled_and_retried(client: TestClient):
    answer = client.post("/pipelines/chain/runs", json={"params": {"n": 9}})
    run = answer.json()
    assert answer.status_code == 201
    assert (run["pipeline"], run["status"], run["trigger"]) == ("chain", "running", "api")
    assert run["params"] == {"n": 9}

    shown = client.get(f"/runs/{run['id']}").json()
    first, second, third = shown["jobs"]
    assert [job["step"] for job in shown["jobs"]] == ["first", "second", "third"]
    assert first["payload"] == {"n": 9}
    assert (first["depends_on"], second["depends_on"]) == ([], [first["id"]])
    assert third["depends_on"] == [second["id"]]
    assert client.get(f"/jobs/{second['id']}").json()["upstream"] == [
        {"upstream_id": first["id"], "step": "first", "job_class": "Fibonacci", "status": "queued"}
    ]

    assert client.post(f"/runs/{run['id']}/cancel").json()["status"] == "cancelled"
    assert client.post(f"/runs/{run['id']}/cancel").status_code == 409
    assert client.post(f"/runs/{run['id']}/retry").json()["status"] == "running"
    assert client.post(f"/runs/{run['id']}/retry").status_code == 409


def test_runs_are_listed_and_filtered(client: TestClient):
    for name in ("plain", "chain", "chain"):
        client.post(f"/pipelines/{name}/runs")

    listed = client.get("/runs", params={"limit": 2}).json()

    assert [run["pipeline"] for run in listed["items"]] == ["chain", "chain"]
    rest = client.get("/runs", params={"cursor": listed["next"]}).json()
    assert ([run["pipeline"] for run in rest["items"]], rest["next"]) == (["plain"], None)
    assert len(client.get("/runs?pipeline=chain&status=running").json()["items"]) == 2
    assert client.get("/runs?status=failed").json()["items"] == []


# -- health, metrics, pages -----------------------------------------------------------


def test_live_and_ready_answer_200_where_all_is_there(client: TestClient):
    assert client.get("/health/live").json() == {"status": "live"}
    ready = client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert (ready.json()["leader"], ready.json()["workers"]) == (False, 0)


def test_a_leader_that_is_late_is_told_and_keeps_nobody_from_being_served(
    client: TestClient, headrace: Headrace
):
    headrace.database.rows("acquire_lease", holder="elsewhere.1.1", lease_s=-1)

    ready = client.get("/health/ready")

    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["leader"] == "late"
    assert "headrace_leader 0.0" in client.get("/metrics").text


def test_a_database_that_is_not_migrated_is_not_ready(
    empty_database: str, redis_url: str, tmp_path: Path
):
    with (
        installation(empty_database, redis_url, tmp_path) as found,
        client_of(found) as client,
    ):
        answer = client.get("/health/ready")
        assert answer.status_code == 503
        assert "headrace db upgrade" in answer.json()["missing"]["schema"]


def test_metrics_count_what_is_open(client: TestClient):
    client.post("/create-jobs/")
    client.post("/pipelines/chain/runs")
    cancelled = client.post("/jobs", json={**JOB, "queue": "low"}).json()["id"]
    client.post(f"/jobs/{cancelled}/cancel")
    client.post("/pipelines/chain/pause")

    answer = client.get("/metrics")

    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert all(line.startswith("headrace_") for line in lines)
    for line in (
        'headrace_jobs{queue="low",status="queued"} 2.0',
        'headrace_jobs{queue="medium",status="waiting"} 2.0',
        'headrace_runs{status="running"} 1.0',
        'headrace_schedule_paused{pipeline="chain"} 1.0',
        'headrace_schedule_overdue_seconds{pipeline="chain"} 0.0',
        'headrace_schedule_skipped_total{pipeline="chain"} 0.0',
        "headrace_schedule_lag_seconds_count 0.0",
        'headrace_workers{status="running"} 0.0',
        "headrace_leader 0.0",
        'headrace_up{server="postgresql"} 1.0',
        'headrace_up{server="redis"} 1.0',
    ):
        assert line in lines


def test_the_pages_and_all_they_name_are_served(client: TestClient):
    for page in ("/", "/docs"):
        text = client.get(page).text
        named = {part.split('"')[0] for part in text.split('src="')[1:]}
        named |= {part.split('"')[0] for part in text.split('href="/')[1:]}
        assert named
        for path in named:
            assert client.get(path if path.startswith("/") else f"/{path}").status_code == 200
    assert "SwaggerUIBundle" in client.get("/swagger/swagger-ui-bundle.js").text


def test_the_openapi_description_has_every_route_of_the_api(client: TestClient):
    paths = client.get("/openapi.json").json()["paths"]

    assert set(paths) == {
        "/create-jobs/",
        "/job-status/{job_id}",
        "/jobs",
        "/jobs/{job_id}",
        "/jobs/{job_id}/retry",
        "/jobs/{job_id}/cancel",
        "/jobs/{job_id}/attempts",
        "/jobs/{job_id}/logs",
        "/pipelines",
        "/pipelines/{name}",
        "/pipelines/{name}/runs",
        "/pipelines/{name}/pause",
        "/pipelines/{name}/resume",
        "/pipelines/{name}/backfill",
        "/runs",
        "/runs/{run_id}",
        "/runs/{run_id}/jobs",
        "/runs/{run_id}/events",
        "/runs/{run_id}/cancel",
        "/runs/{run_id}/retry",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/audit",
        "/whoami",
    }


def test_an_unknown_path_or_method_answers_json(client: TestClient):
    assert client.get("/nothing").json()["code"] == "not-found"
    assert client.delete("/jobs").json()["code"] == "method-not-allowed"


def test_a_pipelines_trigger_is_answered_with_what_became_of_the_runs(
    client: TestClient, headrace: Headrace
):
    folder = headrace.settings.pipelines
    steps = "steps:\n  - {id: only, job: Fibonacci, with: {n: 3}}\n"
    (folder / "load.yaml").write_text(f"name: load\n{steps}")
    (folder / "after.yaml").write_text(
        f"name: after\ntrigger: {{pipelines: [load], on: ended, with: {{}}}}\n{steps}"
    )
    headrace.pipelines.refresh()
    leader = headrace.database.row("acquire_lease", holder="test", lease_s=60)
    assert leader is not None
    triggers = PipelineTriggers(
        headrace.database, headrace.dispatcher, headrace.pipelines, headrace.planner, lambda: 0.0
    )
    triggers.refresh(leader["term"])
    load = client.post("/pipelines/load/runs").json()
    client.post(f"/runs/{load['id']}/cancel")

    assert triggers.tick(leader["term"]) == 1

    shown = client.get("/pipelines/after").json()
    assert shown["trigger"] == {
        "pipelines": ["load"],
        "window_s": 86400.0,
        "on": "ended",
        "with": {},
        "text": "after load ended",
    }
    (used,) = shown["triggered"]
    assert (used["upstream"], used["upstream_run"], used["outcome"]) == (
        "load",
        load["id"],
        "started",
    )
    run = client.get(f"/runs/{used['run_id']}").json()
    assert (run["trigger"], [one["id"] for one in run["upstream"]]) == ("pipeline", [load["id"]])
    listed = {row["name"]: row["trigger"] for row in client.get("/pipelines").json()["items"]}
    assert listed["load"] is None
    assert listed["after"]["text"] == "after load ended"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("/runs?piepline=x", 'did you mean "pipeline"?'),
        ("/pipelines/plain?limit=3", "no parameters"),
    ],
)
def test_a_query_parameter_that_nobody_knows_is_refused(client: TestClient, query: str, told: str):
    answer = client.get(query)

    assert answer.status_code == 422
    assert told in answer.json()["detail"]


def test_readiness_counts_no_dead_leader_and_no_dead_worker(client: TestClient, headrace: Headrace):
    database = headrace.database
    ended = subprocess.Popen(["true"])
    ended.wait()
    alive = process_name()
    host, pid, mark = alive.rsplit(".", 2)
    assert pid == str(os.getpid())
    for name in (alive, f"{host}.{ended.pid}.{mark}"):
        database.rows(
            "register_worker",
            name=name,
            hostname=socket.gethostname(),
            pid=int(name.rsplit(".", 2)[1]),
            birth_ticks=0,
            queues=["medium"],
            processes=1,
            job_files="",
        )
    database.rows("acquire_lease", holder=alive, lease_s=60)
    ready = client.get("/health/ready").json()
    assert (ready["leader"], ready["workers"]) == (True, 1)

    database.rows("give_up_lease", holder=alive)
    database.rows("acquire_lease", holder=f"{host}.{ended.pid}.{mark}", lease_s=60)
    assert client.get("/health/ready").json()["leader"] is False


def test_a_broken_pipeline_that_the_daemon_keeps_in_force_is_shown_and_can_be_paused(
    headrace: Headrace, client: TestClient
):
    leader = headrace.database.row("acquire_lease", holder="test", lease_s=60)
    assert leader is not None
    InForce(headrace.database).keep(headrace.pipelines.by_name, leader["term"])
    (headrace.settings.pipelines / "chain.yaml").write_text("name: chain\nsteps: [}\n")
    headrace.pipelines = Pipelines(headrace.settings, headrace.registry)  # As after a restart.

    shown = client.get("/pipelines/chain")
    listed = client.get("/pipelines").json()
    paused = client.post("/pipelines/chain/pause")
    resumed = client.post("/pipelines/chain/resume")
    started = client.post("/pipelines/chain/runs")

    assert shown.status_code == 200
    assert shown.json()["broken"] is True
    assert {one["file"] for one in shown.json()["problems"]} == {shown.json()["file"]}
    assert {row["name"]: row["broken"] for row in listed["items"]} == {
        "chain": True,
        "plain": False,
    }
    assert (paused.status_code, paused.json()["paused"]) == (200, True)
    assert (resumed.status_code, resumed.json()["paused"]) == (200, False)
    assert started.status_code == 201


def test_a_second_request_with_one_idempotency_key_makes_nothing_new(client: TestClient):
    key = {"Idempotency-Key": "order 7"}
    jobs = [client.post("/jobs", json={"job": "Fibonacci", "with": {"n": 1}}, headers=key)
            for _ in range(2)]  # fmt: skip
    assert [one.status_code for one in jobs] == [201, 201]
    assert jobs[0].json()["id"] == jobs[1].json()["id"]

    runs = [client.post("/pipelines/plain/runs", headers=key) for _ in range(2)]
    other = client.post("/pipelines/plain/runs", headers={"Idempotency-Key": "order 8"})
    assert [one.status_code for one in (*runs, other)] == [201] * 3, runs[0].text
    assert runs[0].json()["id"] == runs[1].json()["id"]
    assert runs[0].json()["idempotency_key"] == "order 7"
    assert other.json()["id"] != runs[0].json()["id"]
    for unusable in ("", "a\x00b"):
        refused = client.post("/pipelines/plain/runs", headers={"Idempotency-Key": unusable})
        assert refused.status_code == 422


def test_head_answers_as_get_does_without_the_body(client: TestClient):
    for path in ("/runs", "/health/live", "/health/ready", "/metrics", "/", "/no-such-page"):
        asked, told = client.head(path), client.get(path)
        assert (asked.status_code, asked.content) == (told.status_code, b""), path
        assert asked.headers["content-type"] == told.headers["content-type"]


def test_the_functions_of_a_generated_client_have_names_of_their_own(client: TestClient):
    paths = client.get("/openapi.json").json()["paths"]
    named = [one["operationId"] for path in paths.values() for one in path.values()]

    assert len(set(named)) == len(named)
    assert {"dispatch_job", "cancel_job", "cancel_run", "start_run", "pause_pipeline"} <= set(named)
    told = paths["/metrics"]["get"]["responses"]["200"]["content"]
    assert list(told) == ["text/plain"]
