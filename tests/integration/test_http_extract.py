"""HttpExtract, against real servers on this machine."""

import gzip
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import Permissions
from headrace.jobapi.outbound.allowed_hosts import HostRefused
from headrace.jobs.http_extract import HttpExtract
from headrace.observe import redaction
from tests.support.attempts import JobRunner
from tests.support.http import Answered, HttpServer, http_server

SECRET = "canary-4kLw8Rt"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as made:
        yield made


@pytest.fixture
def other() -> Iterator[HttpServer]:
    with http_server() as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_hidden() -> Iterator[None]:
    yield
    redaction.forget()


def runner_for(target: Engine, folder: Path, *allowed: str) -> JobRunner:
    return JobRunner(
        {None: target},
        search_path=(folder,),
        project=folder,
        permissions=Permissions(allowed_hosts=allowed),
    )


@pytest.fixture
def run(target: Engine, tmp_path: Path) -> JobRunner:
    return runner_for(target, tmp_path, "127.0.0.1")


ORDERS = [{"id": 1, "name": "a\tb\n", "tags": ["x"]}, {"id": 2, "total": 1.5, "name": None}]


def test_a_json_document_is_loaded_into_a_new_table(
    run: JobRunner, server: HttpServer, query: Any
) -> None:
    server.routes["/orders"] = Answered(json.dumps({"data": {"items": ORDERS}}).encode())

    result = run(
        HttpExtract,
        url=server.url("/orders"),
        query={"since": "2026-01-31", "tag": ["a b", "c&d"], "open": True, "none": None},
        records="data.items",
        into="staging.orders",
        create=True,
    )

    assert result == {"row_count": 2, "table": "staging.orders"}
    assert query("SELECT id, name, tags, total FROM staging.orders ORDER BY id") == [
        ("1", "a\tb\n", '["x"]', None),
        ("2", None, None, "1.5"),
    ]
    asked = server.asked[0]
    assert asked.path == "/orders?since=2026-01-31&tag=a+b&tag=c%26d&open=true"
    assert asked.headers["Accept"] == "application/json"


@pytest.mark.parametrize("kind", ["jsonl", "ndjson"])
def test_json_lines_are_loaded_and_other_keys_left_out(
    run: JobRunner, server: HttpServer, query: Any, kind: str
) -> None:
    lines = "".join(json.dumps(one) + "\n" for one in ORDERS)
    server.routes["/"] = Answered(
        gzip.compress(lines.encode()), headers={"Content-Encoding": "gzip"}
    )
    with_ = {"into": "t", "create": True, "columns": {"id": "integer", "total": "numeric"}}

    run(HttpExtract, url=server.url(), format=kind, **with_)

    assert query("SELECT id, total::text FROM t ORDER BY id") == [(1, None), (2, "1.5")]


def test_a_csv_replaces_the_rows_of_its_table(
    run: JobRunner, server: HttpServer, query: Any, execute: Any
) -> None:
    execute("CREATE TABLE t (id integer, name text)")
    execute("INSERT INTO t VALUES (9, 'old')")
    server.routes["/"] = Answered(
        "id;name\n1;é\n".encode("latin-1"), headers={"Content-Type": 'text/csv; charset="latin-1"'}
    )

    run(HttpExtract, url=server.url(), format="csv", delimiter=";", into="t", mode="replace")

    assert query("SELECT * FROM t") == [(1, "é")]


@pytest.mark.parametrize(
    ("body", "mode", "left"),
    [(b"[]", "replace", []), (b"[]", "append", [(1,)]), (b"", "append", [(1,)])],
)
def test_an_answer_without_records_is_no_failure(
    run: JobRunner, server: HttpServer, query: Any, execute: Any, body: bytes, mode: str, left: Any
) -> None:
    execute("CREATE TABLE t AS SELECT 1 AS id")
    server.routes["/"] = Answered(body)

    assert run(HttpExtract, url=server.url(), into="t", mode=mode)["row_count"] == 0
    assert query("SELECT * FROM t") == left


def test_rows_that_do_not_fit_leave_the_table_alone(
    run: JobRunner, server: HttpServer, query: Any, execute: Any
) -> None:
    execute("CREATE TABLE t AS SELECT 9 AS id")
    server.routes["/"] = Answered(b'[{"id": 1}, {"id": "x"}]')

    with pytest.raises(JobFailure, match=":2: column id"):
        run(HttpExtract, url=server.url(), into="t", mode="replace")

    assert query("SELECT * FROM t") == [(9,)]


def test_an_answer_is_kept_as_a_file(run: JobRunner, server: HttpServer) -> None:
    server.routes["/"] = Answered(b"\x00\x01")

    result = run(HttpExtract, url=server.url(), path="in/raw.bin")

    assert result == {"size_bytes": 2, "path": "in/raw.bin"}
    assert (run.project / "exports" / "in" / "raw.bin").read_bytes() == b"\x00\x01"
    with pytest.raises(JobFailure, match="leaves the output folders"):
        run(HttpExtract, url=server.url(), path="../raw.bin")


def test_a_failed_answer_leaves_no_file(run: JobRunner, server: HttpServer) -> None:
    server.routes["/"] = Answered(b"gone\nfor good", status=410)

    with pytest.raises(JobFailure, match="answered 410 Gone: gone"):
        run(HttpExtract, url=server.url(), path="raw.bin")

    assert list(run.project.rglob("raw*")) == []


def test_a_body_is_posted_as_json(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    server.routes["/"] = Answered(b"[]")

    run(
        HttpExtract,
        url=server.url(),
        method="POST",
        body={"token": "${SHOP_TOKEN}", "n": [1]},
        path="x",
    )

    assert json.loads(server.asked[0].body) == {"token": SECRET, "n": [1]}
    assert server.asked[0].headers["Content-Type"] == "application/json"


def test_more_than_max_mb_is_refused_while_it_comes(run: JobRunner, server: HttpServer) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65536

    server.routes["/"] = Answered(chunks=endless())

    with pytest.raises(JobFailure, match="more than 1 MB"):
        run(HttpExtract, url=server.url(), path="x", max_mb=1)


def test_a_small_packed_answer_cannot_unpack_to_more(run: JobRunner, server: HttpServer) -> None:
    server.routes["/"] = Answered(
        gzip.compress(bytes(50 << 20)), headers={"Content-Encoding": "gzip"}
    )

    with pytest.raises(JobFailure, match="more than 1 MB"):
        run(HttpExtract, url=server.url(), path="x", max_mb=1)


def test_an_answer_that_breaks_off_fails(run: JobRunner, server: HttpServer) -> None:
    server.routes["/"] = Answered(headers={"Content-Length": "100"}, chunks=iter([b"[1,"]))

    with pytest.raises(JobFailure, match="broke off"):
        run(HttpExtract, url=server.url(), into="t")


def test_a_server_that_is_not_there_is_named_without_python_s_objects(run: JobRunner) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(JobFailure, match=rf"127\.0\.0\.1:{port}/ cannot be reached") as caught:
            run(HttpExtract, url=f"http://127.0.0.1:{port}/", into="t")
    assert "object at" not in str(caught.value)


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({}, "either into or path"),
        ({"into": "t", "path": "x"}, "either into or path"),
        ({"into": "t", "body": {}}, "method: POST"),
        ({"into": "t", "format": "csv", "records": "a"}, "format: json"),
        ({"into": "t", "max_mb": 0}, "max_mb"),
    ],
)
def test_what_does_not_go_together_is_refused(with_: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidPayload, match=told):
        HttpExtract(url="https://x", **with_)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("ftp://127.0.0.1/x", "not an http"),
        ("file:///etc/passwd", "not an http"),
        ("http:///x", "not an http"),
        ("http://a:b@127.0.0.1/", "user name"),
        ("http://127.0.0.1/a\r\nX: y", "line break"),
        ("http://127.0.0.1:99999/", "cannot be read"),
    ],
)
def test_an_address_that_is_none_is_refused(run: JobRunner, url: str, told: str) -> None:
    with pytest.raises(JobFailure, match=told):
        run(HttpExtract, url=url, into="t")


def test_a_document_without_records_is_told(run: JobRunner, server: HttpServer) -> None:
    for body, told in [
        (b"{", "no JSON"),
        (b"[1]", "not a list of objects"),
        (b'{"a": {}}', "'items' is missing"),
        (b"\xff", "is not utf-8"),
        (b"[" * 100_000, "no JSON"),
    ]:
        server.routes["/"] = Answered(body)
        records = "a.items" if body.startswith(b'{"a"') else None
        with pytest.raises(JobFailure, match=told):
            run(HttpExtract, url=server.url(), into="t", records=records)


# -- hosts --------------------------------------------------------------------------------


def test_a_host_that_is_not_listed_is_not_asked(
    target: Engine, tmp_path: Path, server: HttpServer
) -> None:
    with pytest.raises(HostRefused, match=r"http\.allowed_hosts"):
        runner_for(target, tmp_path)(HttpExtract, url=server.url(), into="t")

    assert server.asked == []


@pytest.mark.parametrize(
    "target_url",
    [
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://2130706433:{port}/",
        "//169.254.169.254/latest/meta-data/",
        "https://example.org/",
    ],
)
def test_a_redirect_leads_to_listed_hosts_only(
    run: JobRunner, server: HttpServer, target_url: str
) -> None:
    server.redirect("/", target_url.format(port=server.port))

    with pytest.raises(HostRefused, match="not among"):
        run(HttpExtract, url=server.url(), path="x")

    assert len(server.asked) == 1


def test_a_redirect_to_a_listed_name_that_leads_to_a_private_address_is_refused(
    target: Engine,
    tmp_path: Path,
    server: HttpServer,
    other: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve(monkeypatch, {"api.example.com": ["127.0.0.1"]})
    server.redirect("/", other.url(host="api.example.com"))
    run = runner_for(target, tmp_path, f"127.0.0.1:{server.port}", "api.example.com")

    with pytest.raises(HostRefused, match=r"resolves to 127\.0\.0\.1, a private address"):
        run(HttpExtract, url=server.url(), path="x")

    assert len(server.asked) == 1
    assert other.asked == []


def test_the_address_that_was_looked_at_is_the_one_that_is_asked(
    target: Engine, tmp_path: Path, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that means something else a moment later changes nothing."""
    looked_up = resolve(monkeypatch, {"api.example.com": ["127.0.0.1"]})
    server.routes["/"] = Answered(b"ok")
    run = runner_for(target, tmp_path, "api.example.com", "127.0.0.1")

    run(HttpExtract, url=server.url(host="api.example.com"), path="x")

    assert looked_up.count("api.example.com") == 1
    assert server.asked[0].headers["Host"] == f"api.example.com:{server.port}"


def resolve(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> list[str]:
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(str(host))
        if host in names:
            return [(2, 1, 6, "", (address, port)) for address in names[host]]
        return real(host, port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def test_secrets_stay_with_the_host_that_they_are_for(
    run: JobRunner, server: HttpServer, other: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    server.redirect("/", "/again")
    server.redirect("/again", other.url())
    other.routes["/"] = Answered(b"ok")
    headers = {"Authorization": "Bearer ${SHOP_TOKEN}", "X-Key": "k", "Accept": "text/plain"}

    run(HttpExtract, url=server.url(), headers=headers, path="x")

    first, again = (one.headers for one in server.asked)
    elsewhere = other.asked[0].headers
    assert first["Authorization"] == again["Authorization"] == f"Bearer {SECRET}"
    assert again["X-Key"] == "k"
    assert "Authorization" not in elsewhere and "X-Key" not in elsewhere
    assert elsewhere["Accept"] == "text/plain"
    assert redaction.redacted(f"it was {SECRET}") == "it was ***"


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding"])
def test_headers_of_the_connection_cannot_be_set(
    run: JobRunner, server: HttpServer, name: str
) -> None:
    with pytest.raises(JobFailure, match=name):
        run(HttpExtract, url=server.url(), headers={name: "x"}, path="x")


def test_a_header_cannot_hold_a_line_break(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "a\r\nX-Evil: 1")

    with pytest.raises(JobFailure, match="line break") as caught:
        run(HttpExtract, url=server.url(), headers={"A": "${SHOP_TOKEN}"}, path="x")

    assert "Evil" not in str(caught.value)


def test_redirects_end(run: JobRunner, server: HttpServer) -> None:
    server.redirect("/", "/")

    with pytest.raises(JobFailure, match="more than 5 redirects"):
        run(HttpExtract, url=server.url(), path="x")


def test_a_proxy_of_the_environment_is_not_used(
    run: JobRunner, server: HttpServer, other: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, other.url())
    monkeypatch.delenv("no_proxy", raising=False)
    server.routes["/"] = Answered(b"ok")

    run(HttpExtract, url=server.url(), path="x")

    assert other.asked == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of the name shop.example.com, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl")
    path = tmp_path_factory.mktemp("tls") / "shop.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=shop", "-addext", "subjectAltName=DNS:shop.example.com",
         "-keyout", str(path.with_suffix(".key")), "-out", str(path.with_suffix(".crt"))],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.with_suffix(".key").read_text() + path.with_suffix(".crt").read_text())
    return path


def test_tls_is_checked_by_the_name_though_the_address_is_asked(
    target: Engine, tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ["127.0.0.1"]
    resolve(monkeypatch, {"shop.example.com": here, "evil.example.com": here})
    run = runner_for(target, tmp_path, "*.example.com", "127.0.0.1")
    with http_server(certificate) as server:
        server.routes["/"] = Answered(b"ok")
        server.redirect("/plain", "http://shop.example.com/")

        def ask(host: str, path: str = "/") -> Any:
            return run(HttpExtract, url=server.url(path, host=host, scheme="https"), path="x")

        with pytest.raises(JobFailure, match="certificate verify failed"):
            ask("shop.example.com")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
        assert ask("shop.example.com")["size_bytes"] == 2
        with pytest.raises(JobFailure, match="evil"):
            ask("evil.example.com")
        with pytest.raises(JobFailure, match="from https to http"):
            ask("shop.example.com", "/plain")


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_over_tls_a_connection_that_was_cut_is_told_from_one_that_was_closed(
    target: Engine,
    tmp_path: Path,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    says_goodbye: bool,
) -> None:
    resolve(monkeypatch, {"shop.example.com": ["127.0.0.1"]})
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    run = runner_for(target, tmp_path, "*.example.com", "127.0.0.1")
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nid\n1\n"
    with http_server(certificate) as server:
        server.routes["/"] = Answered(raw=raw, says_goodbye=says_goodbye)
        url = server.url(host="shop.example.com", scheme="https")
        if says_goodbye:
            assert run(HttpExtract, url=url, path="x.csv")["size_bytes"] == 5
            return
        with pytest.raises(JobFailure, match="broke off"):
            run(HttpExtract, url=url, path="x.csv")
