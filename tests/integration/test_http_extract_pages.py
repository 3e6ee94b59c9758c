"""HttpExtract reads an API that has pages, limits, tokens and a memory, on a real server."""

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import Permissions
from headrace.jobs.http_extract import HttpExtract
from headrace.observe import redaction
from tests.support.attempts import JobRunner
from tests.support.http import Answered, Asked, HttpServer, http_server

SECRET = "canary-9sTq2Lm"
ROWS = [{"id": n, "name": f"n{n}\n"} for n in range(1, 8)]
INTO: dict[str, Any] = {
    "into": "public.t",
    "create": True,
    "columns": {"id": "int", "name": "text"},
}


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_hidden() -> Iterator[None]:
    yield
    redaction.forget()


@pytest.fixture
def run(target: Engine, tmp_path: Path) -> JobRunner:
    allowed = Permissions(allowed_hosts=("127.0.0.1",))
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path, permissions=allowed)


def asked(request: Asked) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(request.path).query).items()}


def answer(document: Any, **headers: str) -> Answered:
    return Answered(json.dumps(document, indent=1).encode(), headers=headers)


def by_link(request: Asked) -> Answered:
    page = int(asked(request).get("p", "0"))
    link = f'<?q=a%20b&p={page + 1}>; title="a, b; c"; rel="last next", </>; rel=first'
    return answer(ROWS[page * 3 : page * 3 + 3], **({"Link": link} if page < 2 else {}))


def by_path(request: Asked) -> Answered:
    page = int(asked(request).get("p", "0"))
    following = f"/items?p={page + 1}" if page < 2 else None
    return answer({"data": ROWS[page * 3 : page * 3 + 3], "paging": {"next": following}})


def by_cursor(request: Asked) -> Answered:
    start = int(asked(request).get("after", "0"))
    document: dict[str, Any] = {"data": ROWS[start : start + 3]}
    if start + 3 < len(ROWS):
        document["meta"] = {"next": start + 3}
    return answer(document)


def by_body(request: Asked) -> Answered:
    """As GraphQL: the cursor is a number that keeps its kind, the rest of the body stays."""
    body = json.loads(request.body)
    assert (request.method, body["query"]) == ("POST", "{ items }")
    start = body["variables"].get("after", 0)
    document: dict[str, Any] = {"data": ROWS[start : start + 3]}
    if start + 3 < len(ROWS):
        document["meta"] = {"next": start + 3}
    return answer(document)


def by_offset(request: Asked) -> Answered:
    at, limit = int(asked(request)["offset"]), int(asked(request)["limit"])
    return answer({"data": ROWS[at : at + limit], "total": len(ROWS)})


def by_number(request: Asked) -> Answered:
    page = int(asked(request)["page"])
    return answer({"data": ROWS[page * 3 - 3 : page * 3], "pages": "3"})


PAGED: dict[str, tuple[Any, dict[str, Any], int]] = {
    "header_link": (by_link, {}, 3),
    "json_link": (by_path, {"next_url_path": "paging.next"}, 3),
    "cursor": (by_cursor, {"cursor_path": "meta.next", "cursor_param": "after"}, 3),
    "offset": (by_offset, {"limit": 3}, 4),
    "offset with a total": (by_offset, {"limit": 3, "total_path": "total"}, 3),
    "page_number": (by_number, {}, 4),
    "page_number with a total": (by_number, {"total_path": "pages"}, 3),
}


@pytest.mark.parametrize("kind", PAGED)
def test_all_pages_of_an_api_are_one_load(
    run: JobRunner, server: HttpServer, query: Any, kind: str
) -> None:
    route, keys, pages = PAGED[kind]
    server.routes["/items"] = route
    records = {} if kind == "header_link" else {"records": "data"}
    paginator = {"type": kind.partition(" ")[0], **keys}

    result = run(HttpExtract, url=server.url("/items"), query={"q": "a b"}, paginator=paginator,
                 **records, **INTO)  # fmt: skip

    assert result == {"row_count": 7, "table": "public.t", "pages": pages}
    assert query("SELECT id, name FROM t ORDER BY id") == [(r["id"], r["name"]) for r in ROWS]
    if kind != "json_link":
        assert server.asked
        assert all(asked(one)["q"] == "a b" for one in server.asked)


def test_the_cursor_of_the_next_page_goes_into_the_body_where_that_is_asked_for(
    run: JobRunner, server: HttpServer, query: Any
) -> None:
    server.routes["/items"] = by_body
    paginator = {"type": "cursor", "cursor_path": "meta.next",
                 "cursor_body_path": "variables.after"}  # fmt: skip
    body = {"query": "{ items }", "variables": {"first": 3}}

    result = run(HttpExtract, url=server.url("/items"), method="POST", body=body, records="data",
                 paginator=paginator, **INTO)  # fmt: skip

    assert result == {"row_count": 7, "table": "public.t", "pages": 3}
    assert query("SELECT count(*) FROM t") == [(7,)]
    with pytest.raises(InvalidPayload, match="cursor_body_path needs method: POST"):
        HttpExtract(server.url("/items"), paginator=paginator, **INTO)
    with pytest.raises(InvalidPayload, match=r"cursor_param.*or cursor_body_path"):
        HttpExtract(server.url("/items"), paginator=paginator | {"cursor_param": "x"}, **INTO)


def test_a_page_that_fails_leaves_nothing_of_the_ones_before(
    run: JobRunner, server: HttpServer, query: Any
) -> None:
    server.routes["/items"] = lambda one: (
        Answered(status=500, body=b"boom") if asked(one).get("p") == "2" else by_link(one)
    )
    with pytest.raises(JobFailure, match="500"):
        run(HttpExtract, url=server.url("/items"), paginator={"type": "header_link"}, **INTO)
    assert query("SELECT to_regclass('t')") == [(None,)]


def test_pages_that_never_end_are_an_error(run: JobRunner, server: HttpServer) -> None:
    server.routes["/loop"] = answer(ROWS, Link="</loop>; rel=next")
    with pytest.raises(JobFailure, match="page 1 leads back"):
        run(HttpExtract, url=server.url("/loop"), paginator={"type": "header_link"}, **INTO)

    server.routes["/ever"] = answer({"data": ROWS})
    ever = {"type": "page_number", "max_pages": 3}
    with pytest.raises(JobFailure, match="more than 3 pages"):
        run(HttpExtract, url=server.url("/ever"), paginator=ever, records="data", **INTO)


def test_a_next_page_on_another_host_gets_no_secret(run: JobRunner, server: HttpServer) -> None:
    with http_server() as other:
        other.routes["/items"] = answer(ROWS[3:])
        server.routes["/items"] = answer(ROWS[:3], Link=f"<{other.url('/items')}>; rel=next")
        headers = {"Authorization": f"Bearer {SECRET}", "Accept-Language": "de"}
        pages = {"type": "header_link"}
        run(HttpExtract, url=server.url("/items"), paginator=pages, headers=headers, **INTO)

        assert SECRET in str(server.asked[0].headers)
        assert SECRET not in str(other.asked[0].headers)
        assert other.asked[0].headers["Accept-Language"] == "de"

    server.routes["/items"] = answer(ROWS[:3], Link="<http://192.0.2.1/items>; rel=next")
    with pytest.raises(InvalidPayload, match=r"192\.0\.2\.1"):
        run(HttpExtract, url=server.url("/items"), paginator={"type": "header_link"}, **INTO)


def test_a_server_that_asks_to_wait_is_asked_again_then(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("headrace.jobs.http.exchange.time.sleep", waits.append)
    answers = [
        Answered(status=429, body=b"slow", headers={"Retry-After": "7"}),
        Answered(status=503, headers={"Retry-After": formatdate(time.time() + 20, usegmt=True)}),
        answer(ROWS),
        Answered(status=503, headers={"Retry-After": "301"}),
    ]
    server.routes["/items"] = lambda _asked: answers.pop(0)

    assert run(HttpExtract, url=server.url("/items"), **INTO)["row_count"] == 7
    assert [round(one) for one in waits if one] in ([7, 19], [7, 20])
    assert [one.getMessage() for one in caplog.records if "waiting" in one.msg] == [
        f"The server answered {status}: waiting {wait:.0f} s, as it asks"
        for status, wait in zip((429, 503), filter(None, waits), strict=True)
    ]
    with pytest.raises(JobFailure, match=r"asks to wait 301 s, and 300 s are left of max_wait"):
        run(HttpExtract, url=server.url("/items"), **INTO)
    server.routes["/items"] = Answered(status=503)
    with pytest.raises(JobFailure, match="answered 503"):
        run(HttpExtract, url=server.url("/items"), **INTO)


def test_requests_are_no_faster_than_the_rate_limit(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("headrace.jobs.http.exchange.time.sleep", waits.append)
    monkeypatch.setattr("headrace.jobs.http.exchange.time.monotonic", lambda: 100.0)
    server.routes["/items"] = by_link

    run(HttpExtract, url=server.url("/items"), rate_limit="30/m",
        paginator={"type": "header_link"}, **INTO)  # fmt: skip

    assert waits == [0.0, 2.0, 2.0]


AUTH = {
    "type": "oauth2_client_credentials",
    "client_id": "me",
    "client_secret": "${API_SECRET}",
    "scope": "read",
    "access_token_request_data": {"audience": "x"},
}


def test_a_token_is_got_for_the_client_and_renewed_once_it_is_refused(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setenv("API_SECRET", SECRET)
    tokens = iter(("first-token", "second-token", "third-token", "fourth-token"))
    server.routes["/token"] = lambda _one: answer({"access_token": next(tokens), "expires_in": 60})

    def items(request: Asked) -> Answered:
        if request.headers["Authorization"] != "Bearer second-token":
            return Answered(status=401, body=b"expired: " + SECRET.encode())
        return by_link(request)

    server.routes["/items"] = items
    auth = {**AUTH, "access_token_url": server.url("/token")}
    result = run(HttpExtract, url=server.url("/items"), auth=auth,
                 paginator={"type": "header_link"}, **INTO)  # fmt: skip

    assert result["pages"] == 3
    first = server.asked[0]
    pair = b64encode(f"me:{SECRET}".encode()).decode()
    assert first.headers["Authorization"] == f"Basic {pair}"
    sent = {"grant_type": ["client_credentials"], "scope": ["read"], "audience": ["x"]}
    assert parse_qs(first.body.decode()) == sent
    assert [one.path for one in server.asked[:4]] == ["/token", "/items", "/token", "/items"]

    with pytest.raises(JobFailure) as refused:  # The next two tokens are refused.
        run(HttpExtract, url=server.url("/items"), auth=auth | {"send_credentials": "body"}, **INTO)
    assert "answered 401" in str(refused.value)
    assert SECRET not in str(refused.value) + caplog.text
    assert "second-token" not in caplog.text
    posted = [one for one in server.asked if one.path == "/token"][-1]
    assert parse_qs(posted.body.decode())["client_secret"] == [SECRET]


def test_a_token_that_names_a_variable_is_not_read_as_one(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_SECRET", SECRET)
    server.routes["/token"] = answer({"access_token": "${API_SECRET}"})
    auth = {**AUTH, "access_token_url": server.url("/token")}
    with pytest.raises(JobFailure, match="none that a header takes"):
        run(HttpExtract, url=server.url("/items"), auth=auth, **INTO)


SINCE = {"cursor": "at", "start_param": "since", "initial_value": "2026-01-01T00:00:00Z"}
KEPT = {
    "into": "public.t",
    "create": True,
    "mode": "merge",
    "primary_key": "id",
    "columns": {"id": "int", "at": "timestamptz"},
}


def test_only_what_is_new_is_asked_for_and_a_failed_run_moves_nothing(
    run: JobRunner, server: HttpServer, query: Any, execute: Any
) -> None:
    rows = [{"id": 1, "at": "2026-03-01T10:00:00+02:00"}, {"id": 2, "at": "2026-03-01T08:30:00Z"}]
    server.routes["/items"] = lambda _one: answer(rows)
    url = server.url("/items")

    def since() -> str:
        return asked(server.asked[-1])["since"]

    coming, rows = rows, []
    run(HttpExtract, url=url, incremental=SINCE, **KEPT)
    rows = coming  # Nothing to read has left nothing to go on from.
    run(HttpExtract, url=url, incremental=SINCE, **KEPT)
    assert since() == "2026-01-01T00:00:00Z"

    rows = [{"id": 3, "at": "2026-04-01T00:00:00Z"}, {"id": 4, "at": "never"}]
    with pytest.raises(JobFailure, match="never"):
        run(HttpExtract, url=url, incremental=SINCE, **KEPT)
    assert since() == "2026-03-01T08:30:00Z", "in the server's own words, by their order in time"
    checked = {"checks": [{"row_count": {"must_be": 99}}]}
    rows = rows[:1]
    with pytest.raises(JobFailure, match="must be 99"):
        run(HttpExtract, url=url, incremental=SINCE, **checked, **KEPT)
    assert query("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]

    run(HttpExtract, url=url, incremental=SINCE, **KEPT)
    assert since() == "2026-03-01T08:30:00Z"
    rows = []
    run(HttpExtract, url=url, incremental={**SINCE, "lag": "90m"}, **KEPT)
    assert since() == "2026-03-31T22:30:00.000000Z"
    run(HttpExtract, url=url, incremental=SINCE, **KEPT)
    assert since() == "2026-04-01T00:00:00Z", "no news is no step back"
    execute("TRUNCATE t")
    run(HttpExtract, url=url, incremental=SINCE, **KEPT)
    assert since() == "2026-01-01T00:00:00Z"


def test_each_part_of_an_api_is_read_on_from_where_it_was_read_to(
    run: JobRunner, server: HttpServer, query: Any
) -> None:
    """Steps of a `foreach` read accounts into one table: none goes on from another one's row."""
    server.routes["/items"] = lambda _one: answer([{"id": 1, "at": at}])
    url = server.url("/items")
    first: dict[str, Any] = {"url": url, "query": {"account": "a", "page": None}}
    parts: list[dict[str, Any]] = [
        first,
        {"url": url},
        {"url": url, "query": {"account": "b", "page": None}},
        {"url": f"{url}?account=c"},
        {"url": url, "method": "POST", "body": {"account": "d"}},
        {"url": url, "method": "POST", "body": "account e"},
        {"url": url, "method": "POST", "body": "account e", "query": {"account": "a"}},
    ]

    def start(part: dict[str, Any]) -> str:
        run(HttpExtract, incremental=SINCE, **part, **KEPT)
        return asked(server.asked[-1])["since"]

    for number, part in enumerate(parts, 1):
        at = f"2026-03-0{number}T00:00:00Z"
        assert start(part) == SINCE["initial_value"], part
    at = "2026-04-01T00:00:00Z"
    for number, part in enumerate(parts, 1):
        assert start(part) == f"2026-03-0{number}T00:00:00Z", part
    # In another order it is the same query.
    assert start({"url": url, "query": {"page": None, "account": "a"}}) == at

    kept = [row[0] for row in query("SELECT source FROM headrace.watermark ORDER BY kept_at")]
    assert len(set(kept)) == len(parts)
    assert f"http: {url}" in kept
    assert not any("account" in one for one in kept), "a query may hold a secret"


def test_a_cursor_of_texts_has_no_order(run: JobRunner, server: HttpServer) -> None:
    server.routes["/items"] = answer([{"id": 1, "at": "9"}, {"id": 2, "at": "10"}])
    as_text = {**KEPT, "columns": {"id": "int", "at": "text"}}
    with pytest.raises(JobFailure, match="does not tell the later"):
        run(HttpExtract, url=server.url("/items"), incremental=SINCE, **as_text)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown paginator": ({"paginator": {"type": "pages"}}, "one of header_link"),
    "an unknown key": ({"paginator": {"type": "cursor", "path": "x"}}, "no key 'path'"),
    "a missing key": ({"paginator": {"type": "offset"}}, "needs limit"),
    "pages of CSV": ({"paginator": {"type": "header_link"}, "format": "csv"}, "json or jsonl"),
    "a rate": ({"rate_limit": "fast"}, "as in 10/s"),
    "a written secret": ({"auth": {**AUTH, "access_token_url": "http://x", "client_secret": "abc"}},
                         "is a secret"),
    "two authorizations": ({"auth": {**AUTH, "access_token_url": "http://x"},
                            "headers": {"authorization": "x"}}, "auth sets the header"),
    "incremental rows that are appended": ({"incremental": SINCE}, "needs mode: merge"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_asked_is_refused_before_a_run(what: str) -> None:
    with_, told = REFUSED[what]
    with pytest.raises(InvalidPayload, match=told):
        HttpExtract(url="http://127.0.0.1/", into="t", **with_)
