"""HttpExtract: what is not the data does not replace the data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from headrace.errors import JobFailure
from headrace.jobapi import Permissions
from headrace.jobs.http_extract import HttpExtract
from tests.support.attempts import JobRunner
from tests.support.http import Answered, HttpServer, http_server

PAGE = b"\n<!-- x --><!DOCTYPE html><html><body>Please sign in</body></html>"
DECLARED = {"id": "integer", "amount": "numeric"}


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
    execute("CREATE TABLE t (id integer, amount numeric DEFAULT 5, status text)")
    execute("INSERT INTO t VALUES (7, 1)")


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize("columns", [None, DECLARED, ["id"]])
@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b'{"error": "quota exceeded"}', "is one object, which is a row only .*quota"),
        (200, b'{"status": "pending"}', "is one object, which is a row only .*pending"),
        (200, b"{}", "is one object"),
        (200, b"", "answer 200 has no content, which does not replace a table's rows"),
        (200, b"null", "not a list of objects"),
        (200, b'"ok"', "not a list of objects"),
        (200, b'[{"error": "quota"}]', "none of the columns that are wanted|no column for 'error'"),
        (200, PAGE, "is an HTML page, no json: it begins .*sign in"),
        (200, b"<?xml version='1.0'?><error/>", r"is markup \(HTML or XML\), no json"),
        (202, b'{"status": "pending"}', "answered 202 Accepted: .*try again later.*pending"),
        (202, b"", "answered 202 Accepted: .*try again later"),
        (204, b"", "answer 204 has no content, which does not replace"),
        (205, b"", "answer 205 has no content, which does not replace"),
        (206, b'[{"id": 1}]', "answered 206 Partial Content: that is a partial answer"),
        (207, b'[{"id": 1}]', "answered 207 Multi-Status: that is not data"),
    ],
)
def test_what_is_not_the_data_does_not_replace_the_data(
    run: JobRunner,
    server: HttpServer,
    query: Any,
    columns: Any,
    status: int,
    body: bytes,
    told: str,
) -> None:
    server.routes["/"] = Answered(body, status=status)

    with pytest.raises(JobFailure, match=told):
        run(HttpExtract, url=server.url(), into="t", mode="replace", columns=columns)

    assert query("SELECT id FROM t") == [(7,)]


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize(
    ("kind", "status", "body", "told"),
    [
        ("csv", 200, PAGE, "is an HTML page, no csv"),
        ("csv", 200, b"", "has no content, which does not replace"),
        ("csv", 200, b"\n", "a header was expected"),
        ("csv", 200, b"Rate limit exceeded\n", "no column"),
        ("json", 200, b" \n", "no JSON"),
        ("csv", 204, b"", "has no content, which does not replace"),
        ("jsonl", 204, b"", "has no content, which does not replace"),
        ("jsonl", 200, b'{"error": "quota"}\n', "no column for 'error'"),
    ],
)
def test_in_other_formats_neither(
    run: JobRunner, server: HttpServer, query: Any, kind: Any, status: int, body: bytes, told: str
) -> None:
    server.routes["/"] = Answered(body, status=status)

    with pytest.raises(JobFailure, match=told):
        run(HttpExtract, url=server.url(), into="t", mode="replace", format=kind)

    assert query("SELECT id FROM t") == [(7,)]


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize(
    ("kind", "status", "mode", "left"),
    [
        ("json", 204, "append", [(7,)]),
        ("csv", 204, "append", [(7,)]),
        ("jsonl", 200, "replace", []),
    ],
)
def test_nothing_new_is_no_failure(
    run: JobRunner, server: HttpServer, query: Any, kind: Any, status: int, mode: Any, left: Any
) -> None:
    server.routes["/"] = Answered(status=status)

    assert run(HttpExtract, url=server.url(), into="t", mode=mode, format=kind)["row_count"] == 0
    assert query("SELECT id FROM t") == left


def test_names_in_angle_brackets_are_no_markup(
    run: JobRunner, server: HttpServer, query: Any
) -> None:
    server.routes["/"] = Answered(b"<DATE>,<CLOSE>\n2026-01-31,5\n")

    run(HttpExtract, url=server.url(), into="u", create=True, format="csv")

    assert query('SELECT "<DATE>", "<CLOSE>" FROM u') == [("2026-01-31", "5")]


def test_a_message_makes_no_table(run: JobRunner, server: HttpServer, query: Any) -> None:
    server.routes["/"] = Answered(b'{"error": "quota exceeded"}')

    with pytest.raises(JobFailure, match="where it has declared `columns`"):
        run(HttpExtract, url=server.url(), into="t", create=True)

    assert query("SELECT to_regclass('t')") == [(None,)]


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize(
    ("with_", "body"),
    [
        ({"columns": ["id"], "mode": "replace"}, b'{"ID": 8, "trace": "x"}'),
        ({"columns": ["id"]}, b'{"id": 8, "trace": "x"}'),
        ({}, b'{"id": 8}'),
        ({"records": "data", "mode": "replace"}, b'{"data": {"id": 8}}'),
    ],
)
def test_a_document_that_is_one_row_is_loaded(
    run: JobRunner, server: HttpServer, query: Any, with_: Any, body: bytes
) -> None:
    server.routes["/"] = Answered(body)

    run(HttpExtract, url=server.url(), into="t", **with_)

    assert query("SELECT id, amount FROM t WHERE id > 7") == [(8, 5)]


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_declared_column_that_no_record_has_is_an_error(
    run: JobRunner, server: HttpServer, query: Any, mode: Any
) -> None:
    server.routes["/"] = Answered(b'[{"id": 1, "total": 2}, {"id": 2}]')

    with pytest.raises(JobFailure, match="no record has the column 'amount'"):
        run(HttpExtract, url=server.url(), into="t", columns=DECLARED, mode=mode)

    assert query("SELECT id FROM t") == [(7,)]


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_declared_column_that_some_records_lack_takes_its_default(
    run: JobRunner, server: HttpServer, query: Any, mode: Any
) -> None:
    server.routes["/"] = Answered(b'[{"id": 1, "amount": 2}, {"id": 2}, {"id": 3, "amount": null}]')

    run(HttpExtract, url=server.url(), into="t", columns=DECLARED, mode=mode)

    assert query("SELECT id, amount FROM t WHERE id < 7 ORDER BY id") == [(1, 2), (2, 5), (3, None)]


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, PAGE, "is an HTML page, which is not stored as x.csv"),
        (202, b"x", "answered 202"),
        (200, b"", "answer 200 has no content to store as x.csv"),
        (204, b"", "answer 204 has no content to store as x.csv"),
        (206, b"x", "which was not requested"),
    ],
)
def test_what_is_not_the_data_does_not_become_the_file(
    run: JobRunner, server: HttpServer, status: int, body: bytes, told: str
) -> None:
    kept = run.project / "exports" / "x.csv"
    kept.parent.mkdir()
    kept.write_bytes(b"old")
    server.routes["/"] = Answered(body, status=status)

    with pytest.raises(JobFailure, match=told):
        run(HttpExtract, url=server.url(), path="x.csv")

    assert [path.read_bytes() for path in kept.parent.iterdir()] == [b"old"]


def test_a_file_that_may_be_empty_is_kept_empty(run: JobRunner, server: HttpServer) -> None:
    server.routes["/"] = Answered(b"")

    assert run(HttpExtract, url=server.url(), path="new.jsonl")["size_bytes"] == 0


def test_a_page_is_kept_as_a_page(run: JobRunner, server: HttpServer) -> None:
    server.routes["/"] = Answered(PAGE)

    run(HttpExtract, url=server.url(), path="page.html")

    assert (run.project / "exports" / "page.html").read_bytes() == PAGE


def test_a_part_that_was_asked_for_is_taken(run: JobRunner, server: HttpServer) -> None:
    server.routes["/"] = Answered(b"abc", status=206)

    run(HttpExtract, url=server.url(), path="x.bin", headers={"range": "bytes=0-2"})

    assert (run.project / "exports" / "x.bin").read_bytes() == b"abc"


# -- where the records are, and how they are written --------------------------------------


@pytest.mark.usefixtures("old_row")
@pytest.mark.parametrize(
    ("records", "body", "ids"),
    [
        ("records", b'{"records": null}', []),
        ("records", b'{"records": []}', []),
        ("data.items", b'{"data.items": [{"id": 1}]}', [1]),
        ("a.b.items", b'{"a.b": {"items": [{"id": 1}]}, "a": {}}', [1]),
        ("a.b.c", b'{"a": {"b.c": [{"id": 1}]}}', [1]),
        ("@odata.context.value", b'{"@odata.context": {"value": [{"id": 1}]}}', [1]),
    ],
)
def test_the_place_of_the_records(
    run: JobRunner, server: HttpServer, query: Any, records: str, body: bytes, ids: list[int]
) -> None:
    server.routes["/"] = Answered(body)

    run(HttpExtract, url=server.url(), into="t", records=records, mode="replace")

    assert query("SELECT id FROM t") == [(one,) for one in ids]


@pytest.mark.parametrize(
    ("records", "body", "told"),
    [
        ("a.b", b'{"a.b": [], "a": {"b": []}}', "'a.b' is ambiguous"),
        ("data", b'{"error": "quota"}', "no 'data': 'data' is missing; it begins .*quota"),
        ("a.b", b'{"a": null}', "'b' is missing"),
        ("a", b'{"a": "x"}', "'a' is not a list of objects"),
    ],
)
def test_a_place_that_is_none_is_told(
    run: JobRunner, server: HttpServer, records: str, body: bytes, told: str
) -> None:
    server.routes["/"] = Answered(body)

    with pytest.raises(JobFailure, match=told):
        run(HttpExtract, url=server.url(), into="t", create=True, records=records)


@pytest.mark.parametrize(
    ("charset", "encoded"),
    [
        ("UTF_8", "utf-8-sig"),
        ("utf8", "utf-8-sig"),
        ("'UTF-8'", "utf-8-sig"),
        ("", "utf-8-sig"),
        ("iso-8859-1", "utf-8-sig"),
        ("ISO_8859-1", "latin-1"),
        ("utf-16le", "utf-16"),
        ("utf-16", "utf-16"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "text"), [("csv", "id\né\n"), ("json", '[{"id": "é"}]'), ("jsonl", '{"id": "é"}\n')]
)
def test_a_byte_order_mark_is_no_part_of_the_first_name(
    run: JobRunner, server: HttpServer, query: Any, charset: str, encoded: str, kind: Any, text: str
) -> None:
    content_type = f"text/x; charset={charset}" if charset else "text/x"
    server.routes["/"] = Answered(text.encode(encoded), headers={"Content-Type": content_type})

    run(HttpExtract, url=server.url(), format=kind, into="u", create=True)

    assert query("SELECT id FROM u") == [("é",)]


@pytest.mark.parametrize("charset", ["klingon", "hex", "a\x00b"])
def test_an_encoding_that_nobody_knows_is_told(
    run: JobRunner, server: HttpServer, charset: str
) -> None:
    server.routes["/"] = Answered(b"[]", headers={"Content-Type": f"x/y; charset={charset}"})

    with pytest.raises(JobFailure, match="which is unknown"):
        run(HttpExtract, url=server.url(), into="t", create=True)


def test_every_digit_of_a_number_arrives(run: JobRunner, server: HttpServer, query: Any) -> None:
    digits = "9" * 5000
    server.routes["/"] = Answered(f'[{{"a": {digits}, "b": 1.10}}]'.encode())

    run(HttpExtract, url=server.url(), into="u", create=True)

    assert query("SELECT a, b FROM u") == [(digits, "1.10")]
