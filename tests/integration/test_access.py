"""Roles by token, sessions that end, and a trail of who did what, over the whole service."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from headrace.engine.access.audit import audited, concerns, delete_expired
from headrace.engine.access.tokens import create_token, revoke_token
from headrace.engine.application import Headrace
from headrace.engine.operations.retention import keep_retention
from headrace.model.caller import Role
from headrace.model.ids import new_id
from headrace.store.embedded.home import token_of
from headrace.web.app import ROUTES
from tests.support.processes import wait_until
from tests.support.web import client_of, installation, served

ADMIN = "the-token-of-the-environment"
JOB = {"job": "Fibonacci", "with": {"n": 3}}


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path, api_token=ADMIN) as found:
        yield found


@pytest.fixture
def client(headrace: Headrace) -> Iterator[TestClient]:
    """A client that sends no token by itself."""
    with client_of(headrace) as found:
        yield found


def made(headrace: Headrace, role: str, name: str = "") -> str:
    token: str = create_token(headrace.database, name or role, Role(role))["token"]
    return token


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def trail(headrace: Headrace, **wanted: Any) -> list[dict[str, Any]]:
    """Return the rows once outcomes are written, a moment after their answers."""

    def read() -> list[dict[str, Any]]:
        return headrace.database.rows("audit", before=None, limit=1000)

    wait_until(lambda: all(row["outcome"] != "begun" for row in read()), what="every outcome")
    return [row for row in read() if all(row[name] == value for name, value in wanted.items())]


def write_the_rest(client: TestClient) -> None:
    """Have what was only counted written now, and not in a second."""
    app: Any = client.app
    assert client.portal
    client.portal.call(app.state.trail.write_rest)


def sign_in(client: TestClient, token: str) -> Any:
    return client.post("/sign-in", data={"token": token}, follow_redirects=False)


# -- the walk -------------------------------------------------------------------------

# What a request of a route needs to be one; ids are nobody's.
PARTS = {"{job_id}": "x", "{run_id}": "x", "{name}": "plain"}
BODIES: Mapping[tuple[str, str], Any] = {
    ("post", "/jobs"): JOB,
    ("post", "/pipelines/{name}/backfill"): {"from": "2024-01-01", "to": "2024-01-01"},
}
ORDER = ["none", "viewer", "operator", "admin"]


def declared(client: TestClient) -> dict[tuple[str, str], dict[str, Any]]:
    document = client.app.openapi()  # type: ignore[attr-defined]
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def call(client: TestClient, method: str, path: str, token: str) -> int:
    asked = path
    for part, value in PARTS.items():
        asked = asked.replace(part, value)
    body = BODIES.get((method, path))
    status: int = client.request(method, asked, json=body, headers=bearer(token)).status_code
    return status


def test_every_route_declares_the_role_that_it_takes(client: TestClient):
    routes = declared(client)

    without = [route for route, operation in routes.items() if operation.get("x-role") not in ORDER]

    assert without == []
    assert len(routes) > 25
    changing = {route for route in routes if route[0] != "get"}
    assert {routes[route]["x-role"] for route in changing} == {"operator", "admin"}
    assert all(routes[route]["x-action"] for route in changing)
    free = {path for (_, path), operation in routes.items() if operation["x-role"] == "none"}
    assert free == {"/health/live", "/health/ready"}


def test_no_route_is_left_out_of_the_walk(client: TestClient):
    app: Any = client.app
    beside = {route.path for route in app.routes if hasattr(route, "path")}

    undeclared = [
        route
        for module in ROUTES
        for route in module.router.routes
        if "x-role" not in (getattr(route, "openapi_extra", None) or {})
    ]

    assert undeclared == []
    assert beside == {"/", "/docs", "/openapi.json", "/static", "/swagger", "/sign-in", "/sign-out"}


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_a_role_may_do_what_each_route_says_and_the_rest_is_refused_and_audited(
    client: TestClient, headrace: Headrace, role: str
):
    token = made(headrace, role)
    refused = []
    for (method, path), operation in declared(client).items():
        status = call(client, method, path, token)
        if ORDER.index(role) >= ORDER.index(operation["x-role"]):
            assert status not in (401, 403), (method, path)
            continue
        assert status == 403, (method, path)
        refused.append((operation.get("x-action", "read"), path))

    rows = trail(headrace, outcome="refused")
    assert len(rows) == len(refused) == {"viewer": 10, "operator": 2, "admin": 0}[role]
    assert {row["action"] for row in rows} == {action for action, _ in refused}
    assert {(row["actor"], row["role"], row["via"], row["status"]) for row in rows} <= {
        (role, role, "token", 403)
    }


def test_a_refusal_tells_the_role_that_is_missing(client: TestClient, headrace: Headrace):
    answer = client.post("/jobs", json=JOB, headers=bearer(made(headrace, "operator", "olga")))

    assert answer.status_code == 403
    assert answer.json() == {
        "detail": "olga has the role operator; this takes the role admin",
        "code": "role-not-sufficient",
    }
    (row,) = trail(headrace)
    assert (row["actor"], row["action"], row["path"]) == ("olga", "dispatch", "/jobs")


def test_a_viewer_reads_the_page_its_files_and_the_metrics(client: TestClient, headrace: Headrace):
    token = made(headrace, "viewer")
    for path in ("/", "/docs", "/openapi.json", "/static/page.js", "/metrics", "/audit"):
        assert client.get(path, headers=bearer(token)).status_code == 200
    assert client.get("/health/ready", headers=bearer(token)).json()["workers"] == 0


def test_head_takes_the_role_that_get_does(client: TestClient, headrace: Headrace):
    assert client.head("/jobs", headers=bearer(made(headrace, "viewer"))).status_code == 200
    assert client.head("/jobs").status_code == 401


def test_the_role_is_asked_before_the_body_is_read(client: TestClient, headrace: Headrace):
    sent = {**bearer(made(headrace, "viewer")), "Content-Type": "application/json"}

    assert client.post("/jobs", content=b"{not json", headers=sent).status_code == 403


def test_the_document_says_how_a_caller_is_known(client: TestClient):
    document = client.app.openapi()  # type: ignore[attr-defined]

    schemes = document["components"]["securitySchemes"]
    assert schemes["token"]["scheme"] == "bearer"
    assert document["paths"]["/jobs"]["post"]["security"] == [{"token": []}, {"session": []}]
    assert document["paths"]["/health/live"]["get"]["security"][0] == {}
    assert "403" in document["paths"]["/jobs"]["post"]["responses"]


# -- tokens ---------------------------------------------------------------------------


def test_the_admin_s_tokens_are_what_they_were(
    database: str, redis_url: str, tmp_path: Path, client: TestClient
):
    assert client.post("/jobs", json=JOB, headers=bearer(ADMIN)).status_code == 201
    told = client.get("/whoami", headers=bearer(ADMIN)).json()
    assert told == {"actor": "HEADRACE_API_TOKEN", "role": "admin", "via": "token", "ends_at": None}
    with (
        installation(database, redis_url, tmp_path) as found,
        client_of(found, known=False) as other,
    ):
        sent = bearer(token_of(found.settings.home))
        assert other.post("/jobs", json=JOB, headers=sent).status_code == 201
        assert other.get("/whoami", headers=sent).json()["actor"] == "HEADRACE_HOME/token"


def test_a_token_that_is_sent_decides_on_loopback_too(
    database: str, redis_url: str, tmp_path: Path
):
    with (
        installation(database, redis_url, tmp_path) as found,
        served(found) as (address, _server),
    ):
        viewer = bearer(made(found, "viewer"))
        assert httpx.post(f"{address}/create-jobs/").status_code == 201
        assert httpx.get(f"{address}/jobs", headers=viewer).status_code == 200
        assert httpx.post(f"{address}/create-jobs/", headers=viewer).status_code == 403
        revoke_token(found.database, "viewer")
        answer = httpx.get(f"{address}/jobs", headers=viewer)
        assert answer.status_code == 401
        assert "revoked" in answer.json()["detail"]
        (changed,) = trail(found, outcome="done")
        assert (changed["via"], changed["role"]) == ("loopback", "admin")
        assert changed["address"] == "127.0.0.1"


def test_a_token_is_stored_as_a_hash_and_shows_when_it_was_used(
    client: TestClient, headrace: Headrace
):
    token = made(headrace, "viewer")
    client.get("/jobs", headers=bearer(token))

    (row,) = headrace.database.rows("tokens")

    assert row["last_used_at"] is not None
    with headrace.database.transaction() as tx:
        stored = tx.connection.exec_driver_sql("SELECT t::text FROM headrace.token t").scalar_one()
    assert token not in stored
    assert token.removeprefix("hrt_") not in stored


@pytest.mark.parametrize("sent", ["hrt_" + "A" * 43, "hrt_short", "hrt_" + "\u00e9" * 43])
def test_a_token_that_nobody_made_is_refused(client: TestClient, sent: str):
    asked: Any = {"Authorization": f"Bearer {sent}".encode("latin-1")}

    assert client.get("/jobs", headers=asked).status_code == 401


def test_two_web_processes_agree(headrace: Headrace, client: TestClient):
    with client_of(headrace) as second:
        viewer = made(headrace, "viewer")
        assert sign_in(client, viewer).status_code == 303
        second.cookies = client.cookies
        for one in (client, second):
            assert one.get("/jobs").status_code == 200
            assert one.get("/jobs", headers=bearer(viewer)).status_code == 200
        client.post("/sign-out")
        assert second.get("/jobs").status_code == 401
        revoke_token(headrace.database, "viewer")
        assert second.get("/jobs", headers=bearer(viewer)).status_code == 401


def test_while_postgresql_is_away_the_admin_s_token_is_known_and_the_others_wait(
    redis_url: str, tmp_path: Path
):
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    with (
        installation(nowhere, redis_url, tmp_path, api_token=ADMIN) as found,
        client_of(found) as client,
    ):
        for sent in (bearer("hrt_" + "A" * 43), {"Cookie": f"headrace_session={'A' * 43}"}):
            answer = client.get("/jobs", headers=sent)
            assert (answer.status_code, answer.json()["code"]) == (503, "postgres-unavailable")
            assert answer.headers["Retry-After"] == "5"
            assert client.get("/health/ready", headers=sent).json() == {"status": "unready"}
            assert client.get("/health/live", headers=sent).status_code == 200
        assert client.get("/whoami", headers=bearer(ADMIN)).json()["role"] == "admin"
        assert "postgresql" in client.get("/health/ready", headers=bearer(ADMIN)).json()["missing"]
        assert client.get("/jobs", headers=bearer("guess")).status_code == 401
        assert client.app.state.trail._refusals.pending  # type: ignore[attr-defined]


# -- sessions -------------------------------------------------------------------------


def test_a_session_has_its_token_s_role_and_a_lifetime(client: TestClient, headrace: Headrace):
    answer = sign_in(client, made(headrace, "operator", "olga"))

    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303
    for part in ("HttpOnly", "SameSite=strict", "Max-Age=43200", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie
    told = client.get("/whoami").json()
    assert (told["actor"], told["role"], told["via"]) == ("olga", "operator", "session")
    assert told["ends_at"] is not None
    assert client.post("/jobs", json=JOB).status_code == 403
    assert client.post("/pipelines/plain/runs").status_code == 201


def test_a_session_that_tls_has_brought_is_for_tls_only(client: TestClient):
    answer = client.post(
        "/sign-in",
        data={"token": ADMIN},
        headers={"Host": "etl.example", "Origin": "https://etl.example"},
        follow_redirects=False,
    )

    assert "Secure" in answer.headers["set-cookie"]


def test_who_signs_in_anew_leaves_no_session_behind(client: TestClient, headrace: Headrace):
    sign_in(client, ADMIN)
    before = {"Cookie": f"headrace_session={client.cookies['headrace_session']}"}

    sign_in(client, made(headrace, "viewer", "vera"))

    assert client.get("/whoami").json()["actor"] == "vera"
    client.cookies.clear()
    assert client.get("/whoami", headers=before).status_code == 401


def test_a_session_ends_by_itself(client: TestClient, headrace: Headrace):
    sign_in(client, ADMIN)
    assert client.get("/jobs").status_code == 200
    with headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE headrace.session SET ends_at = clock_timestamp()")

    answer = client.get("/jobs")

    assert (answer.status_code, answer.json()["code"]) == (401, "session-over")
    assert "Max-Age=0" in answer.headers["set-cookie"]


@contextmanager
def loopback(database: str, redis_url: str, folder: Path) -> Iterator[tuple[str, Headrace]]:
    with (
        installation(database, redis_url, folder) as found,
        served(found) as (address, _server),
    ):
        yield address, found


def test_signing_out_and_revoking_end_a_session_at_once_on_loopback_too(
    database: str, redis_url: str, tmp_path: Path
):
    with loopback(database, redis_url, tmp_path) as (address, found), ExitStack() as stack:
        viewer = made(found, "viewer")
        browsers = [stack.enter_context(httpx.Client(base_url=address)) for _ in range(2)]
        kept = []
        for browser in browsers:
            browser.post("/sign-in", data={"token": viewer})
            kept.append(browser.cookies["headrace_session"])
            assert browser.post("/create-jobs/").status_code == 403
        gone = browsers[0].post("/sign-out")
        assert gone.status_code == 303
        assert gone.headers["location"] == "/sign-in"
        assert "headrace_session" not in browsers[0].cookies
        ended = {"Cookie": f"headrace_session={kept[0]}"}
        assert httpx.get(f"{address}/jobs", headers=ended).status_code == 401
        assert browsers[1].get("/jobs").status_code == 200
        revoke_token(found.database, "viewer")
        # The refusal takes the cookie away; without one the local user is the local user.
        assert browsers[1].get("/jobs").status_code == 401
        assert browsers[1].get("/jobs").status_code == 200


def test_a_cookie_of_another_installation_on_this_host_counts_for_nothing(
    database: str, redis_url: str, tmp_path: Path
):
    with loopback(database, redis_url, tmp_path) as (address, _found):
        foreign = {"Cookie": f"headrace_session={'A' * 43}"}
        assert httpx.get(f"{address}/jobs", headers=foreign).status_code == 200


def test_another_token_of_the_environment_ends_its_sessions(
    client: TestClient, database: str, redis_url: str, tmp_path: Path
):
    sign_in(client, ADMIN)
    with (
        installation(database, redis_url, tmp_path, api_token="another-one-of-them") as found,
        client_of(found) as other,
    ):
        other.cookies = client.cookies
        assert other.get("/jobs").status_code == 401


def test_a_stream_of_events_ends_with_the_session_that_opened_it(
    database: str, redis_url: str, tmp_path: Path
):
    with loopback(database, redis_url, tmp_path) as (address, found):
        run = found.start_run("chain", {})
        with httpx.Client(base_url=address, timeout=20) as browser:
            browser.post("/sign-in", data={"token": made(found, "viewer")})
            with browser.stream("GET", f"/runs/{run['id']}/events") as stream:
                lines = stream.iter_lines()
                assert next(line for line in lines if line.startswith("event:")) == "event: run"
                revoke_token(found.database, "viewer")
                assert "event: end" in list(lines)
        row = found.database.row("run", id=run["id"])
        assert row is not None
        assert row["status"] == "running"


def test_a_page_of_another_origin_can_use_no_session(client: TestClient, headrace: Headrace):
    sign_in(client, ADMIN)

    for foreign in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        for path in ("/create-jobs/", "/pipelines/plain/runs", "/sign-out", "/sign-in"):
            answer = client.post(path, headers=foreign)
            assert (answer.status_code, answer.json()["code"]) == (403, "origin-not-allowed")

    assert client.get("/jobs").json()["items"] == []
    actors = {(row["actor"], row["via"]) for row in trail(headrace, outcome="refused")}
    assert actors == {("HEADRACE_API_TOKEN", "session")}


# -- the trail ------------------------------------------------------------------------


def test_each_change_is_in_the_trail_with_its_outcome(client: TestClient, headrace: Headrace):
    olga = bearer(made(headrace, "operator", "olga"))
    started = client.post("/pipelines/plain/runs", headers=olga).json()["id"]
    client.post(f"/runs/{started}/cancel", headers=olga)
    client.post(f"/runs/{started}/cancel", headers=olga)
    client.post("/pipelines/plain/runs", json={"params": {"unknown": 1}}, headers=olga)
    client.get("/jobs", headers=olga)

    rows = [(row["action"], row["path"], row["outcome"], row["status"]) for row in trail(headrace)]

    assert rows == [
        ("run", "/pipelines/plain/runs", "failed", 422),
        ("cancel", f"/runs/{started}/cancel", "failed", 409),
        ("cancel", f"/runs/{started}/cancel", "done", 200),
        ("run", "/pipelines/plain/runs", "done", 201),
    ]
    assert {row["actor"] for row in trail(headrace)} == {"olga"}
    told = [row["concerns"] for row in trail(headrace)]
    assert told == [None, None, f"run {started}", f"run {started}"]


def test_the_trail_names_what_each_request_has_made_or_changed(
    client: TestClient, headrace: Headrace
):
    root = bearer(made(headrace, "admin", "root"))
    job = client.post("/jobs", json={"job": "FailedJob"}, headers=root).json()["id"]
    for deed in ("cancel", "retry"):
        client.post(f"/jobs/{job}/{deed}", headers=root)
    seven = [one["id"] for one in client.post("/create-jobs/", headers=root).json()["items"]]

    told = [(row["action"], row["concerns"]) for row in trail(headrace)]

    assert told == [
        ("create-jobs", f"job {', '.join(seven)}"),
        ("retry", f"job {job}"),
        ("cancel", f"job {job}"),
        ("dispatch", f"job {job}"),
    ]


def test_of_many_runs_the_trail_names_the_first_ones_and_the_number(headrace: Headrace):
    ids = [str(new_id()) for _ in range(25)]
    with audited(headrace.database, "backfill", "headrace backfill a → b"):
        for one in ids:
            concerns("run", [one])

    row = trail(headrace)[0]

    assert row["concerns"] == f"run {', '.join(ids[:20])} and 5 more"
    assert row["path"] == "headrace backfill a -> b"


def test_signing_in_and_out_are_in_the_trail(client: TestClient, headrace: Headrace):
    sign_in(client, made(headrace, "viewer", "vera"))
    client.post("/sign-out", follow_redirects=False)
    sign_in(client, "guess")

    rows = [(row["actor"], row["action"], row["outcome"]) for row in trail(headrace)]

    assert rows == [
        ("unknown", "sign-in", "refused"),
        ("vera", "sign-out", "done"),
        ("vera", "sign-in", "done"),
    ]


def test_a_change_that_cannot_be_written_down_is_not_made(
    client: TestClient, headrace: Headrace, monkeypatch: pytest.MonkeyPatch
):
    from headrace.engine.access import audit
    from headrace.errors import StoreUnavailable

    def away(*_: object) -> None:
        raise StoreUnavailable("PostgreSQL does not answer")

    monkeypatch.setattr(audit, "begin", away)

    answer = client.post("/create-jobs/", headers=bearer(ADMIN))

    assert (answer.status_code, answer.json()["code"]) == (503, "postgres-unavailable")
    assert client.get("/jobs", headers=bearer(ADMIN)).json()["items"] == []


def test_a_change_whose_outcome_was_never_written_says_that_it_was_begun(
    client: TestClient, headrace: Headrace, monkeypatch: pytest.MonkeyPatch
):
    from headrace.web.trail import Trail

    async def died(*_: object) -> None:
        return

    monkeypatch.setattr(Trail, "end", died)

    assert client.post("/pipelines/plain/pause", headers=bearer(ADMIN)).status_code == 200

    (row,) = headrace.database.rows("audit", before=None, limit=10)
    assert (row["action"], row["outcome"], row["status"]) == ("pause", "begun", None)


def test_a_flood_of_wrong_tokens_is_one_row_a_minute(
    client: TestClient, headrace: Headrace, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        for number in range(100):
            client.get(f"/jobs/{number}", headers=bearer(f"guess {number}"))
    write_the_rest(client)

    rows = trail(headrace, outcome="refused")
    # A minute may have ended meanwhile.
    assert len(rows) <= 2
    assert sum(row["count"] for row in rows) == 100
    assert {(row["actor"], row["via"], row["role"]) for row in rows} == {
        ("unknown", "nobody", None)
    }
    assert rows[0]["address"] == "testclient"
    told = [one for one in caplog.messages if "only counted" in one]
    assert len(told) == len(rows)


def test_two_web_processes_count_refusals_in_one_row(headrace: Headrace, client: TestClient):
    with client_of(headrace) as second:
        for one in (client, second):
            one.get("/jobs")

    rows = trail(headrace, outcome="refused")
    assert sum(row["count"] for row in rows) == 2
    assert len(rows) <= 2


def test_the_trail_is_answered_in_pages_newest_first(client: TestClient, headrace: Headrace):
    for what in ("pause", "resume", "pause"):
        client.post(f"/pipelines/plain/{what}", headers=bearer(ADMIN))
    vera = bearer(made(headrace, "viewer", "vera"))

    first = client.get("/audit?limit=2", headers=vera).json()
    second = client.get(f"/audit?limit=2&cursor={first['next']}", headers=vera).json()

    assert [row["action"] for row in first["items"]] == ["pause", "resume"]
    assert [row["action"] for row in second["items"]] == ["pause"]
    assert second["next"] is None
    assert first["items"][0].keys() >= {"at", "actor", "role", "action", "path", "outcome"}


def test_retention_takes_the_trail_s_end_and_forgets_what_is_over(
    client: TestClient, headrace: Headrace
):
    client.post("/pipelines/plain/pause", headers=bearer(ADMIN))
    sign_in(client, made(headrace, "viewer", "vera"))
    revoke_token(headrace.database, "vera")

    assert delete_expired(headrace.database, None) == 0
    assert delete_expired(headrace.database, 3600) == 0
    assert len(trail(headrace)) == 2
    keep_retention(headrace.database, 0)

    assert trail(headrace) == []
    assert headrace.database.rows("tokens") == []


def test_no_token_is_in_an_answer_a_log_or_the_database(
    client: TestClient, headrace: Headrace, caplog: pytest.LogCaptureFixture
):
    token = made(headrace, "admin")
    secrets = (token, ADMIN)
    told = []
    with caplog.at_level(logging.DEBUG):
        for number, secret in enumerate(secrets):
            sent = bearer(secret)
            told += [
                client.get(f"/jobs?token={secret}", headers=sent),
                client.get(f"/jobs/{secret}", headers=bearer("wrong")),
                client.post(f"/jobs/{secret}/cancel", headers=sent),
                client.post(
                    f"/pipelines/{secret}/runs",
                    headers=bearer(made(headrace, "viewer", f"viewer-{number}")),
                ),
                sign_in(client, secret),
                client.get("/audit", headers=sent),
                client.get("/whoami", headers=sent),
                client.get("/metrics", headers=sent),
            ]
    write_the_rest(client)

    rows = trail(headrace)
    # What the client itself logs is left out.
    logged = "".join(one.getMessage() for one in caplog.records if one.name.startswith("headrace"))
    assert len(rows) >= 7
    assert {row["path"] for row in rows} >= {"/jobs/hrt_***/cancel", "/jobs/***/cancel"}
    for secret in secrets:
        assert secret not in logged
        assert secret not in str(rows)
        # A request's own path may come back to who has sent it; headers and the rest may not.
        assert not [one for one in told if secret in str(one.headers)]
        assert secret not in "".join(
            one.text for one in told if one.request.url.path.count("/") < 2
        )
