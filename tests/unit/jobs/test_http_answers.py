"""Answers of servers: pages that follow, records and charsets, packed streams, headers, tokens."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.http.answer_body import (
    records_of,
    refuse_no_file,
    refuse_no_rows,
    text_of,
    value_at,
)
from headrace.jobs.http.client_credentials import ClientCredentials
from headrace.jobs.http.decompression import unpacked, unpackers
from headrace.jobs.http.pagination import (
    Page,
    Paginator,
    next_link,
    with_parameters,
    with_value,
)
from headrace.jobs.http.request import Answer, Request
from headrace.jobs.http.request_headers import HeaderRefused, refuse_headers, with_defaults

URL = "http://h/x?a=1"


def answered(start: bytes = b"", *, status: int = 200, **more) -> Answer:
    return Answer(status, len(start), more.pop("charset", None), start, **more)


# -- pages --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "link"),
    [
        ('<http://h/2>; rel="next"', "http://h/2"),
        ("</2>;rel=next", "/2"),
        ('<1>; rel="prev", <3>; title="a, b"; REL="last Next"', "3"),
        ('< 2 >; rel="next"', "2"),
        ('<2>; rel="nextpage"', None),
        ('<2>; title="next"', None),
        ("<2>", None),
        ("", None),
    ],
)
def test_the_next_page_is_the_link_that_says_so(header, link):
    assert next_link(["<9>; rel=up", header]) == link


def following(
    paginator: dict[str, Any], document: object = None, *, rows: int = 1, number: int = 1, **more
):
    found = Paginator.read(paginator, "json")
    assert found is not None
    page = Page("n", URL, answered(url=URL, **more), json.dumps(document), rows)
    request = found.following(Request(URL), page, number)
    return None if request is None else request.url


CURSOR = {"type": "cursor", "cursor_path": "next.id"}
OFFSET = {"type": "offset", "limit": 10}
NUMBERED = {"type": "page_number"}


@pytest.mark.parametrize(
    ("paginator", "document", "more", "url"),
    [
        ({"type": "header_link"}, {}, {"links": ("</2>; rel=next",)}, "http://h/2"),
        ({"type": "header_link"}, {}, {}, None),
        ({"type": "json_link", "next_url_path": "n"}, {"n": "?a=2"}, {}, "http://h/x?a=2"),
        ({"type": "json_link", "next_url_path": "n"}, {"n": None}, {}, None),
        (CURSOR, {"next": {"id": "k 1"}}, {}, "http://h/x?a=1&cursor=k+1"),
        (CURSOR, {"next": {"id": 7}}, {}, "http://h/x?a=1&cursor=7"),
        (CURSOR, {"next": {"id": ""}}, {}, None),
        (CURSOR, {"next": {"id": False}}, {}, None),
        (CURSOR, {}, {"number": 2}, None),
        ({**CURSOR, "cursor_param": "a"}, {"next": {"id": 2}}, {}, "http://h/x?a=2"),
        (OFFSET, {}, {}, "http://h/x?a=1&offset=10"),
        (OFFSET, {}, {"number": 3}, "http://h/x?a=1&offset=30"),
        ({**OFFSET, "offset": 5, "offset_param": "o"}, {}, {}, "http://h/x?a=1&o=15"),
        (OFFSET, {}, {"rows": 0}, None),
        ({**OFFSET, "total_path": "t"}, {"t": 11}, {}, "http://h/x?a=1&offset=10"),
        ({**OFFSET, "total_path": "t"}, {"t": 10}, {}, None),
        (NUMBERED, {}, {}, "http://h/x?a=1&page=2"),
        ({**NUMBERED, "base_page": 0}, {}, {"number": 2}, "http://h/x?a=1&page=2"),
        (NUMBERED, {}, {"rows": 0}, None),
        ({**NUMBERED, "total_path": "t"}, {"t": "2"}, {}, "http://h/x?a=1&page=2"),
        ({**NUMBERED, "total_path": "t"}, {"t": 1}, {}, None),
    ],
)
def test_the_page_after_an_answer_is_asked_for_or_there_is_none(paginator, document, more, url):
    assert following(paginator, document, **more) == url


@pytest.mark.parametrize(
    ("paginator", "document", "told"),
    [
        (CURSOR, {"next": {"id": [1]}}, "n: 'next.id' is no text and no number: [1]"),
        (CURSOR, {"next": {"id": True}}, "n: 'next.id' is no text and no number: true"),
        (
            {**OFFSET, "total_path": "t"},
            {"t": "many"},
            "n: the total at 't' is no number: \"many\"",
        ),
        ({**OFFSET, "total_path": "t"}, {}, "n: the total at 't' is no number: None"),
        ({**NUMBERED, "total_path": "t"}, {"t": -1}, "n: the total at 't' is no number: -1"),
        (CURSOR, {"next": {"id": 1}, "next.id": 2}, "n: 'next.id' is ambiguous: a key of the"),
    ],
)
def test_an_answer_that_does_not_say_what_it_has_to_is_refused(paginator, document, told):
    with pytest.raises(JobFailure) as refused:
        following(paginator, document)

    assert str(refused.value).startswith(told)


def test_the_first_page_has_its_parameters():
    first = {
        "http://h/x?a=1&offset=0&limit=10": OFFSET,
        "http://h/x?a=1&page=1": NUMBERED,
        URL: CURSOR,
    }
    for url, paginator in first.items():
        found = Paginator.read(paginator, "json")  # type: ignore[arg-type]
        assert found is not None
        assert found.first(URL) == url


def test_a_cursor_goes_into_the_body_as_it_was_written():
    found = Paginator.read({**CURSOR, "cursor_body_path": "v.after"}, "json")
    assert found is not None
    request = Request(URL, "POST", body=b'{"n": 1.5, "v": {"first": 5}}')
    page = Page("n", URL, answered(url=URL), '{"next": {"id": 12345678901234567890.0}}', 1)

    next_one = found.following(request, page, 1)

    assert next_one is not None
    assert json.loads(next_one.body or b"", parse_float=str) == {
        "n": "1.5", "v": {"first": 5, "after": "12345678901234567890.0"},
    }  # fmt: skip
    assert found.following(request, Page("n", URL, answered(url=URL), "{}", 1), 2) is None
    assert with_value(b"{}", "a.b.c", '"x"') == b'{"a": {"b": {"c": "x"}}}'


@pytest.mark.parametrize("body", [b'{"a": 1}', b'{"a": {"b": []}}'])
def test_a_body_without_a_place_for_the_cursor_is_refused(body):
    with pytest.raises(JobFailure, match=r"^paginator.cursor_body_path: the body has no mapping"):
        with_value(body, "a.b.c", "1")


def test_a_parameter_stands_in_place_of_those_of_its_name():
    assert with_parameters("http://h/x?p=1&q=&p=2#f", {"p": 3}) == "http://h/x?q=&p=3#f"


# -- records ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "declared", "rows"),
    [
        (' [{"a": 1.0}, {"b": 2}] ', None, None, ['{"a": 1.0}', '{"b": 2}']),
        ("[]", None, None, []),
        ('{"a": 1}', None, None, ['{"a": 1}']),
        ('{"a": 1}', None, ["A", "z"], ['{"a": 1}']),
        ('{"d": {"items": [{"a": 1}]}}', "d.items", None, ['{"a": 1}']),
        ('{"d.items": [{"a": 1}]}', "d.items", None, ['{"a": 1}']),
        ('{"d": {"x.y": [{"a": 1}]}}', "d.x.y", None, ['{"a": 1}']),
        ('{"d": {"a": 1}}', "d", ["z"], ['{"a": 1}']),
        ('{"d": null}', "d", None, []),
    ],
)
def test_records_are_found_where_they_are(text, path, declared, rows):
    assert records_of(text, "n", path, declared) == rows


@pytest.mark.parametrize(
    ("text", "path", "declared", "told"),
    [
        ("oops", None, None, "n: no JSON: "),
        ("[" * 99_999, None, None, "n: no JSON: "),
        ("[1]", None, None, "n: the document is not a list of objects; set `records` to its path"),
        ("7", None, None, "n: the document is not a list of objects"),
        ("null", None, None, "n: the document is not a list of objects"),
        ('{"d": 7}', "d", None, "n: 'd' is not a list of objects; set `records` to its path"),
        ('{"d": {}}', "d.e.f", None, "n: the answer has no 'd.e.f': 'e' is missing; it begins "),
        ("[{}]", "d", None, "n: the answer has no 'd': 'd' is missing; it begins [{}]"),
        ('{"d": {"e": 1}, "d.e": 2}', "d.e", None, "n: 'd.e' is ambiguous: a key of the answer"),
        ('{"error": 1}', None, ["a", "b"], ("n: the answer is one object, which is a row only where"
         " it has one of the columns a, b (`records` says where a list is): {\"error\": 1}")),
        ('{"error": 1}', None, [], ("n: the answer is one object, which is a row only where it has"
         " declared `columns`")),
    ],
)  # fmt: skip
def test_where_no_records_are_the_answer_is_told(text, path, declared, told):
    with pytest.raises(JobFailure) as refused:
        records_of(text, "n", path, declared)

    assert str(refused.value).startswith(told)


def test_a_value_is_given_as_it_is_written():
    document = '{"a": {"b": 1.10}, "c": null}'
    assert value_at(document, "n", "a.b") == "1.10"
    assert value_at(document, "n", "c") == "null"
    assert value_at(document, "n", "a.x") is None
    assert value_at("[1]", "n", "a") is None


# -- bodies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "charset", "text"),
    [
        ("ä".encode(), None, "ä"),
        ("ä".encode("latin1"), "latin1", "ä"),
        ("ä".encode("utf-8-sig"), "latin1", "ä"),
        ("ä".encode("utf-16"), None, "ä"),
        (b"\xfe\xff" + "ä".encode("utf-16-be"), None, "ä"),
    ],
)
def test_a_mark_tells_the_encoding_before_the_header_does(start, charset, text):
    assert text_of(io.BytesIO(start), answered(start, charset=charset), "n").read() == text


@pytest.mark.parametrize("charset", ["martian", "utf\0"])
def test_an_encoding_that_nobody_knows_is_told(charset):
    with pytest.raises(JobFailure, match=r"^n: the answer is written in '.*', which is unknown$"):
        text_of(io.BytesIO(b"a"), answered(b"a", charset=charset), "n")


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"<!DOCTYPE html><p>", "an HTML page, no csv: it begins '<!DOCTYPE html><p>'"),
        (b"\xef\xbb\xbf \n<HTML lang=en>", "an HTML page, no csv"),
        (b"<!-- a --><html>", "an HTML page, no csv"),
        (b"<?xml version='1.0'?>", "markup (HTML or XML), no csv"),
        (b"<rows/>", "markup (HTML or XML), no csv"),
        (b"</p>", "markup (HTML or XML), no csv"),
        (b"\x1f\x8b\x08", "a gzip stream, no csv: store it with `path`, and load that file"),
        (b"PK\x03\x04", "a zip archive (or a spreadsheet, which is one), no csv: store it"),
    ],
)
def test_an_answer_that_is_no_rows_is_told(start, told):
    with pytest.raises(JobFailure) as refused:
        refuse_no_rows(answered(start), "n", "csv", "append")

    assert str(refused.value).startswith(f"n: the answer is {told}")


@pytest.mark.parametrize("start", [b"<DATE>,<CLOSE>\n", b"<DATE>\t<CLOSE>", b"a<b\n", b"< 5\n"])
def test_a_csv_may_have_names_in_angles(start):
    refuse_no_rows(answered(start), "n", "csv", "replace")


def test_nothing_empties_no_table():
    for kind, status in (("csv", 200), ("json", 200), ("jsonl", 204)):
        with pytest.raises(JobFailure, match=f"^n: the answer {status} has no content, which does"):
            refuse_no_rows(answered(status=status), "n", kind, "replace")
        refuse_no_rows(answered(status=status), "n", kind, "append")
    refuse_no_rows(answered(status=200), "n", "jsonl", "replace")


@pytest.mark.parametrize(
    ("start", "status", "path", "told"),
    [
        (b"", 204, "a.txt", "n: the answer 204 has no content to store as a.txt"),
        (b"", 200, "a.CSV", "n: the answer 200 has no content to store as a.CSV"),
        (b"<html>", 200, "a.csv", "n: the answer is an HTML page, which is not stored as a.csv"),
    ],
)
def test_an_answer_that_is_not_the_file_asked_for_is_refused(start, status, path, told):
    with pytest.raises(JobFailure) as refused:
        refuse_no_file(answered(start, status=status), "n", path)

    assert str(refused.value).startswith(told)


def test_a_page_or_nothing_may_be_what_was_asked_for():
    for path in ("a", "a.html", "a.htm", "a.xhtml", "a.txt", "a.xml"):
        refuse_no_file(answered(b"<html>"), "n", path)
    for path in ("a", "a.txt", "a.jsonl"):
        refuse_no_file(answered(b""), "n", path)


# -- packed streams -----------------------------------------------------------------------


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


DATA = bytes(range(256)) * 1024
BIG = b"a" * (1 << 20)


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("encoding", "sent", "data"),
    [
        ("gzip", gzip.compress(DATA[:999], mtime=0), DATA[:999]),
        ("X-GZIP", gzip.compress(DATA[:999], mtime=0), DATA[:999]),
        (
            "gzip",
            gzip.compress(b"one ", mtime=0) + gzip.compress(b"two", mtime=0) + b"\0" * 9,
            b"one two",
        ),
        ("deflate", zlib.compress(DATA[:999]), DATA[:999]),
        ("deflate", raw_deflate(DATA[:999]), DATA[:999]),
        # A stored block, with bits beside its type that mean nothing: no zlib frame begins so.
        ("deflate", b"\x98\x02\x00\xfd\xffok\x01\x00\x00\xff\xff", b"ok"),
        ("gzip, deflate", zlib.compress(gzip.compress(b"both", mtime=0)), b"both"),
        ("gzip", gzip.compress(BIG, mtime=0), BIG),
        # All of it is taken at once, and one byte more than a piece comes out.
        ("deflate", raw_deflate(b"a" * 65537), b"a" * 65537),
        ("identity", b"plain", b"plain"),
        ("", b"plain", b"plain"),
    ],
)
def test_a_packed_answer_is_unpacked_however_it_comes(encoding, sent, data, size):
    assert b"".join(unpacked(pieces(sent, size), unpackers(encoding, "p"))) == data


@pytest.mark.parametrize(
    ("encoding", "sent", "told"),
    [
        (
            "gzip",
            gzip.compress(DATA, mtime=0)[:-5],
            "p: the answer is truncated: its gzip stream ends",
        ),
        ("gzip", b"", "p: the answer is truncated: its gzip stream ends before its end mark"),
        ("deflate", zlib.compress(DATA)[:-1], "p: the answer is truncated: its deflate stream"),
        (
            "gzip",
            gzip.compress(b"a", mtime=0) + b"x",
            "p: the answer's gzip stream is damaged: there are",
        ),
        (
            "gzip",
            gzip.compress(b"a", mtime=0) + b"\x1f",
            "p: the answer is truncated: its gzip stream",
        ),
        ("deflate", zlib.compress(b"a") + b"\x1f", "p: the answer's deflate stream is damaged: "),
        ("gzip", b"plain text", "p: the answer's gzip stream is damaged: "),
        ("br", b"", "p: the answer is packed with 'br', though only gzip and deflate were asked"),
    ],
)
def test_an_answer_that_is_damaged_or_cut_is_told(encoding, sent, told):
    with pytest.raises(JobFailure) as refused:
        list(unpacked(iter([sent]), unpackers(encoding, "p")))

    assert str(refused.value).startswith(told)


def test_a_small_piece_is_unpacked_within_a_bound():
    sizes = [
        len(one) for one in unpacked(iter([gzip.compress(BIG, mtime=0)]), unpackers("gzip", "p"))
    ]

    assert max(sizes) == 1 << 16
    assert sum(sizes) == len(BIG)


# -- headers and tokens -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"a b": "x"}, "the header 'a b' has no name that HTTP takes"),
        ({"": "x"}, "the header '' has no name that HTTP takes"),
        ({"A": "x", "a": "y"}, "the header a occurs twice: A is the same one"),
        ({"Host": "x"}, "the header Host is set by Headrace itself"),
        ({"content-length": "x"}, "the header content-length is set by Headrace itself"),
        ({"Transfer-Encoding": "x"}, "the header Transfer-Encoding is set by Headrace itself"),
        ({"Connection": "x"}, "the header Connection is set by Headrace itself"),
        ({"Accept-Encoding": "x"}, "the header Accept-Encoding is set by Headrace itself"),
        ({"A": "  "}, "the header A has no value"),
        ({"A": "x\r\nB: y"}, "the header A contains a line break"),
        ({"A": "x\0"}, "the header A contains a line break"),
        ({"A": "x\x7fy"}, "the header A contains a control character"),
        ({"A": "x\x08y"}, "the header A contains a control character"),
        ({"A": "x€"}, "the header A holds a character outside Latin-1 (number 2 of its value)"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(headers, told):
    with pytest.raises(HeaderRefused) as refused:
        refuse_headers(headers)

    assert str(refused.value).startswith(told)


def test_headers_may_hold_tabs_latin_and_secrets():
    refuse_headers({"A": "x\ty", "B": "ä", "X-Key": "${KEY}", "N": 7})
    given = {"ACCEPT": "a"}
    assert with_defaults(given, {"Accept": "b", "User-Agent": "c"}) == {
        "ACCEPT": "a", "User-Agent": "c",
    }  # fmt: skip


def credentials(**more) -> ClientCredentials:
    found = ClientCredentials.read(
        {
            "type": "oauth2_client_credentials",
            "access_token_url": "http://h/token?x=1",
            "client_id": "me",
            "client_secret": "${API_SECRET}",
            **more,
        }
    )
    assert found is not None
    return found


def test_credentials_say_what_they_send():
    assert credentials().data == {"grant_type": "client_credentials"}
    assert credentials().in_body is False
    more = credentials(scope="read", access_token_request_data={"audience": 7},
                       send_credentials="body")  # fmt: skip
    assert more.data == {"grant_type": "client_credentials", "scope": "read", "audience": "7"}
    assert more.in_body is True


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"\xff", "no access token: http://h/token answered without one"),
        (b"no", "no access token: http://h/token answered without one"),
        (b"[]", "no access token: http://h/token answered without one"),
        (b"{}", "no access token: http://h/token answered without one"),
        (b'"x"', "no access token: http://h/token answered without one"),
        (
            b'{"access_token": "x", "expires_in": "soon"}',
            "no access token: http://h/token answered without one",
        ),
        (
            b'{"access_token": "x", "expires_in": null}',
            "no access token: http://h/token answered without one",
        ),
        (
            b'{"access_token": "x", "expires_in": 1' + b"0" * 400 + b"}",
            "no access token: http://h/token answered without one",
        ),
        (b"[" * 100_000, "no access token: http://h/token answered without one"),
        (
            b'{"access_token": "x", "token_type": "mac"}',
            "no access token: http://h/token gives one of the type 'mac', not Bearer",
        ),
        (
            b'{"access_token": "x y"}',
            "no access token: what http://h/token gives is none that a header takes",
        ),
        (
            b'{"access_token": 7}',
            "no access token: what http://h/token gives is none that a header takes",
        ),
    ],
)
def test_an_answer_without_a_token_is_told_without_the_answer(body, told):
    with pytest.raises(JobFailure) as refused:
        credentials()._take(body)

    assert str(refused.value) == told
