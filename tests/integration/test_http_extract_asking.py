"""HttpExtract: what is sent, and where a redirect leads."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from headrace.errors import JobFailure
from headrace.jobapi import Permissions
from headrace.jobapi.outbound.allowed_hosts import HostRefused
from headrace.jobs.http_extract import HttpExtract
from tests.support.attempts import JobRunner
from tests.support.http import Answered, HttpServer, http_server


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as made:
        made.routes["/"] = Answered(b"ok")
        yield made


@pytest.fixture
def run(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner(
        {None: target},
        search_path=(tmp_path,),
        project=tmp_path,
        permissions=Permissions(allowed_hosts=("127.0.0.1",)),
    )


@pytest.mark.parametrize(
    ("url", "query", "asked"),
    [
        ("/#top", {"since": "1"}, "/?since=1"),
        ("/?a=1#top", {"since": "1"}, "/?a=1&since=1"),
        ("/?a=1&#top?x", {"since": "1"}, "/?a=1&since=1"),
        ("/?", {"since": "1"}, "/?since=1"),
        ("/?a=1#top", {}, "/?a=1"),
        ("/", {"none": None, "also": [None]}, "/"),
        ("", {"a": "1"}, "/?a=1"),
        ("?a=%2f+%C3%A9", {}, "/?a=%2F+%C3%A9"),
        (
            "/?q=größe",
            {"größe": "a&b#c=d+e f/é"},
            "/?q=gr%C3%B6%C3%9Fe&gr%C3%B6%C3%9Fe=a%26b%23c%3Dd%2Be+f%2F%C3%A9",
        ),
        ("/?rate=5%&x=%20", {}, "/?rate=5%25&x=%20"),
    ],
)
def test_the_query_is_added_before_the_fragment_and_to_what_is_there(
    run: JobRunner, server: HttpServer, url: str, query: dict[str, Any], asked: str
) -> None:
    run(HttpExtract, url=server.url(url), query=query, path="x")

    assert server.asked[0].path == asked


def test_a_path_is_sent_in_utf_8(run: JobRunner, server: HttpServer) -> None:
    server.routes["/gr%C3%B6%C3%9Fe/a%20b"] = Answered(b"ok")

    run(HttpExtract, url=server.url("/größe/a%20b"), path="x")

    assert [one.path for one in server.asked] == ["/gr%C3%B6%C3%9Fe/a%20b"]


@pytest.mark.parametrize("text", ["1.10", "0012", "1e5", "-0", "12345678901234567890.10"])
def test_a_number_in_a_query_is_sent_as_it_is_written(
    run: JobRunner, server: HttpServer, text: str
) -> None:
    run(HttpExtract, url=server.url(), query={"v": text}, path="x")

    assert server.asked[0].path == f"/?v={text}"


@pytest.mark.parametrize(
    ("name", "value"),
    [("accept", "text/plain"), ("USER-AGENT", "shop/1"), ("content-type", "text/x; charset=utf-8")],
)
def test_a_header_that_is_given_in_another_case_replaces_the_built_in_one(
    run: JobRunner, server: HttpServer, name: str, value: str
) -> None:
    run(
        HttpExtract,
        url=server.url(),
        method="POST",
        body={"a": 1},
        headers={name: value},
        path="x",
    )

    sent = [pair for pair in server.asked[0].all_headers if pair[0].lower() == name.lower()]
    assert sent == [(name, value)]


@pytest.mark.parametrize(
    ("body", "sent", "type_"),
    [
        ('<a b="1"/>', b'<a b="1"/>', None),
        ("", b"", None),
        ({"a": [1, True, None, {"b": "x"}]}, b'{"a": [1, true, null, {"b": "x"}]}',
         "application/json"),
        ([], b"[]", "application/json"),
    ],
)  # fmt: skip
def test_a_text_is_sent_as_it_is_and_anything_else_as_json(
    run: JobRunner, server: HttpServer, body: Any, sent: bytes, type_: str | None
) -> None:
    run(HttpExtract, url=server.url(), method="POST", body=body, path="x")

    (asked,) = server.asked
    assert (asked.body, asked.headers.get("Content-Type")) == (sent, type_)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"X Key": "1"}, "the header 'X Key' has no name that HTTP takes"),
        ({"": "1"}, "the header '' has no name"),
        ({"X-Größe": "1"}, "the header 'X-Größe' has no name"),
        ({"X-Key:": "1"}, "the header 'X-Key:' has no name"),
        ({"X-Key\n": "1"}, r"the header 'X-Key\\n' has no name"),
        ({"X-Key": "1", "x-key": "2"}, "the header x-key occurs twice: X-Key is the same one"),
        ({"X-Key": "5 €"}, "the header X-Key holds a character outside Latin-1"),
        ({"X-Key": "a\nb"}, "the header X-Key contains a line break"),
        ({"X-Key": "a\x07b"}, "the header X-Key contains a control character"),
        ({"X-Key": " "}, "the header X-Key has no value"),
    ],
)
def test_a_header_that_cannot_be_sent_is_named(
    run: JobRunner, server: HttpServer, headers: dict[str, str], told: str
) -> None:
    with pytest.raises(JobFailure, match=told):
        run(HttpExtract, url=server.url(), headers=headers, path="x")

    assert server.asked == []


def test_a_secret_that_cannot_be_sent_is_named_and_not_told(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "canary-€")

    with pytest.raises(JobFailure, match="header X-Key holds a character outside") as caught:
        run(HttpExtract, url=server.url(), headers={"X-Key": "${SHOP_TOKEN}"}, path="x")

    assert "canary" not in str(caught.value)


def redirect(location: bytes) -> Answered:
    return Answered(
        raw=b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/größe?q=é".encode(), "/gr%C3%B6%C3%9Fe?q=%C3%A9"),
        ("/größe".encode("latin-1"), "/gr%F6%DFe"),
        (b"/a b?c d", "/a%20b?c%20d"),
        (b"/a%20b%2f", "/a%20b%2F"),
        (b"next", "/deep/next"),
        (b"../up#part", "/up"),
        (b"?page=2", "/deep/start?page=2"),
        (b"  /padded  ", "/padded"),
        (b"//127.0.0.1:PORT/same-scheme", "/same-scheme"),
        (b"http://127.0.0.1:PORT", "/"),
    ],
)
def test_a_redirect_is_followed_as_its_bytes_mean_it(
    run: JobRunner, server: HttpServer, location: bytes, asked: str
) -> None:
    server.routes["/deep/start"] = redirect(location.replace(b"PORT", str(server.port).encode()))

    if asked.startswith("/deep/start"):
        answers = iter([redirect(location), Answered(b"ok")])
        server.routes["/deep/start"] = lambda _asked: next(answers)
    else:
        server.routes[asked.partition("?")[0]] = Answered(b"ok")

    run(HttpExtract, url=server.url("/deep/start"), path="x")

    assert [one.path for one in server.asked] == ["/deep/start", asked]


@pytest.mark.parametrize(
    ("location", "told"),
    [
        (b"http://me:pw@127.0.0.1:PORT/", "is redirected, and where it leads holds a user name"),
        (b"ftp://127.0.0.1/", "is redirected, and where it leads is not an http"),
        (b"http://127.0.0.1:99999/", "is redirected, and where it leads cannot be read"),
        (b"http://[::1/", "is redirected, and where it leads cannot be read"),
        (b"/a\r\nLocation: /b", "/start is redirected to more than one place"),
        (b"/a\x01b", "is redirected, and where it leads contains a control character"),
        (b"file:///etc/passwd", "is redirected, and where it leads is not an http"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_told(
    run: JobRunner, server: HttpServer, location: bytes, told: str
) -> None:
    server.routes["/start"] = redirect(location.replace(b"PORT", str(server.port).encode()))

    with pytest.raises(JobFailure, match=told) as caught:
        run(HttpExtract, url=server.url("/start"), path="x")

    assert "pw" not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("host", ["evil.example.com", "bücher.example", "127.0.0.2", "exa mple"])
def test_a_redirect_to_a_host_that_is_not_listed_says_that_it_is_one(
    run: JobRunner, server: HttpServer, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes["/start"] = redirect(f"http://{host}/".encode())
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def lookup(name: str, *arguments: Any, **options: Any) -> Any:
        looked_up.append(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)

    with pytest.raises(HostRefused, match="/start is redirected to a host that is not listed"):
        run(HttpExtract, url=server.url("/start"), path="x")

    assert set(looked_up) <= {"127.0.0.1"}
