"""HttpExtract takes an answer that has come whole, and nothing that ended early."""

import gzip
import json
import logging
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from headrace.errors import JobFailure
from headrace.jobapi import Permissions
from headrace.jobs.files.atomic_files import partial_name
from headrace.jobs.http_extract import HttpExtract
from tests.support import attempts
from tests.support.attempts import JobRunner
from tests.support.http import Answered, HttpServer, http_server

ROWS = 20_000


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as made:
        yield made


@pytest.fixture
def run(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner(
        {None: target},
        search_path=(tmp_path,),
        project=tmp_path,
        permissions=Permissions(allowed_hosts=("127.0.0.1",)),
    )


@pytest.fixture
def old_row(execute: Any) -> None:
    execute("CREATE TABLE t (id integer)")
    execute("INSERT INTO t VALUES (7)")


def rows_of(kind: str, first: int, last: int) -> bytes:
    line = '{{"id": {}}}\n' if kind == "jsonl" else "{}\n"
    return "".join(line.format(number) for number in range(first, last)).encode()


def packed_until(kind: str, encoding: str, cut: int | None) -> bytes:
    """Return rows that a server flushed half way, and then died; or its first `cut` bytes."""
    windows = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS, "raw": -zlib.MAX_WBITS}
    packer = zlib.compressobj(wbits=windows[encoding])
    begun = packer.compress(b"id\n" if kind == "csv" else b"")
    begun += packer.compress(rows_of(kind, 0, ROWS // 2)) + packer.flush(zlib.Z_SYNC_FLUSH)
    return begun if cut is None else begun[:cut]


def by_length(head: str, body: bytes) -> bytes:
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def by_closing(head: str, body: bytes) -> bytes:
    return f"{head}Connection: close\r\n\r\n".encode() + body


def chunked(head: str, body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    middle = len(body) // 2
    sent = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    for part in (body[:middle], body[middle:]):
        if part:
            sent += f"{len(part):x}\r\n".encode() + part + b"\r\n"
    return sent + end


def head(encoding: str = "", content_type: str = "text/csv", status: str = "200 OK") -> str:
    packed = f"Content-Encoding: {encoding}\r\n" if encoding else ""
    return f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{packed}"


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize("cut", [None, 12, 1])
@pytest.mark.parametrize("sends", [by_length, by_closing, chunked])
@pytest.mark.parametrize(
    ("encoding", "kind"), [("gzip", "csv"), ("gzip", "jsonl"), ("deflate", "csv"), ("raw", "jsonl")]
)
def test_a_cut_packed_answer_fails_and_the_table_keeps_its_rows(
    run: JobRunner,
    server: HttpServer,
    query: Any,
    encoding: str,
    kind: str,
    sends: Callable[[str, bytes], bytes],
    cut: int | None,
) -> None:
    name = "deflate" if encoding == "raw" else encoding
    server.routes["/"] = Answered(raw=sends(head(name), packed_until(kind, encoding, cut)))

    with pytest.raises(JobFailure, match=f"truncated: its {name} stream ends before its end mark"):
        run(HttpExtract, url=server.url(), format=kind, into="t", mode="replace")

    assert query("SELECT * FROM t") == [(7,)]


@pytest.mark.parametrize("path", ["raw.csv", "raw.csv.gz"])
def test_a_cut_download_leaves_no_file_and_the_old_one_alone(
    run: JobRunner, server: HttpServer, path: str
) -> None:
    kept = run.project / "exports" / path
    kept.parent.mkdir()
    kept.write_bytes(b"old")
    server.routes["/"] = Answered(raw=by_length(head("gzip"), packed_until("csv", "gzip", None)))

    with pytest.raises(JobFailure, match="truncated"):
        run(HttpExtract, url=server.url(), path=path)

    assert kept.read_bytes() == b"old"
    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize(
    "raw",
    [
        f"{head()}Content-Length: 100\r\n\r\nid\n1\n".encode(),
        chunked(head(), b"id\n1\n", end=b""),
        chunked(head(), b"id\n1\n2\n")[:-9],
        chunked(head(), b"id\n1\n", end=b"00"),
        by_closing(head(), b""),
        head().encode(),
        head().encode()[:20],
    ],
    ids=[
        "length",
        "no last chunk",
        "inside a chunk",
        "half a length",
        "closed at once",
        "in headers",
        "in a header",
    ],
)
def test_an_answer_that_ends_early_is_told_from_one_that_ended(
    run: JobRunner, server: HttpServer, query: Any, raw: bytes
) -> None:
    server.routes["/"] = Answered(raw=raw)

    with pytest.raises(JobFailure, match=r"broke off|was closed before"):
        run(HttpExtract, url=server.url(), format="csv", into="t", mode="replace")

    assert query("SELECT * FROM t") == [(7,)]


def test_a_length_that_is_no_number_is_told(run: JobRunner, server: HttpServer) -> None:
    server.routes["/"] = Answered(raw=f"{head()}Content-Length: 4a\r\n\r\nid\n1\n".encode())

    with pytest.raises(JobFailure, match="Content-Length is not a number: '4a'"):
        run(HttpExtract, url=server.url(), path="x.csv")


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda plain: zlib.compress(plain)[2:-4]),
        ("identity", bytes),
        ("deflate, gzip", lambda plain: gzip.compress(zlib.compress(plain))),
        ("gzip", lambda plain: gzip.compress(plain[:9]) + gzip.compress(plain[9:])),
        ("gzip", lambda plain: gzip.compress(plain) + bytes(512)),
    ],
    ids=["gzip", "x-gzip", "deflate", "raw", "identity", "two layers", "members", "padding"],
)
@pytest.mark.parametrize("sends", [by_length, by_closing, chunked])
def test_a_packed_answer_that_has_ended_is_loaded(
    run: JobRunner,
    server: HttpServer,
    query: Any,
    encoding: str,
    pack: Callable[[bytes], bytes],
    sends: Callable[[str, bytes], bytes],
) -> None:
    body = pack(b"id\n" + rows_of("csv", 0, ROWS))
    server.routes["/"] = Answered(raw=sends(head(encoding), body))

    run(HttpExtract, url=server.url(), format="csv", into="t", mode="replace")

    assert query("SELECT count(*), max(id) FROM t") == [(ROWS, ROWS - 1)]


@pytest.mark.parametrize(
    ("encoding", "body", "told"),
    [
        (
            "gzip",
            gzip.compress(b"id\n1\n", mtime=0) + b"garbage",
            "there are other bytes after its end",
        ),
        (
            "gzip",
            gzip.compress(b"id\n", mtime=0) + gzip.compress(b"1\n", mtime=0)[:15],
            "truncated",
        ),
        ("gzip", gzip.compress(b"id\n1\n", mtime=0)[:-4] + b"abcd", "gzip stream is damaged"),
        ("gzip", b"id\n1\n", "gzip stream is damaged"),
        ("deflate", zlib.compress(b"id\n1\n") + b"x", "there are other bytes after its end"),
        ("br", b"\x0b\x02\x80", "packed with 'br', though only gzip and deflate"),
        ("zstd", b"\x28\xb5\x2f\xfd", "packed with 'zstd', though"),
        ("", b"\x28\xb5\x2f\xfd", "is compressed with zstd, no csv"),
        ("", gzip.compress(b"id\n1\n", mtime=0), "is a gzip stream, no csv"),
    ],
)
def test_a_packed_answer_that_cannot_be_taken_is_told(
    run: JobRunner, server: HttpServer, encoding: str, body: bytes, told: str
) -> None:
    server.routes["/"] = Answered(raw=by_length(head(encoding), body))

    with pytest.raises(JobFailure, match=told):
        run(HttpExtract, url=server.url(), format="csv", into="t", create=True)


@pytest.mark.parametrize("rows", [0, 3, ROWS])
@pytest.mark.parametrize("twice", [False, True])
def test_a_gz_file_is_kept_as_gzip_whatever_the_answer_says_about_its_way(
    run: JobRunner, server: HttpServer, rows: int, twice: bool
) -> None:
    plain = rows_of("csv", 0, rows)
    body = gzip.compress(gzip.compress(plain)) if twice else gzip.compress(plain)
    server.routes["/x.csv.gz"] = Answered(body, headers={"Content-Encoding": "gzip"})

    result = run(HttpExtract, url=server.url("/x.csv.gz"), path="x.csv.gz")

    kept = (run.project / "exports" / "x.csv.gz").read_bytes()
    assert gzip.decompress(kept) == plain
    assert result["size_bytes"] == len(kept)


def test_a_gz_file_is_bounded_by_what_it_unpacks_to(run: JobRunner, server: HttpServer) -> None:
    server.routes["/"] = Answered(
        gzip.compress(bytes(2 << 20)), headers={"Content-Encoding": "gzip"}
    )

    with pytest.raises(JobFailure, match="more than 1 MB"):
        run(HttpExtract, url=server.url(), path="x.gz", max_mb=1)


def test_what_a_killed_attempt_has_left_of_a_download_is_removed_by_the_next(
    run: JobRunner, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = uuid4()
    monkeypatch.setattr(attempts, "uuid4", lambda: job_id)
    folder = run.project / "exports"
    folder.mkdir()
    (folder / partial_name("x.csv", str(job_id), 0)).write_bytes(b"half")
    server.routes["/"] = Answered(b"id\n")

    run(HttpExtract, url=server.url(), path="x.csv")

    assert [path.name for path in folder.iterdir()] == ["x.csv"]


def test_an_answer_whose_end_nothing_tells_is_warned_of(
    run: JobRunner, server: HttpServer, query: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.routes["/"] = Answered(raw=by_closing(head(), b"id\n1\n"))

    with caplog.at_level(logging.WARNING):
        run(HttpExtract, url=server.url(), format="csv", into="t", create=True)

    assert "the answer has no Content-Length and no chunks: it ends where" in caplog.text
    assert "nothing shows whether it is complete" in caplog.text


def test_a_hint_before_the_answer_is_not_the_answer(
    run: JobRunner, server: HttpServer, query: Any
) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    body = json.dumps([{"id": 1}]).encode()
    server.routes["/"] = Answered(raw=hints * 2 + by_length(head(), body))

    run(HttpExtract, url=server.url(), into="t", create=True)

    assert query("SELECT id FROM t") == [("1",)]
