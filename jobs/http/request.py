"""One HTTP request of a job: to hosts that are allowed, to addresses that were looked at.

urllib3 sends it; every redirect is looked at here like the first request. Proxies that the
environment names are not used: they would resolve the name a second time. Pieces come from it as
they were sent: it unpacks them without asking whether all has come.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import SplitResult

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.errors.shortened import shortened
from headrace.jobapi.outbound.allowed_hosts import AllowedHosts, HostRefused
from headrace.jobapi.outbound.failures import reason_of
from headrace.jobapi.outbound.urls import (
    checked,
    followed,
    host_header,
    origin,
    port_of,
    shown,
    target_of,
)
from headrace.jobs.http.received_body import EMPTY, tells_its_end, unpacked_body
from headrace.jobs.http.request_headers import harmless, refuse_headers, revealed, with_defaults

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

MOST_REDIRECTS = 5

_START_BYTES = 1 << 10
_TOLD_CHARACTERS = 300
_GZIP = b"\x1f\x8b"
_REDIRECTS = (301, 302, 303, 307, 308)
_WITH_DATA = (200, 201, 203)
_WHY_NO_DATA = {
    202: "the server has accepted the request, but has no answer yet: try again later (`retry`)",
    206: "that is a partial answer, which was not requested (no header Range)",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `headers` may still hold `${NAME}`: not every host may see the value."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: `size_bytes` of it were written, `start` is how it begins when it is unpacked.

    `charset` is None where nothing says it. `ends_by_closing`: only the closed connection says that
    all of it has come; without TLS a server that has failed closes it in the same way. `url` is the
    address that has answered, `links` are its headers Link.
    """

    status: int
    size_bytes: int
    charset: str | None
    start: bytes = b""
    ends_by_closing: bool = False
    url: str = ""
    links: tuple[str, ...] = ()

    @property
    def has_content(self) -> bool:
        """Return whether its status lets it have any: 204 does not."""
        return self.status not in EMPTY


class NoData(JobFailure):
    """An answer whose status says that it is none; `retry_after` is its header of that name."""

    def __init__(self, said: str, status: int, retry_after: str | None) -> None:
        super().__init__(said)
        self.status, self.retry_after = status, retry_after


def refuse_request(request: Request, allowed: AllowedHosts) -> None:
    """Refuse what no server need be asked about: a URL, a host, a header.

    Raises:
        HostRefused: the host may not be spoken to.
        JobFailure: the URL or a header cannot be sent.
    """
    refuse_headers(request.headers)
    if not jobapi.names_secret(request.url):
        url = checked(request.url)
        allowed.refuse_unlisted(url.hostname or "", port_of(url))


def fetch(
    request: Request,
    into: IO[bytes],
    *,
    allowed: AllowedHosts,
    most_bytes: int,
    keep_gzip: bool = False,
) -> Answer:
    """Send a request, follow its redirects, and write the body, unpacked, into a file.

    With `keep_gzip` an answer that was packed with gzip on its way is written as it came.

    Raises:
        HostRefused: the host, or one that a redirect leads to, may not be spoken to.
        JobFailure: no answer, one without data, one that ended early, or more than `most_bytes`.
    """
    url = checked(request.url)
    headers = revealed(request.headers)
    for _ in range(MOST_REDIRECTS + 1):
        with _answered(request, url, headers, allowed) as answer:
            targets = answer.headers.getlist("location") if answer.status in _REDIRECTS else []
            if not targets:
                _refuse_status(request, answer, _place(request, url))
                taken = _taken(answer, into, _place(request, url), most_bytes, keep_gzip)
                # TLS tells a connection that was closed from one that was cut.
                unsure = taken.ends_by_closing and url.scheme != "https"
                links = tuple(answer.headers.getlist("link"))
                return replace(taken, ends_by_closing=unsure, url=url.geturl(), links=links)
        following = _redirected(request, url, targets, allowed)
        if origin(following) != origin(url):
            headers = harmless(request.headers)
        url = following
    raise JobFailure(f"{shown(url)}: more than {MOST_REDIRECTS} redirects")


def _place(request: Request, url: SplitResult) -> str:
    return f"{request.method} {shown(url)}"


def _refuse_status(request: Request, answer: "BaseHTTPResponse", place: str) -> None:
    status = answer.status
    if status in (*_WITH_DATA, *EMPTY):
        return
    if status == HTTPStatus.PARTIAL_CONTENT and any(n.lower() == "range" for n in request.headers):
        return
    try:
        told = next(unpacked_body(answer, place), b"").decode("utf-8", "replace")
    except JobFailure:
        told = ""  # The status says more than that its text is cut.
    text = shortened(jobapi.redacted(told).strip(), _TOLD_CHARACTERS)
    why = _WHY_NO_DATA.get(status, "that is not data" if 200 <= status < 300 else "")
    told = "; it says: ".join(filter(None, (why, text))) or "without a word"
    said = f"{place} answered {status} {answer.reason or ''}: {told}"
    raise NoData(said, status, answer.headers.get("retry-after"))


def _taken(
    answer: "BaseHTTPResponse", into: IO[bytes], place: str, most_bytes: int, keep_gzip: bool
) -> Answer:
    size, written, start = 0, 0, b""
    sent: list[bytes] = []
    keeps: bool | None = None if keep_gzip and _is_gzip(answer) else False
    for piece in unpacked_body(answer, place, sent if keeps is None else None):
        size += len(piece)
        if size > most_bytes:
            raise JobFailure(f"{place}: the answer has more than {most_bytes >> 20} MB (max_mb)")
        if len(start) < _START_BYTES:
            start = (start + piece)[:_START_BYTES]
        if keeps is None:
            # What is gzip below that was packed twice, and the file is what was packed.
            keeps = not start.startswith(_GZIP)
        written += sum(map(into.write, sent)) if keeps else into.write(piece)
        sent.clear()
    if keeps is not False:
        written += sum(map(into.write, sent))
    charset = _charset(answer.headers.get("content-type", ""))
    packed = answer.headers.get("content-encoding", "").strip().lower() not in ("", "identity")
    unsure = size > 0 and not (packed or tells_its_end(answer))
    return Answer(answer.status, written, charset, start, ends_by_closing=unsure)


def _is_gzip(answer: "BaseHTTPResponse") -> bool:
    return answer.headers.get("content-encoding", "").strip().lower() in ("gzip", "x-gzip")


@contextmanager
def _answered(
    request: Request, url: SplitResult, headers: Mapping[str, str], allowed: AllowedHosts
) -> Iterator["BaseHTTPResponse"]:
    """Give the answer of the first of the host's addresses that can be connected to."""
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

    from headrace.jobapi.outbound.pinned_connection import (
        pool_to,  # It brings urllib3, which other jobs do not need.
    )

    assert url.hostname is not None
    addresses = allowed.addresses(url.hostname, port_of(url))
    for position, address in enumerate(addresses, 1):
        pool = pool_to(url, address)
        try:
            answer = _send(pool, request, url, headers)
        except (NewConnectionError, ConnectTimeoutError) as error:
            pool.close()
            if position < len(addresses):
                continue
            raise JobFailure(f"{shown(url)} cannot be reached: {reason_of(error)}") from None
        except (HTTPError, OSError) as error:
            pool.close()
            raise JobFailure(f"{shown(url)} gave no answer: {reason_of(error)}") from None
        try:
            yield answer
        finally:
            answer.close()
            pool.close()
        return


def _send(
    pool: Any, request: Request, url: SplitResult, headers: Mapping[str, str]
) -> "BaseHTTPResponse":
    sent: BaseHTTPResponse = pool.urlopen(
        request.method,
        target_of(url),
        body=request.body,
        headers={
            **with_defaults(headers, {"User-Agent": "headrace"}),
            "Accept-Encoding": "gzip, deflate",
            "Host": host_header(url),
        },
        retries=False,
        redirect=False,
        preload_content=False,
    )
    return sent


def _redirected(
    request: Request, url: SplitResult, targets: list[str], allowed: AllowedHosts
) -> SplitResult:
    if len(set(targets)) > 1:
        raise JobFailure(f"{shown(url)} is redirected to more than one place")
    following = followed(url, targets[0])
    if request.method != "GET":
        raise JobFailure(f"{request.method} {shown(url)} is redirected; write its target URL")
    try:
        allowed.refuse_unlisted(following.hostname or "", port_of(following))
    except HostRefused as error:
        raise HostRefused(
            f"{shown(url)} is redirected to a host that is not listed: {error}"
        ) from None
    return following


def _charset(content_type: str) -> str | None:
    for part in content_type.split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == "charset":
            return value.strip().strip("\"'") or None
    return None
