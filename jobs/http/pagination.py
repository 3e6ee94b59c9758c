"""Follows the pages of an API: which request comes after an answer, if any."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from headrace.errors import InvalidPayload, JobFailure
from headrace.errors.shortened import shortened
from headrace.jobapi import logger
from headrace.jobapi.outbound.urls import followed
from headrace.jobs.files.json_text import decode
from headrace.jobs.http.answer_body import value_at
from headrace.jobs.http.request import Answer, Request
from headrace.model import exact_json

PaginatorGiven = dict[str, str | int | None]
_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[^\s=;,"<>]+(?:\s*=\s*(?:"[^"]*"|[^\s;,"<>]+))?)*)')
_PARAMETER = re.compile(r';\s*([^\s=;,"<>]+)\s*=\s*(?:"([^"]*)"|([^\s;,"<>]+))')
_KEYS: dict[str, dict[str, Any]] = {
    "header_link": {},
    "json_link": {"next_url_path": None},
    "cursor": {"cursor_path": None, "cursor_param": "cursor", "cursor_body_path": ""},
    "offset": {
        "limit": None,
        "offset": 0,
        "offset_param": "offset",
        "limit_param": "limit",
        "total_path": "",
    },
    "page_number": {"base_page": 1, "page_param": "page", "total_path": ""},
}
"""The keys of each type with their defaults; None has to be given."""
_NUMBERS = ("limit", "offset", "base_page")
_MOST_PAGES = 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """An answer, the address that was asked, its document, if it is JSON, and its rows."""

    name: str
    url: str
    answer: Answer
    document: str = ""
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Paginator:
    """How an API is read page by page. `keys` are those of its type."""

    kind: str
    keys: Mapping[str, Any]
    max_pages: int

    @classmethod
    def read(cls, given: PaginatorGiven | None, format: str) -> Self | None:  # noqa: A002
        """Read the parameter `paginator`.

        Raises:
            InvalidPayload: saying what is wrong with it.
        """
        if given is None:
            return None
        kind = given.get("type")
        if kind not in _KEYS:
            raise InvalidPayload(f"paginator.type is one of {', '.join(_KEYS)}, not {kind!r}")
        known = _KEYS[str(kind)]
        unknown = sorted(given.keys() - known.keys() - {"type", "max_pages"})
        if unknown:
            takes = ", ".join([*known, "max_pages"])
            raise InvalidPayload(f"paginator {kind} has no key {unknown[0]!r}; it takes {takes}")
        keys = {name: given.get(name, default) for name, default in known.items()}
        _refuse_values(str(kind), keys, given)
        if kind != "header_link" and format != "json":
            raise InvalidPayload(f"paginator {kind} reads JSON documents: it needs format: json")
        most = given.get("max_pages", _MOST_PAGES)
        if not isinstance(most, int) or most < 1:
            raise InvalidPayload("paginator.max_pages is a number of at least 1")
        return cls(str(kind), keys, most)

    def first(self, url: str) -> str:
        """Return the address of the first page."""
        if self.kind == "offset":
            keys = self.keys
            pairs = {keys["offset_param"]: keys["offset"], keys["limit_param"]: keys["limit"]}
            return with_parameters(url, pairs)
        if self.kind == "page_number":
            return with_parameters(url, {self.keys["page_param"]: self.keys["base_page"]})
        return url

    @property
    def in_body(self) -> bool:
        """Whether the next page is asked for in the body."""
        return bool(self.keys.get("cursor_body_path"))

    def refuse_request(self, method: str, body: object) -> None:
        """Refuse a request that cannot carry the cursor.

        Raises:
            InvalidPayload: it has no body that is a mapping.
        """
        if self.in_body and (method != "POST" or not isinstance(body or {}, dict)):
            raise InvalidPayload(
                "paginator.cursor_body_path needs method: POST and a body that is a mapping"
            )

    def following(self, request: Request, page: Page, number: int) -> Request | None:
        """Return the request for the page after the `number`th one; None after the last.

        Raises:
            JobFailure: the answer does not say what it has to.
        """
        if self.in_body:
            cursor = self._cursor(page, self.keys["cursor_path"], number)
            if cursor is None:
                return None
            body = with_value(request.body or b"{}", self.keys["cursor_body_path"], cursor)
            return replace(request, body=body)
        url = self._following_url(page, number)
        if url is None:
            return None
        return replace(request, url=followed(urlsplit(page.answer.url), url).geturl())

    def _following_url(self, page: Page, number: int) -> str | None:
        """Return the next page's address, which may be relative to the page's own."""
        if self.kind == "header_link":
            return next_link(page.answer.links)
        if self.kind == "json_link":
            return self._said(page, self.keys["next_url_path"], number)
        if self.kind == "cursor":
            cursor = self._said(page, self.keys["cursor_path"], number)
            if cursor is None:
                return None
            return with_parameters(page.url, {self.keys["cursor_param"]: cursor})
        total = self._total(page)
        if self.kind == "offset":
            at = self.keys["offset"] + number * self.keys["limit"]
            if page.rows == 0 or (total is not None and at >= total):
                return None
            return with_parameters(page.url, {self.keys["offset_param"]: at})
        if page.rows == 0 or (total is not None and number >= total):
            return None
        return with_parameters(page.url, {self.keys["page_param"]: self.keys["base_page"] + number})

    def _said(self, page: Page, path: str, number: int) -> str | None:
        cursor = self._cursor(page, path, number)
        return None if cursor is None else str(decode(cursor))

    def _cursor(self, page: Page, path: str, number: int) -> str | None:
        """Return a text or number of the document as JSON; nothing, null and "" end the pages."""
        raw = value_at(page.document, page.name, path)
        if raw is None and number == 1:
            # Some APIs leave it out of the last page, and a misspelt path looks the same.
            logger.warning("%s: the first page has no %r: no other is read", page.name, path)
        if raw is None or raw in ("null", '""', "false"):
            return None
        value = decode(raw)
        if not isinstance(value, str) or raw == "true":
            raise JobFailure(f"{page.name}: {path!r} is no text and no number: {shortened(raw)}")
        return raw

    def _total(self, page: Page) -> int | None:
        path = self.keys["total_path"]
        if not path:
            return None
        raw = value_at(page.document, page.name, path)
        if raw is None or not raw.strip('"').isdecimal():
            raise JobFailure(f"{page.name}: the total at {path!r} is no number: {raw}")
        return int(raw.strip('"'))


def _refuse_values(kind: str, keys: Mapping[str, Any], given: PaginatorGiven) -> None:
    for name, value in keys.items():
        if value is None:
            raise InvalidPayload(f"paginator {kind} needs {name}")
        if isinstance(value, int) != (name in _NUMBERS):
            wanted = "a number" if name in _NUMBERS else "a text"
            raise InvalidPayload(f"paginator.{name} is {wanted}, not {value!r}")
    if "cursor_param" in given and "cursor_body_path" in given:
        raise InvalidPayload(
            "paginator cursor takes cursor_param, a parameter of the URL, or cursor_body_path, "
            "a place in the body"
        )
    if keys.get("limit") is not None and keys["limit"] < 1:
        raise InvalidPayload("paginator.limit must be at least 1")


def next_link(headers: Iterable[str]) -> str | None:
    """Return where the link with rel="next" leads, of headers Link (RFC 8288)."""
    for header in headers:
        for link in _LINK.finditer(header):
            for name, quoted, plain in _PARAMETER.findall(link[2]):
                if name.lower() == "rel" and "next" in (quoted or plain).lower().split():
                    return link[1].strip()
    return None


def with_value(body: bytes, path: str, value: str) -> bytes:
    """Return a JSON body with a value, written in JSON, at a path such as `variables.after`.

    Raises:
        JobFailure: something else than a mapping is on the way.
    """
    document = exact_json.loads(body)
    inner: Any = document
    *way, last = path.split(".")
    for key in way:
        inner = inner.setdefault(key, {}) if isinstance(inner, dict) else None
    if not isinstance(inner, dict):
        raise JobFailure(f"paginator.cursor_body_path: the body has no mapping for {path!r}")
    inner[last] = exact_json.loads(value)
    return exact_json.dumps(document).encode()


def with_parameters(url: str, pairs: Mapping[str, Any]) -> str:
    """Return a URL with these parameters in place of those of the same names."""
    split = urlsplit(url)
    kept = [(k, v) for k, v in parse_qsl(split.query, keep_blank_values=True) if k not in pairs]
    query = urlencode([*kept, *((name, str(value)) for name, value in pairs.items())])
    return split._replace(query=query).geturl()
