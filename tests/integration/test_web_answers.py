"""What answers hold beside their rows: headers, keys, the trail's row, and what ends a session."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from headrace.engine.application import Headrace
from headrace.model.version import __version__
from headrace.store.embedded.home import token_of
from tests.support.web import client_of, installation, served

JOB = {"job": "Fibonacci", "with": {"n": 3}}


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path) as found:
        yield found


@pytest.fixture
def client(headrace: Headrace) -> Iterator[TestClient]:
    with client_of(headrace) as found:
        yield found


def test_the_trail_has_what_came_of_a_change_as_soon_as_that_is_answered(client: TestClient):
    for path in ("/pipelines/plain/pause", "/pipelines/plian/pause"):
        client.post(path)

    items = client.get("/audit").json()["items"]

    assert [(row["outcome"], row["status"]) for row in items] == [("failed", 404), ("done", 200)]


def test_a_run_stands_for_the_date_that_is_asked_for(client: TestClient):
    given = {"logical_date": "2026-01-02T03:00"}

    run = client.post("/pipelines/plain/runs", json=given).json()

    assert run["logical_date"] == "2026-01-02T03:00:00+00:00"
    dry = {"from": "2026-01-01", "to": "2026-01-01", "dry_run": True}
    planned = client.post("/pipelines/chain/backfill", json=dry).json()["items"]
    assert len(planned) == 24
    assert len(client.get("/runs").json()["items"]) == 1
    assert [row["concerns"] for row in client.get("/audit").json()["items"]] == [
        None, f"run {run['id']}",
    ]  # fmt: skip


def test_a_key_in_the_body_goes_before_that_of_the_header(client: TestClient):
    def made(header: str | None, **body: str) -> str:
        headers = {} if header is None else {"Idempotency-Key": header}
        answer = client.post("/jobs", json={**JOB, **body}, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    first = made("a")
    assert made("b", idempotency_key="a") == made(None, idempotency_key="a") == first
    assert made("a", idempotency_key="b") != first
    assert made("k" * 200) == made("k" * 200)
    long = client.post("/jobs", json=JOB, headers={"Idempotency-Key": "k" * 201})
    assert long.status_code == 422


def test_one_pipeline_is_shown_with_its_handlers_its_bounds_and_its_problems(
    client: TestClient, headrace: Headrace
):
    (headrace.settings.pipelines / "bounded.yaml").write_text(
        "name: bounded\nconcurrency: {limit: 2}\n"
        "steps: [{id: a, job: Fibonacci, with: {n: 1}}]\n"
        "handlers: {failure: [{id: b, job: Fibonacci, with: {n: 2}}]}\n"
    )

    answer = client.get("/pipelines/bounded")
    assert answer.status_code == 200, answer.text
    shown = answer.json()

    assert (shown["concurrency"]["limit"], shown["problems"], shown["triggered"]) == (2, [], [])
    assert [(one["id"], one["with"]) for one in shown["handlers"]] == [("b", {"n": 2})]
    assert (shown["next_instant"], shown["next_instants"]) == (None, [])
    assert (shown["skipped"], shown["paused"], shown["broken"]) == (0, False, False)


def test_a_listing_has_fifty_entries_unless_more_are_asked_for(client: TestClient):
    paths = client.get("/openapi.json").json()["paths"]
    defaults = {
        path: one["schema"].get("default")
        for path, methods in paths.items()
        for one in methods.get("get", {}).get("parameters", ())
        if one["name"] == "limit"
    }
    assert defaults.items() >= dict.fromkeys(("/runs", "/jobs", "/pipelines", "/audit"), 50).items()


def test_what_the_page_s_documentation_may_do_is_only_a_little_more(client: TestClient):
    policies = {
        path: client.get(path).headers["Content-Security-Policy"] for path in ("/", "/docs")
    }

    assert "style-src 'self';" in policies["/"]
    assert policies["/docs"] == policies["/"].replace(
        "style-src 'self'", "style-src 'self' 'unsafe-inline'"
    )
    headers = client.get("/").headers
    for name, value in (
        ("X-Frame-Options", "DENY"), ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    ):  # fmt: skip
        assert headers[name] == value
    info = client.get("/openapi.json").json()["info"]
    assert info == {
        "title": "Headrace", "version": __version__,
        "summary": "A declarative ETL runner: YAML pipelines on RQ queues.",
    }  # fmt: skip


def test_metrics_are_packed_where_that_is_asked_for_and_caches_are_told(client: TestClient):
    plain = client.get("/metrics", headers={"Accept-Encoding": "identity"})
    with client.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as packed:
        body = gzip.decompress(b"".join(packed.iter_raw()))

    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept, Accept-Encoding"
    assert "Content-Encoding" not in plain.headers
    assert body.decode().startswith("# HELP headrace_")


def test_a_worker_is_alive_while_it_was_heard_of_in_the_last_seconds(
    client: TestClient, headrace: Headrace
):
    for number, (status, ago) in enumerate(
        (("running", "1 s"), ("draining", "1 s"), ("stopped", "1 s"), ("running", "1 hour"),
         ("running", "-1 hour"))
    ):  # fmt: skip
        with headrace.database.transaction() as tx:
            tx.connection.exec_driver_sql(
                "INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes,"
                " status, job_files, seen_at) VALUES (%s, 'elsewhere', 1, 1, '{low}', 1, %s, '',"
                " clock_timestamp() - %s::interval)",
                (f"elsewhere.{number}.1", status, ago),
            )

    assert client.get("/health/ready").json()["workers"] == 2


def test_signing_in_with_too_much_of_a_form_or_with_an_old_cookie(
    client: TestClient, headrace: Headrace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("headrace.web.signed_in._WRONG_TOKEN_PAUSE_S", 0.0)
    token = token_of(headrace.settings.home)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    known: Any = {"headers": form, "follow_redirects": False}

    many = "&".join(["a=1"] * 9)
    assert client.post("/sign-in", content=f"token={token}&{many}", **known).status_code == 401
    padded = client.post("/sign-in", content=f"token=%20{token}%20&a=1", **known)
    assert padded.status_code == 303
    client.headers.pop("Authorization")
    assert client.get("/whoami").json()["via"] == "session"
    with headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE headrace.session SET ends_at = clock_timestamp()")
    # Who comes with a session that is over may sign in all the same, and out.
    assert client.get("/sign-in").status_code == 200
    assert client.post("/sign-out", **known).status_code == 303
    again = client.post("/sign-in", content=f"token={token}", **known)
    assert again.status_code == 303
    assert again.headers["location"] == "/"


def test_the_service_says_nothing_of_its_software_and_closes_no_page_s_websocket_by_an_error(
    headrace: Headrace,
):
    with served(headrace) as (address, _server):
        answer = httpx.get(f"{address}/health/live")
        asked = {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }  # fmt: skip
        upgrade = httpx.get(f"{address}/health/live", headers=asked)

    assert "Server" not in answer.headers
    assert upgrade.status_code == 200
