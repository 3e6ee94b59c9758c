"""Each header, status, suffix, mark and key that the HTTP jobs know apart, one by one."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.http import request
from headrace.jobs.http.answer_body import refuse_no_file, text_of
from headrace.jobs.http.client_credentials import ClientCredentials
from headrace.jobs.http.pagination import Paginator
from headrace.jobs.http.request import Answer, Request
from headrace.jobs.http.request_headers import HeaderRefused, harmless, refuse_headers

GIVEN = {
    "type": "oauth2_client_credentials",
    "access_token_url": "http://h/token",
    "client_id": "me",
    "client_secret": "${API_SECRET}",
}


def answered(start: bytes, **more: Any) -> Answer:
    return Answer(200, len(start), more.pop("charset", None), start, **more)


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "transfer-encoding", "Connection", "Accept-Encoding"]
)
def test_what_the_connection_says_by_itself_is_not_written(name: str) -> None:
    with pytest.raises(HeaderRefused, match=f"^the header {name} is set by Headrace itself$"):
        refuse_headers({"A": "b", name: "x"})


def test_another_host_sees_only_what_says_nothing_of_the_sender() -> None:
    given = {
        "Accept": " text/csv ", "accept-language": "de", "User-Agent": "us", "Cookie": "c",
        "Authorization": "Bearer x", "X-Key": "k",
    }  # fmt: skip

    assert harmless(given) == {"Accept": "text/csv", "accept-language": "de", "User-Agent": "us"}
    assert harmless({"User-Agent": "${KEY}"}) == {}


@pytest.mark.parametrize(
    ("status", "data"), [(200, True), (201, True), (203, True), (202, False), (300, False)]
)
def test_a_status_says_whether_an_answer_is_one(status: int, data: bool) -> None:
    asked = Request("http://h/x")
    answer: Any = SimpleNamespace(
        status=status,
        reason="",
        headers={},
        read=lambda *_a, **_k: b"",
        stream=lambda *_a, **_k: iter(()),
    )
    if data:
        request._refuse_status(asked, answer, "GET http://h/x")
    else:
        with pytest.raises(JobFailure):
            request._refuse_status(asked, answer, "GET http://h/x")


@pytest.mark.parametrize("path", ["page", "a.html", "a.HTM", "a.xhtml", "a.txt", "a.xml"])
def test_a_page_is_stored_where_the_name_promises_no_data(path: str) -> None:
    refuse_no_file(answered(b"<!doctype html><html>"), "h", path)


@pytest.mark.parametrize("path", ["a.csv", "a.json", "a.pdf", "a.bin"])
def test_a_page_is_not_stored_as_data(path: str) -> None:
    with pytest.raises(JobFailure, match=f"is an HTML page, which is not stored as {path}"):
        refuse_no_file(answered(b"<!-- x --> <html>"), "h", path)


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        ("é".encode(), None, "é"),
        ("é".encode("latin-1"), "latin-1", "é"),
        ("é".encode("utf-8-sig"), "latin-1", "é"),
        (b"\xff\xfe" + "é".encode("utf-16-le"), "latin-1", "é"),
        (b"\xfe\xff" + "é".encode("utf-16-be"), None, "é"),
    ],
)
def test_a_byte_order_mark_tells_the_encoding_before_the_header_does(
    body: bytes, charset: str | None, text: str
) -> None:
    assert text_of(io.BytesIO(body), answered(body, charset=charset), "h").read() == text


@pytest.mark.parametrize("name", ["access_token_url", "client_id", "client_secret"])
@pytest.mark.parametrize("value", [None, 7])
def test_credentials_need_each_of_three_texts(name: str, value: Any) -> None:
    with pytest.raises(InvalidPayload, match=f"^auth needs {name}, a text$"):
        ClientCredentials.read({**GIVEN, name: value})


def test_credentials_take_each_of_their_other_keys_and_no_more() -> None:
    read = ClientCredentials.read(
        {
            **GIVEN,
            "scope": "all",
            "access_token_request_data": {"audience": 1},
            "send_credentials": "body",
        }
    )

    assert read is not None
    data = {"grant_type": "client_credentials", "scope": "all", "audience": "1"}
    assert (read.data, read.in_body) == (data, True)
    plain = ClientCredentials.read(GIVEN)
    assert plain is not None
    assert (plain.data, plain.in_body) == ({"grant_type": "client_credentials"}, False)
    with pytest.raises(InvalidPayload) as told:
        ClientCredentials.read({**GIVEN, "audience": "x"})
    assert str(told.value) == (
        "auth has no key 'audience'; it takes access_token_url, client_id, client_secret, scope,"
        " access_token_request_data, send_credentials"
    )


@pytest.mark.parametrize(
    ("kind", "key", "value", "wanted"),
    [
        ("offset", "limit", "10", "a number"),
        ("offset", "offset", "0", "a number"),
        ("page_number", "base_page", "1", "a number"),
        ("offset", "offset_param", 1, "a text"),
        ("offset", "limit_param", 1, "a text"),
        ("offset", "total_path", 1, "a text"),
        ("page_number", "page_param", 1, "a text"),
    ],
)
def test_each_key_of_pages_is_a_number_or_a_text(
    kind: str, key: str, value: Any, wanted: str
) -> None:
    needed = {"limit": 10} if kind == "offset" else {}
    with pytest.raises(InvalidPayload) as told:
        Paginator.read({"type": kind, **needed, key: value}, "json")
    assert str(told.value) == f"paginator.{key} is {wanted}, not {value!r}"
