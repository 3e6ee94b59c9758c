"""One HTTP request of a job: to hosts that are allowed, to addresses that were looked at.

urllib3 sends it; every redirect is looked at here like the first request. Proxies that the
environment names are not used: they would resolve the name a second time.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from jobs.allowed_hosts import AllowedHosts, plain_host
from runner import jobapi
from runner.errors import JobFailure

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

CONNECT_S = 10.0
READ_S = 60.0  # Between two pieces of an answer; the step's timeout bounds the whole.
MOST_REDIRECTS = 5

_PIECE_BYTES = 1 << 16
_TOLD_CHARACTERS = 300
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
# What says nothing of the sender, and goes along to another host.
_HARMLESS = frozenset({"accept", "accept-language", "user-agent"})
# What the connection says by itself.
_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. `headers` may still hold `${NAME}`: not every host may see the value."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def revealed_headers(self) -> dict[str, str]:
        """Return the headers with their secrets in them.

        Raises:
            JobFailure: one of them cannot be sent, or its variable is not set.
        """
        return {name: _header(name, text) for name, text in self.headers.items()}

    def harmless_headers(self) -> dict[str, str]:
        """Return the headers that another host may see."""
        return {
            name: _header(name, text)
            for name, text in self.headers.items()
            if name.lower() in _HARMLESS and not jobapi.names_secret(text)
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: `size_bytes` of it were written. `charset` is None where nothing says it."""

    status: int
    size_bytes: int
    charset: str | None


def refuse_request(request: Request, allowed: AllowedHosts) -> None:
    """Refuse what no server need be asked about: a URL, a host, a header.

    Raises:
        HostRefused: the host may not be spoken to.
        JobFailure: the URL or a header cannot be sent.
    """
    for name, text in request.headers.items():
        if not jobapi.names_secret(text):
            _header(name, text)
    if not jobapi.names_secret(request.url):
        url = _checked(request.url)
        allowed.refuse_unlisted(url.hostname or "", _port(url))


def fetch(request: Request, into: IO[bytes], *, allowed: AllowedHosts, most_bytes: int) -> Answer:
    """Send a request, follow its redirects, and write the body, unpacked, into a file.

    Raises:
        HostRefused: the host, or one that a redirect leads to, may not be spoken to.
        JobFailure: no answer, another status than 2xx, or more than `most_bytes`.
    """
    url = _checked(request.url)
    headers = request.revealed_headers()
    for _ in range(MOST_REDIRECTS + 1):
        with _answered(request, url, headers, allowed) as answer:
            target = answer.headers.get("location") if answer.status in _REDIRECTS else None
            if target is None:
                return _taken(request, url, answer, into, most_bytes)
        following = _redirected(request, url, target)
        if _origin(following) != _origin(url):
            headers = request.harmless_headers()
        url = following
    raise JobFailure(f"{_shown(url)}: more than {MOST_REDIRECTS} redirects")


def _taken(
    request: Request, url: SplitResult, answer: "BaseHTTPResponse", into: IO[bytes], most_bytes: int
) -> Answer:
    place = f"{request.method} {_shown(url)}"
    if not 200 <= answer.status < 300:
        told = next(_pieces(answer, place), b"").decode("utf-8", "replace")
        text = jobapi.redacted(told)[:_TOLD_CHARACTERS].strip()
        raise JobFailure(f"{place} answered {answer.status} {answer.reason or ''}: {text}")
    size = 0
    for piece in _pieces(answer, place):
        size += len(piece)
        if size > most_bytes:
            raise JobFailure(f"{place}: the answer has more than {most_bytes >> 20} MB (max_mb)")
        into.write(piece)
    return Answer(answer.status, size, _charset(answer.headers.get("content-type", "")))


def _pieces(answer: "BaseHTTPResponse", place: str) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    try:
        yield from answer.stream(_PIECE_BYTES, decode_content=True)
    except HTTPError as error:
        raise JobFailure(f"{place}: the answer broke off: {_why(error)}") from None


@contextmanager
def _answered(
    request: Request, url: SplitResult, headers: Mapping[str, str], allowed: AllowedHosts
) -> Iterator["BaseHTTPResponse"]:
    """Give the answer of the first of the host's addresses that can be connected to."""
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

    assert url.hostname is not None
    addresses = allowed.addresses(url.hostname, _port(url))
    for position, address in enumerate(addresses, 1):
        pool = _pool(url, address)
        try:
            answer = _send(pool, request, url, headers)
        except (NewConnectionError, ConnectTimeoutError) as error:
            pool.close()
            if position < len(addresses):
                continue
            raise JobFailure(f"{_shown(url)} cannot be reached: {_why(error)}") from None
        except (HTTPError, OSError) as error:
            pool.close()
            raise JobFailure(f"{_shown(url)} gave no answer: {_why(error)}") from None
        try:
            yield answer
        finally:
            answer.close()
            pool.close()
        return


def _pool(url: SplitResult, address: str) -> Any:
    """Return a pool of one connection to an address, which TLS checks by the host's name."""
    import urllib3

    timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
    if url.scheme == "http":
        return urllib3.HTTPConnectionPool(address, _port(url), timeout=timeout, maxsize=1)
    name = plain_host(url.hostname or "")
    return urllib3.HTTPSConnectionPool(
        address,
        _port(url),
        timeout=timeout,
        maxsize=1,
        server_hostname=name,
        assert_hostname=name,
    )


def _send(
    pool: Any, request: Request, url: SplitResult, headers: Mapping[str, str]
) -> "BaseHTTPResponse":
    target = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
    sent: BaseHTTPResponse = pool.urlopen(
        request.method,
        target if target.startswith("/") else f"/{target}",
        body=request.body,
        headers={
            "User-Agent": "headrace",
            "Accept-Encoding": "gzip, deflate",
            **headers,
            "Host": _host_header(url),
        },
        retries=False,
        redirect=False,
        preload_content=False,
    )
    return sent


def _redirected(request: Request, url: SplitResult, target: str) -> SplitResult:
    following = _checked(urljoin(url.geturl(), target))
    if request.method != "GET":
        raise JobFailure(f"{request.method} {_shown(url)} is redirected; give the URL it leads to")
    if url.scheme == "https" and following.scheme != "https":
        raise JobFailure(f"{_shown(url)} is redirected from https to http, which is not followed")
    return following


def _checked(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise JobFailure(f"the URL cannot be read: {error}") from None
    if url.scheme not in _PORTS or not url.hostname or port == 0:
        raise JobFailure("the URL is no http:// or https:// one with a host")
    if url.username is not None or url.password is not None:
        raise JobFailure("the URL holds a user name: write an Authorization header instead")
    if any(character <= " " or character == "\x7f" for character in text):
        raise JobFailure("the URL holds a blank or a line break: write %20, or use `query`")
    return url


def _port(url: SplitResult) -> int:
    return url.port or _PORTS[url.scheme]


def _host_header(url: SplitResult) -> str:
    host = plain_host(url.hostname or "")
    host = f"[{host}]" if ":" in host else host
    return host if url.port is None else f"{host}:{url.port}"


def _origin(url: SplitResult) -> tuple[str, str | None, int]:
    return url.scheme, url.hostname, _port(url)


def _shown(url: SplitResult) -> str:
    """Return a URL without its query, which may hold what nobody else is to see."""
    return url._replace(query="", fragment="").geturl()


def _header(name: str, text: str) -> str:
    if name.lower() in _OWN:
        raise JobFailure(f"the header {name} is written by Headrace itself")
    value = jobapi.reveal(text).strip()
    if any(character in value for character in "\r\n\0"):
        raise JobFailure(f"the header {name} holds a line break")
    return value


def _charset(content_type: str) -> str | None:
    for part in content_type.split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == "charset":
            return value.strip().strip('"') or None
    return None


def _why(error: BaseException) -> str:
    """Return an error of the library without the objects that it names."""
    text = str(error.args[-1] if error.args else error)
    return text.rpartition("object at ")[2].partition(">: ")[2] or text
