"""Checks, composes, sends and shows URLs of other hosts."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit

from headrace.errors import JobFailure
from headrace.jobapi.outbound.allowed_hosts import plain_host

_PORTS = {"http": 80, "https": 443}
_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def checked(text: str, what: str = "the URL") -> SplitResult:
    """Return a URL that can be asked for; `what` is what errors call it.

    Raises:
        JobFailure: it is none.
    """
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise JobFailure(f"{what} cannot be read: {error}") from None
    if url.scheme not in _PORTS or not url.hostname or port == 0:
        raise JobFailure(f"{what} is not an http:// or https:// URL with a host")
    if url.username is not None or url.password is not None:
        raise JobFailure(f"{what} holds a user name: write an Authorization header instead")
    if any(character <= " " or character == "\x7f" for character in text):
        raise JobFailure(f"{what} holds a blank or a line break: write %20, or use `query`")
    return url


def with_query(url: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return a URL with parameters behind those that it has, before its fragment."""
    added = urlencode(list(pairs))
    if not added:
        return url
    before, hash_, fragment = url.partition("#")
    if "?" not in before:
        before += "?"
    elif not before.endswith(("?", "&")):
        before += "&"
    return f"{before}{added}{hash_}{fragment}"


def without_query(url: str) -> str:
    """Return the text of a URL, which may not be one, up to its query or fragment."""
    return url.partition("#")[0].partition("?")[0]


def followed(url: SplitResult, location: str) -> SplitResult:
    """Return where an answer's Location leads to from a URL.

    Servers write it in UTF-8, with blanks or in another encoding, too: its bytes are meant.

    Raises:
        JobFailure: nowhere that can be asked.
    """
    what = f"{shown(url)} is redirected, and where it leads"
    if _CONTROL.search(location):
        raise JobFailure(f"{what} contains a control character")
    raw = location.strip().encode("latin-1", "replace")  # Headers are read so, whatever they are.
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = quote(raw, safe=_ASCII)
    try:
        joined = urljoin(url.geturl(), text.replace(" ", "%20"))
    except ValueError as error:
        raise JobFailure(f"{what} cannot be read: {error}") from None
    following = checked(joined, what)
    if url.scheme == "https" and following.scheme != "https":
        raise JobFailure(f"{shown(url)} is redirected from https to http, which is not followed")
    return following


def target_of(url: SplitResult) -> str:
    """Return what is asked of the host: path and query, in ASCII, what is encoded left as it is."""
    text = url._replace(scheme="", netloc="", path="", fragment="").geturl()
    path = url.path if url.path.startswith("/") else f"/{url.path}"
    return quote(_BARE_PERCENT.sub("%25", path + text), safe=_ASCII)


def port_of(url: SplitResult) -> int:
    """Return the port, the scheme's own where none is written."""
    return url.port or _PORTS[url.scheme]


def host_header(url: SplitResult) -> str:
    """Return the host as the header Host has it."""
    host = plain_host(url.hostname or "")
    host = f"[{host}]" if ":" in host else host
    return host if url.port is None else f"{host}:{url.port}"


def origin(url: SplitResult) -> tuple[str, str | None, int]:
    """Return what two URLs have in common that may see each other's secrets."""
    return url.scheme, url.hostname, port_of(url)


def shown(url: SplitResult) -> str:
    """Return a URL without its query, which may hold what nobody else is to see."""
    return url._replace(query="", fragment="").geturl()
