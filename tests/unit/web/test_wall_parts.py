"""What the wall in front of the routes decides by a request's own words, case by case."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from headrace.declarations.config import Settings
from headrace.errors import ConfigError
from headrace.model.caller import Role, Via
from headrace.store.embedded.home import token_of
from headrace.web.access import Access, describe_access, require_token
from headrace.web.body_limits import MAX_BODY_BYTES, check_type, checked_body, has_body
from headrace.web.caller import OWNER
from headrace.web.guard import Guard, _page_for, _same_origin
from headrace.web.refusal import Refusal
from headrace.web.roles import Roles
from headrace.web.serve import address, listen
from headrace.web.trail import _network

OURS: dict[str, Any] = {"type": "http", "method": "GET", "path": "/jobs", "state": {OWNER: 0}}


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(project=folder, home=folder, pipelines=folder, **more)


def headers(*given: tuple[str, str], **named: str) -> Headers:
    pairs = [*given, *((name.replace("_", "-"), value) for name, value in named.items())]
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for name, value in pairs])


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access(settings(tmp_path), None)  # type: ignore[arg-type]


# -- who asks -------------------------------------------------------------------------


def test_our_own_user_is_known_by_the_socket_and_by_a_local_name_only(access: Access):
    known = access.at_once(OURS, headers(host="localhost:8000"))

    assert known is not None
    assert (known.role, known.via) == (Role.ADMIN, Via.LOOPBACK)
    for state in ({}, {OWNER: None}):
        assert access.at_once({**OURS, "state": state}, headers(host="localhost")) is None
    assert access.at_once(OURS, headers(host="etl.example")) is None
    assert access.at_once(OURS, headers(("host", "localhost"), ("host", "localhost"))) is None
    assert access.at_once({"type": "http"}, headers(host="localhost")) is None


@pytest.mark.parametrize(
    "header",
    [
        "forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "x-forwarded-for",
        "cf-ray", "x-original-host", "x-envoy-external-address", "tailscale-user", "ngrok-x",
    ],
)  # fmt: skip
def test_whoever_a_proxy_or_a_tunnel_speaks_for_is_a_stranger(access: Access, header: str):
    assert access.at_once(OURS, headers((header, ""), host="localhost")) is None


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        ("Bearer {}", True), ("bearer {}", True), ("BEARER  {} ", True), ("Basic {}", False),
        ("{}", False), ("Bearer {}x", False), ("Bearer", False),
    ],
)  # fmt: skip
def test_the_home_s_token_is_known_as_a_bearer_s(
    access: Access, tmp_path: Path, sent: str, known: bool
):
    found = access.at_once(OURS, headers(authorization=sent.format(token_of(tmp_path))))

    assert (found is not None) is known
    if found is not None:
        assert (found.actor, found.via) == ("HEADRACE_HOME/token", Via.TOKEN)


def test_a_cookie_that_cannot_be_read_is_none(access: Access):
    for cookie in ("a@b=c", "headrace_session", "other=1", ""):
        assert access.at_once(OURS, headers(cookie=cookie, host="localhost")) is not None
    with_cookie = headers(cookie="other=1; headrace_session=x", host="localhost")
    assert access.at_once(OURS, with_cookie) is None


@pytest.mark.parametrize(
    ("host", "token", "told"),
    [
        ("127.0.0.1", None, None),
        ("::1", "x", None),
        ("0.0.0.0", "12345678", None),
        ("0.0.0.0", "1234567", "HEADRACE_HOST is 0.0.0.0, .* fewer than 8 characters"),
        ("", "1234567", "HEADRACE_HOST is empty, which other machines can reach, and"),
        ("etl.example", None, "set HEADRACE_API_TOKEN as well, or use 127.0.0.1"),
    ],
)
def test_an_address_that_others_reach_takes_a_token_of_eight_characters(
    tmp_path: Path, host: str, token: str | None, told: str | None
):
    given = settings(tmp_path, host=host, api_token=token)
    if told is None:
        require_token(given)
        return
    with pytest.raises(ConfigError, match=told):
        require_token(given)


def test_the_start_tells_where_each_request_needs_a_token(tmp_path: Path):
    told = describe_access(settings(tmp_path, api_token="long-enough"))

    assert told.startswith("every request needs the token of HEADRACE_API_TOKEN, or one with")
    assert describe_access(settings(tmp_path)).startswith("you need no token here")


# -- from where -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("https://ETL.example", "etl.example", True),
        ("http://localhost:8000", "LOCALHOST:8000", True),
        ("https://etl.example", "ETL.example", True),
        ("http://etl.example:80", "etl.example", False),
        ("ftp://etl.example", "etl.example", False),
        ("null", "etl.example", False),
    ],
)
def test_a_page_is_ours_by_host_and_port(origin: str, host: str, same: bool):
    assert _same_origin(headers(origin=origin), host) is same


def test_two_origins_are_not_ours_and_a_browser_s_word_for_the_site_counts():
    own = ("origin", "http://localhost")

    assert not _same_origin(headers(own, own), "localhost")
    for said, same in (("same-origin", True), ("none", True), ("same-site", False)):
        assert _same_origin(headers(own, sec_fetch_site=said), "localhost") is same
        assert _same_origin(headers(sec_fetch_site=said), "localhost") is same


@pytest.mark.parametrize(
    ("method", "accept", "site", "page", "again"),
    [
        ("GET", "text/html,*/*", "none", True, False),
        ("GET", "text/html", "cross-site", True, True),
        ("POST", "text/html", "none", False, False),
        ("GET", "application/json", "none", False, False),
    ],
)
def test_a_browser_that_wants_a_page_is_asked_for_a_token_by_one(
    method: str, accept: str, site: str, page: bool, again: bool
):
    sent = headers(accept=accept, sec_fetch_site=site).raw

    made = _page_for({"type": "http", "method": method, "headers": sent})

    assert (made is not None) is page
    # A link of another site brings no cookie of ours: the page then asks once more by itself.
    assert (made is not None and b"data-again" in made) is again


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
        ("testclient", "testclient"),
        (None, None),
    ],
)
def test_strangers_are_counted_by_address_and_in_ipv6_by_network(
    host: str | None, shown: str | None
):
    assert _network(host) == shown


async def _nobody(*_: Any) -> Any:
    raise AssertionError("it was passed on")


def test_a_websocket_is_closed_and_passed_on_to_nobody(tmp_path: Path, access: Access):
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    wall = Guard(_nobody, settings(tmp_path), access, None, None)  # type: ignore[arg-type]
    asyncio.run(wall({"type": "websocket", "path": "/jobs"}, _nobody, send))

    assert said == [{"type": "websocket.close", "code": 1008}]


# -- in what form ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "has"),
    [
        ({}, False), ({"content_length": "0"}, False), ({"content_length": "1"}, True),
        ({"transfer_encoding": "chunked"}, True),
    ],
)  # fmt: skip
def test_a_body_is_there_by_its_length_or_by_its_encoding(sent: dict[str, str], has: bool):
    assert has_body(headers(**sent)) is has


def test_a_form_is_a_form_and_everything_else_is_json():
    form = "application/x-www-form-urlencoded"
    check_type(headers(content_type=f"{form}; charset=utf-8"), form=True)
    check_type(headers(content_type=" Application/JSON "), form=False)
    for given, is_form in ((form, False), ("application/json", True), ("", True)):
        with pytest.raises(Refusal, match="send the body as Content-Type: application/") as refused:
            check_type(headers(content_type=given), form=is_form)
        assert (refused.value.status, refused.value.code) == (415, "unsupported-media-type")


def read(sent: Headers, *pieces: bytes) -> bytes:
    """Return the body as the routes get it."""
    messages: Iterator[dict[str, Any]] = (
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, start=1)
    )

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def whole() -> bytes:
        hand_on = await checked_body({"type": "http", "headers": sent.raw}, receive)
        got = b""
        while (message := await hand_on())["type"] == "http.request":
            got += message.get("body", b"")
        return got

    return asyncio.run(whole())


def test_a_body_of_one_megabyte_passes_in_pieces_or_whole_and_a_byte_more_does_not():
    half = b"x" * (MAX_BODY_BYTES // 2)
    for sent in (headers(content_length="1000000"), headers(transfer_encoding="chunked")):
        assert len(read(sent, half, half)) == 1_000_000
    for sent, pieces in (
        (headers(content_length="1000001"), [b""]),
        (headers(content_length="1e3"), [b""]),
        (headers(transfer_encoding="chunked"), [half, half, b"x"]),
    ):
        with pytest.raises(Refusal, match="a body may have 1000000 bytes at most") as refused:
            read(sent, *pieces)
        assert (refused.value.status, refused.value.code) == (413, "body-too-large")
        # What is left of the body must not be taken for the next request.
        assert refused.value.headers == {"Connection": "close"}


def test_a_caller_who_goes_away_amid_a_body_leaves_what_has_come():
    assert read(headers(content_length="9")) == b""


# -- where it listens -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("::1", "http://[::1]:81"),
        ("", "http://127.0.0.1:81"),
    ],
)
def test_the_address_is_one_for_a_browser(tmp_path: Path, host: str, told: str):
    assert address(settings(tmp_path, host=host), 81) == told


def test_a_host_that_nobody_knows_is_told_by_its_name(tmp_path: Path):
    given = settings(tmp_path, host="host.invalid", api_token="long-enough", port=0)

    with pytest.raises(ConfigError, match=r'HEADRACE_HOST "host\.invalid" cannot be used: '):
        listen(given)


def test_a_listener_is_given_to_no_program_that_a_job_starts(tmp_path: Path):
    with listen(settings(tmp_path, port=0)) as opened:
        assert not opened.get_inheritable()
        assert opened.getsockname()[0] == "127.0.0.1"


# -- what an application does wrong -----------------------------------------------------


@pytest.mark.parametrize("started", [True, False])
def test_an_error_behind_the_wall_is_a_500_unless_the_answer_has_begun(
    access: Access, tmp_path: Path, caplog: pytest.LogCaptureFixture, started: bool
):
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("oh")

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    guard = Guard(app, settings(tmp_path), access, Roles([], {}), None)  # type: ignore[arg-type]
    scope = {**OURS, "path": "/runs", "headers": [(b"host", b"localhost")]}
    if started:
        with pytest.raises(RuntimeError, match="oh"):
            asyncio.run(guard(scope, receive, send))
    else:
        asyncio.run(guard(scope, receive, send))

    assert [one["status"] for one in sent if "status" in one] == [200 if started else 500]
    assert "GET /runs failed" in caplog.text


def test_nobody_is_known_by_the_database_who_has_sent_nothing(access: Access):
    # It has no database to ask.
    assert access.by_database({"type": "http"}, headers(host="etl.example")) is None
