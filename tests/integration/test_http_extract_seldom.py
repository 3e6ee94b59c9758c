"""HttpExtract, and files from the web, where a server answers as servers seldom do."""

import gzip
import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from headrace.errors import JobFailure
from headrace.jobapi import Permissions
from headrace.jobapi.outbound.allowed_hosts import HostRefused
from headrace.jobs.base import BaseJob
from headrace.jobs.http_extract import HttpExtract
from headrace.jobs.load_file import LoadFile
from tests.support.attempts import JobRunner
from tests.support.http import Answered, HttpServer, http_server

INTO: dict[str, Any] = {"into": "public.t", "create": True, "columns": {"id": "int"}}
SINCE = {"cursor": "at", "start_param": "since"}
AUTH = {"type": "oauth2_client_credentials", "client_id": "me", "client_secret": "${API_SECRET}"}
RAW = "HTTP/1.1 200 OK\r\nTransfer-Encoding: {}\r\n\r\n"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as made:
        yield made


@pytest.fixture
def run(target: Engine, tmp_path: Path) -> JobRunner:
    allowed = Permissions(allowed_hosts=("127.0.0.1", "localhost"))
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path, permissions=allowed)


def failed(run: JobRunner, **with_: Any) -> str:
    with pytest.raises(JobFailure) as failure:
        run(HttpExtract, **INTO | with_)
    return str(failure.value)


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_pages_of_json_lines_are_one_load(run: JobRunner, server: HttpServer, query: Any) -> None:
    second = f"<{server.url('/second')}>; rel=next"
    server.routes["/first"] = Answered(lines({"id": 1}, {"id": 2}), headers={"Link": second})
    server.routes["/second"] = Answered(lines({"id": 3}))
    with_ = {"format": "jsonl", "paginator": {"type": "header_link"}}

    result = run(HttpExtract, url=server.url("/first"), **INTO, **with_)

    assert (result["row_count"], result["pages"]) == (3, 2)
    assert query("SELECT id FROM t ORDER BY 1") == [(1,), (2,), (3,)]
    server.routes["/second"] = Answered(b'{"id": 4}\n{"id": "\xff"}\n')
    told = failed(run, url=server.url("/first"), **with_)
    assert told == f"{server.url('/first')}, page 2: is not utf-8: invalid start byte"
    assert query("SELECT count(*) FROM t") == [(3,)]


def test_a_first_page_without_a_cursor_is_warned_of_and_a_last_one_is_not(
    run: JobRunner, server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    pages = [{"data": [{"id": 1}], "next": 2}, {"data": [{"id": 2}]}]
    server.routes["/items"] = lambda _one: Answered(json.dumps(pages.pop(0)).encode())
    paginator = {"type": "cursor", "cursor_path": "next", "cursor_param": "after"}
    with_ = {"url": server.url("/items"), "paginator": paginator, "records": "data"}
    warning = f"{server.url('/items')}, page 1: the first page has no 'next': no other is read"

    assert run(HttpExtract, **INTO, **with_)["pages"] == 2
    assert warning not in caplog.text
    pages.append({"data": [{"id": 3}]})
    assert run(HttpExtract, **INTO, **with_)["pages"] == 1
    assert warning in [one.getMessage() for one in caplog.records]


@pytest.mark.parametrize("path", ["a.b.c", "a.b", "a.x", "d"])
def test_the_first_key_that_is_not_there_is_named(
    run: JobRunner, server: HttpServer, path: str
) -> None:
    server.routes["/items"] = Answered(b'{"a": {"x.y": []}, "id": 1}')
    told = failed(run, url=server.url("/items"), records=path)
    missing = "b" if "b" in path else path[-1]
    assert repr(missing) in told, told


@pytest.mark.parametrize("packing", ["gzip", "gzip, chunked", "deflate"])
def test_a_packing_of_the_way_that_was_not_asked_for_is_told(
    run: JobRunner, server: HttpServer, packing: str
) -> None:
    server.routes["/items"] = Answered(raw=RAW.format(packing).encode() + gzip.compress(b"[]"))
    told = failed(run, url=server.url("/items"))
    assert told == (
        f"GET {server.url('/items')}: the answer's Transfer-Encoding {packing!r} was not asked for"
    )


def test_an_error_whose_text_is_damaged_is_told_by_its_status(
    run: JobRunner, server: HttpServer
) -> None:
    server.routes["/items"] = Answered(
        b"not packed at all", status=500, headers={"Content-Encoding": "gzip"}
    )
    told = failed(run, url=server.url("/items"))
    assert told == (
        f"GET {server.url('/items')} answered 500 Internal Server Error: without a word"
    )


@pytest.mark.parametrize(
    ("with_", "page"),
    [
        ({}, ""),
        ({"format": "csv"}, ""),
        ({"format": "jsonl"}, ""),
        ({"paginator": {"type": "header_link"}}, ", page 1"),
    ],
)
def test_utf_16_without_its_mark_is_told(
    run: JobRunner, server: HttpServer, with_: dict[str, Any], page: str
) -> None:
    of = {"Content-Type": "text/plain; charset=utf-16"}
    server.routes["/items"] = Answered('{"id": 1}'.encode("utf-16-le"), headers=of)
    url = server.url("/items")

    told = failed(run, url=url, **with_)

    assert told == f"{url}{page}: cannot be read: UTF-16 stream does not start with BOM"


@pytest.mark.parametrize(
    "wait",
    ["soon", "Fri, 31 Dec 99999 23:59:59 GMT", f"31 Dec {'9' * 20} 23:59:59 GMT", "9" * 5000],
)
def test_a_wait_that_is_no_time_is_not_waited_for(
    run: JobRunner, server: HttpServer, wait: str
) -> None:
    server.routes["/items"] = Answered(b"busy", status=429, headers={"Retry-After": wait})
    told = failed(run, url=server.url("/items"))
    assert told.startswith(f"GET {server.url('/items')} answered 429 Too Many Requests: ")
    assert "busy" in told
    assert len(server.asked) == 1


def test_a_body_is_not_sent_on_to_where_a_redirect_leads(
    run: JobRunner, server: HttpServer
) -> None:
    server.redirect("/items", "/other", status=307)
    told = failed(run, url=server.url("/items"), method="POST", body={"id": 1})
    assert told == f"POST {server.url('/items')} is redirected; write its target URL"
    assert [one.path for one in server.asked] == ["/items"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_is_followed(
    run: JobRunner, server: HttpServer, status: int
) -> None:
    server.redirect("/items", "/other", status=status)
    server.routes["/other"] = Answered(b'[{"id": 1}]')

    assert run(HttpExtract, url=server.url("/items"), **INTO)["row_count"] == 1
    assert [one.path for one in server.asked] == ["/items", "/other"]


def test_the_next_address_of_a_host_is_tried(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing listens at the first of the loopback's addresses, nor at the last."""
    found = [ip_address(one) for one in ("127.0.0.9", "127.0.0.1", "127.0.0.8")]
    monkeypatch.setattr(
        "headrace.jobapi.outbound.allowed_hosts._resolved", lambda *_given: list(found)
    )
    server.routes["/items"] = Answered(b'[{"id": 1}]')
    url = server.url("/items", host="localhost")

    assert run(HttpExtract, url=url, **INTO)["row_count"] == 1
    found.remove(ip_address("127.0.0.1"))
    assert failed(run, url=url).startswith(f"{url} cannot be reached: ")


def test_a_token_that_is_not_given_is_told(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_SECRET", "canary-9sTq2Lm")
    server.routes["/token"] = Answered(b"no such client", status=403)
    auth = {**AUTH, "access_token_url": server.url("/token?a=canary-9sTq2Lm")}
    told = failed(run, url=server.url("/items"), auth=auth)
    assert told == (
        f"no access token: POST {server.url('/token')} answered 403 Forbidden: no such client"
    )


# -- before a run ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "with_"),
    [
        (HttpExtract, {"url": "http://10.1.2.3/x", "into": "t"}),
        (HttpExtract, {"url": "http://127.0.0.1/x", "into": "t",
                       "auth": {**AUTH, "access_token_url": "http://10.1.2.3/token"}}),
        (LoadFile, {"path": "http://10.1.2.3/x.csv", "table": "t"}),
    ],
)  # fmt: skip
def test_a_host_that_is_not_listed_is_told_before_a_run(
    run: JobRunner, tmp_path: Path, job: type[BaseJob], with_: dict[str, Any]
) -> None:
    class Rehearses(BaseJob):
        def handle(self) -> None:
            job(**with_).rehearse()

    with pytest.raises(HostRefused) as refused:
        run(Rehearses)
    assert "10.1.2.3 is not among" in str(refused.value)


def test_a_file_without_content_is_told(run: JobRunner, server: HttpServer, execute: Any) -> None:
    execute("CREATE TABLE t (id int)")
    server.routes["/a.csv"] = Answered(b"")
    with pytest.raises(JobFailure) as failure:
        run(LoadFile, path=server.url("/a.csv"), table="t")
    assert str(failure.value) == f"{server.url('/a.csv')}: the server has answered with nothing"


# -- how far an API was read ----------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "lag", "asked"),
    [
        ("date", ["2026-02-28", "2026-03-02"], "36h", "2026-02-28"),
        ("timestamp", ["2026-03-02T00:30:00", "2026-03-01T23:00:00"], "1h",
         "2026-03-01T23:30:00.000000"),
        ("timestamp(3)", ["2026-03-02 00:30:00.25"], "1h",
         "2026-03-01T23:30:00.250000"),
        ("timestamptz", ["2026-03-02T00:30:00+02"], "1h", "2026-03-01T21:30:00.000000Z"),
        ("bigint", [9, 10], 4, "6"),
    ],
)  # fmt: skip
def test_a_lag_is_taken_from_each_type_of_cursor(
    run: JobRunner, server: HttpServer, kind: str, values: list[Any], lag: str | int, asked: str
) -> None:
    rows = [{"id": at, "at": one} for at, one in enumerate(values)]
    server.routes["/items"] = lambda _one: Answered(json.dumps(rows).encode())
    with_ = {**INTO, "columns": {"id": "int", "at": kind}, "mode": "merge", "primary_key": "id",
             "incremental": {**SINCE, "lag": lag}}  # fmt: skip

    run(HttpExtract, url=server.url("/items"), **with_)
    run(HttpExtract, url=server.url("/items"), **with_)

    assert server.asked[-1].path.replace("%3A", ":") == f"/items?since={asked}"


def test_another_cursor_and_a_record_without_one_are_told(
    run: JobRunner, server: HttpServer, query: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[dict[str, Any]] = [{"id": 1, "at": "2026-01-01"}]
    server.routes["/items"] = lambda _one: Answered(json.dumps(rows).encode())
    url = server.url("/items")
    with_ = {**INTO, "columns": {"id": "int", "at": "date"}, "mode": "merge", "primary_key": "id"}
    run(HttpExtract, url=url, **with_, incremental=SINCE)

    run(HttpExtract, url=url, **with_, incremental=SINCE | {"cursor": "id"})

    assert server.asked[-1].path == "/items", "all there is"
    assert f"{url} is read whole: the cursor was at before" in [
        one.getMessage() for one in caplog.records
    ]
    rows += [{"id": 2, "at": "2026-01-02"}, {"id": 3, "at": None}]
    assert failed(run, url=url, **with_, incremental=SINCE) == (
        f"{url}: record 3 has no 'at', the cursor of incremental: the next run could not tell"
        " whether it has it"
    )
    assert query("SELECT id FROM t") == [(1,)]
