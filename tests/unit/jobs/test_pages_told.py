"""Requests and answers seen alone: who is asked, what a page says, and what is told of it."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import HeadraceError, JobFailure
from headrace.jobapi.outbound.allowed_hosts import AllowedHosts
from headrace.jobs.http.pages import PageForm, read_pages
from headrace.jobs.http.pagination import Paginator
from headrace.jobs.http.request import Answer, Request, _charset, refuse_request

URL = "http://h/x"


def test_who_may_not_be_asked_is_refused_unless_only_the_worker_knows_who_it_is():
    allowed = AllowedHosts(["h"])
    refuse_request(Request("http://${HOST}/x"), allowed)
    refuse_request(Request(f"{URL}?key=${{KEY}}", headers={"X": "${KEY}"}), allowed)
    for url in ("http://other/x", "ftp://h/x", "no address"):
        with pytest.raises(HeadraceError):
            refuse_request(Request(url), allowed)
    for url in (URL, "http://${HOST}/x"):
        with pytest.raises(JobFailure, match=r"^the header X has no value"):
            refuse_request(Request(url, headers={"X": " "}), allowed)


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/csv", None),
        ("charset=x", None),
        ("text/csv; charset=latin-1", "latin-1"),
        ('text/csv; header=present; CHARSET = "utf-8" ; charset=other', "utf-8"),
        ("text/csv;charset='x'", "x"),
        ("text/csv; charset=", None),
        ("text/csv; header=present", None),
    ],
)
def test_the_charset_is_the_first_parameter_of_that_name(content_type, charset):
    assert _charset(content_type) == charset


def test_the_first_pages_and_each_hundredth_are_told(caplog):
    """Page by page, as an API of 201 pages with one record each, the last page without any."""
    caplog.set_level("INFO")
    asked: list[str] = []

    def fetch(request: Request, into: Any, **limits: Any) -> Answer:
        asked.append(request.url)
        assert limits == {"most_bytes": 10_000 - 15 * (len(asked) - 1)}
        size = into.write(b'[{"n": \r\n 1}]  ' if len(asked) < 202 else b"[]")
        return Answer(200, size, None, url=request.url)

    paginator = Paginator.read({"type": "page_number"}, "json")
    assert paginator is not None
    form = PageForm("the API", "json", None, (), "append", 10_000)
    exchange: Any = SimpleNamespace(fetch=fetch)
    into = io.BytesIO()

    pages = read_pages(exchange, Request(URL), paginator, form, into, lambda _answer: None)

    assert pages == 202
    assert asked == [f"{URL}?page={number}" for number in range(1, 203)]
    assert into.getvalue() == b'{"n":    1}\n' * 201
    assert caplog.messages == [
        f"Page {number}: 1 row, {number} so far" for number in (*range(1, 11), 100, 200)
    ]
