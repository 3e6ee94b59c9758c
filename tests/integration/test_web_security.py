"""Every rule of the wall in front of the routes, over the whole service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace.engine.application import Headrace
from headrace.errors import ConfigError
from headrace.model.connection import NamedConnection
from headrace.web.app import create_app
from headrace.web.serve import listen
from tests.support.web import client_of, installation

TOKEN = "a-token-of-the-tests"
SECRET = "canary-9b1f"
JOB = {"job": "Fibonacci", "with": {"n": 3}}


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path) as found:
        yield found


@pytest.fixture
def client(headrace: Headrace) -> Iterator[TestClient]:
    with client_of(headrace) as found:
        yield found


@pytest.fixture
def guarded(database: str, redis_url: str, tmp_path: Path) -> Iterator[TestClient]:
    """A client without the token of a service that is bound to every address."""
    with (
        installation(database, redis_url, tmp_path, host="0.0.0.0", api_token=TOKEN) as found,
        client_of(found) as client,
    ):
        yield client


def jobs_made(headrace: Headrace) -> int:
    listed = headrace.database.rows(
        "jobs", before=None, limit=100, status=None, queue=None, pipeline=None, job_class=None
    )
    return len(listed)


# -- who may ask ----------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "headrace.example"])
def test_an_address_that_others_reach_is_refused_without_a_token(
    database: str, redis_url: str, tmp_path: Path, host: str
):
    with (
        installation(database, redis_url, tmp_path, host=host) as found,
        pytest.raises(ConfigError, match="HEADRACE_API_TOKEN") as refused,
    ):
        create_app(found)

    assert refused.value.exit_code == 2
    with pytest.raises(ConfigError, match="HEADRACE_API_TOKEN"):
        listen(found.settings)


@pytest.mark.parametrize("token", ["x", "secret", "1234567"])
def test_a_token_that_can_be_guessed_is_refused_where_others_reach_the_address(
    database: str, redis_url: str, tmp_path: Path, token: str
):
    with (
        installation(database, redis_url, tmp_path, host="0.0.0.0", api_token=token) as found,
        pytest.raises(ConfigError, match="fewer than 8 characters can be guessed") as refused,
    ):
        create_app(found)

    assert refused.value.exit_code == 2
    with pytest.raises(ConfigError, match="can be guessed"):
        listen(found.settings)


def every_route(client: TestClient) -> list[tuple[str, str]]:
    described = client.app.openapi()  # type: ignore[attr-defined]
    return [
        (method, path.replace("{job_id}", "x").replace("{run_id}", "x").replace("{name}", "plain"))
        for path, methods in described["paths"].items()
        for method in methods
    ] + [("get", path) for path in ("/", "/docs", "/openapi.json", "/static/page.js", "/nothing")]


def test_every_route_but_the_probes_needs_the_token(guarded: TestClient):
    answers = {
        (method, path): guarded.request(method, path).status_code
        for method, path in every_route(guarded)
    }

    assert answers.pop(("get", "/health/live")) == 200
    assert answers.pop(("get", "/health/ready")) == 200
    assert len(answers) > 25
    assert set(answers.values()) == {401}


def test_without_the_token_the_probes_say_one_word(guarded: TestClient):
    assert guarded.get("/health/live").json() == {"status": "live"}
    assert guarded.get("/health/ready").json() == {"status": "ready"}
    known = guarded.get("/health/ready", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    assert known["workers"] == 0


def test_the_sign_in_page_and_what_it_looks_like_need_no_token(guarded: TestClient):
    page = guarded.get("/sign-in")

    assert page.status_code == 200
    assert "<form" in page.text
    for path in ("/static/page.css", "/static/icon.svg", "/static/signin.js"):
        assert guarded.get(path).status_code == 200


def test_a_token_on_loopback_is_needed_as_well(database: str, redis_url: str, tmp_path: Path):
    with (
        installation(database, redis_url, tmp_path, api_token=TOKEN) as found,
        client_of(found) as client,
    ):
        assert client.get("/jobs").status_code == 401
        assert client.get("/jobs", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        "Bearer \u00e9\u00ff",
    ],
)
def test_a_wrong_token_opens_nothing(guarded: TestClient, given: str):
    answer = guarded.get("/jobs", headers=[(b"Authorization", given.encode("latin-1"))])

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json()["code"] == "unauthorized"


def test_two_authorization_headers_open_nothing(guarded: TestClient):
    twice = [("Authorization", "Bearer wrong"), ("Authorization", f"Bearer {TOKEN}")]

    assert guarded.get("/jobs", headers=twice).status_code == 401


def test_the_token_is_compared_in_constant_time(
    guarded: TestClient, monkeypatch: pytest.MonkeyPatch
):
    import hmac

    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def compare(given: Any, known: Any) -> bool:
        compared.append((given, known))
        return real(given, known)

    monkeypatch.setattr(hmac, "compare_digest", compare)

    guarded.get("/jobs", headers={"Authorization": "Bearer guess"})

    assert compared == [(b"guess", TOKEN.encode())]


def test_a_browser_signs_in_with_the_token_and_gets_a_cookie_that_is_not_the_token(
    guarded: TestClient,
):
    asked = guarded.get("/", headers={"Accept": "text/html"})
    assert asked.status_code == 401
    assert "<form" in asked.text

    answer = guarded.post("/sign-in", data={"token": TOKEN}, follow_redirects=False)

    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert guarded.get("/jobs").status_code == 200


def test_a_browser_with_a_wrong_token_or_cookie_stays_outside(guarded: TestClient):
    answer = guarded.post("/sign-in", data={"token": "guess"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers

    guarded.cookies.set("headrace_session", "guess")
    assert guarded.get("/jobs").status_code == 401


# -- from where -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8000", "0.0.0.0", "::1", ""],
)
def test_a_foreign_host_header_is_refused_against_dns_rebinding(
    client: TestClient, headrace: Headrace, host: str
):
    for method, path in (("GET", "/jobs"), ("POST", "/create-jobs/"), ("GET", "/health/live")):
        answer = client.request(method, path, headers={"Host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "host-not-allowed")
    assert jobs_made(headrace) == 0


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:9", "[::1]", "[::1]:8000"]
)
def test_the_own_names_are_answered_on_any_port(client: TestClient, host: str):
    assert client.get("/jobs", headers={"Host": host}).status_code == 200


def test_bound_elsewhere_any_host_is_answered_to_who_has_the_token(guarded: TestClient):
    named = {"Host": "headrace.example", "Authorization": f"Bearer {TOKEN}"}

    assert guarded.get("/jobs", headers=named).status_code == 200
    assert guarded.get("/jobs", headers={"Host": "headrace.example"}).status_code == 401


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:9999",
        "http://localhost",
        "http://localhost:8000.evil.example",
        "",
    ],
)
def test_a_page_of_another_origin_can_change_nothing(
    client: TestClient, headrace: Headrace, origin: str
):
    for path, body in (("/create-jobs/", None), ("/jobs", JOB), ("/pipelines/plain/runs", None)):
        answer = client.post(path, json=body, headers={"Origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "origin-not-allowed")
    assert jobs_made(headrace) == 0


def test_a_cross_site_request_without_an_origin_can_change_nothing(client: TestClient):
    answer = client.post("/create-jobs/", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403


def test_the_own_page_may_change_something(client: TestClient):
    own = {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}

    assert client.post("/jobs", json=JOB, headers=own).status_code == 201


def test_no_answer_allows_another_origin_to_read_it(client: TestClient):
    for method in ("GET", "OPTIONS"):
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = client.request(method, "/jobs", headers=asked)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


# -- in what form ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "a"],
)
def test_a_body_that_is_not_declared_as_json_is_refused(
    client: TestClient, headrace: Headrace, kind: str
):
    answer = client.post(
        "/jobs", content=b'{"job": "Fibonacci", "with": {"n": 3}}', headers={"Content-Type": kind}
    )

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
    assert jobs_made(headrace) == 0


def test_json_with_a_charset_is_taken(client: TestClient):
    answer = client.post(
        "/jobs",
        content=b'{"job": "Fibonacci", "with": {"n": 3}}',
        headers={"Content-Type": "Application/JSON; charset=utf-8"},
    )

    assert answer.status_code == 201


def test_a_post_without_a_body_needs_no_content_type(client: TestClient):
    assert client.post("/create-jobs/").status_code == 201
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/create-jobs/", content=b"", headers=form).status_code == 201


def test_a_body_over_one_megabyte_is_refused(client: TestClient, headrace: Headrace):
    large = {"job": "Fibonacci", "with": {"n": 3, "filler": "x" * 1_000_000}}

    answer = client.post("/jobs", json=large)

    assert (answer.status_code, answer.json()["code"]) == (413, "body-too-large")
    assert jobs_made(headrace) == 0


def test_a_body_over_one_megabyte_is_refused_where_it_hides_its_length(client: TestClient):
    answer = client.post(
        "/jobs",
        content=(b" " * 65536 for _ in range(64)),
        headers={"Content-Type": "application/json"},
    )

    assert answer.status_code == 413


# -- what goes out --------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/jobs", "/jobs/x", "/nothing", "/static/page.js", "/openapi.json"]
)
def test_every_answer_carries_the_security_headers(client: TestClient, path: str):
    headers = client.get(path).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_refusals_carry_the_security_headers(client: TestClient):
    answer = client.get("/jobs", headers={"Host": "evil.example"})

    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_page_holds_an_inline_script_or_a_foreign_address():
    static = Path(__file__).resolve().parents[2] / "runner" / "web" / "static"
    assert list(static.glob("*.html"))
    assert list(static.glob("*.js"))
    for page in static.glob("*.html"):
        text = page.read_text()
        assert "<script>" not in text
        assert "style=" not in text
        assert "//" not in text.replace("<!doctype html>", "")
    for script in static.glob("*.js"):
        text = script.read_text()
        assert not [word for word in ("innerHTML", "insertAdjacent", "eval(") if word in text]
        assert "document.write" not in text


def test_an_unforeseen_error_answers_without_a_traceback(
    headrace: Headrace, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"password={SECRET}")

    monkeypatch.setattr(headrace.database, "rows", fail)
    with client_of(headrace) as client:
        answer = client.get("/jobs")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_secrets_of_the_settings_appear_in_no_answer(database: str, redis_url: str, tmp_path: Path):
    secrets = {
        "api_token": SECRET,
        "connections": {"shop": NamedConnection(f"postgresql://u:{SECRET}@h/d")},
    }
    with (
        installation(database, redis_url, tmp_path, **secrets) as found,
        client_of(found, Authorization=f"Bearer {SECRET}") as client,
    ):
        client.post("/jobs", json=JOB)
        client.post("/pipelines/chain/runs")
        paths = [path for method, path in every_route(client) if method == "get"]
        assert len(paths) > 10
        paths += ["/jobs?status=nonsense", "/runs?limit=x", "/pipelines/nothing"]
        for path in paths:
            if not path.endswith("/events"):
                assert SECRET not in client.get(path).text


def test_a_path_out_of_the_static_folder_is_refused(client: TestClient):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py"):
        assert client.get(path).status_code == 404
