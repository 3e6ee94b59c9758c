"""One HTTP request that tells another host something; of the answer only the status counts."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult

from headrace.errors import HeadraceError
from headrace.jobapi.outbound.allowed_hosts import AllowedHosts
from headrace.jobapi.outbound.deadline import Deadline
from headrace.jobapi.outbound.failures import NotSent, reason_of
from headrace.jobapi.outbound.urls import checked, host_header, port_of, target_of

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_TOLD_BYTES = 300
_GONE = 410
# The receiver is there, and has something against this message.
_REFUSED = range(400, 500)
_BUSY = frozenset({401, 403, 404, 407, 408, 425, 429})  # That concerns all messages alike.
_LONGEST_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `url` may hold what nobody is to see: messages name its host only."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] | None = None
    body: bytes | None = None


def call(request: Call, allowed: AllowedHosts, seconds: float) -> None:
    """Make the request, at one of the host's addresses that are allowed.

    Raises:
        NotSent: There was no answer, or another than 2xx. Redirects are not followed.
    """
    deadline = Deadline(seconds)
    try:
        url = checked(request.url)
        host = host_header(url)
        addresses = allowed.addresses(url.hostname or "", port_of(url))
    except HeadraceError as error:
        raise NotSent(str(error)) from None
    for position, address in enumerate(addresses, 1):
        try:
            answer = _sent(request, url, address, deadline.step_s(host))
        except _Unconnected as error:
            if position == len(addresses):
                raise NotSent(f"{host} cannot be reached: {error}") from None
            continue
        try:
            _judge(answer, host)
        finally:
            answer.close()
        return


class _Unconnected(Exception):
    """There was no connection, so that nothing can have been sent."""


def _sent(request: Call, url: SplitResult, address: str, wait_s: float) -> "BaseHTTPResponse":
    from urllib3 import Timeout
    from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

    # It brings urllib3, which most programs do not need.
    from headrace.jobapi.outbound.pinned_connection import pool_to

    pool: Any = pool_to(url, address)
    try:
        answer: BaseHTTPResponse = pool.urlopen(
            request.method,
            target_of(url),
            body=request.body,
            headers={
                "User-Agent": "headrace",
                **(request.headers or {}),
                "Accept-Encoding": "identity",
                "Host": host_header(url),
            },
            retries=False,
            redirect=False,
            preload_content=False,
            timeout=Timeout(connect=wait_s, read=wait_s),
        )
    except (NewConnectionError, ConnectTimeoutError) as error:
        raise _Unconnected(reason_of(error)) from None
    except (HTTPError, OSError, ValueError) as error:
        raise NotSent(f"{host_header(url)} gave no answer: {reason_of(error)}") from None
    finally:
        pool.close()
    return answer


def _judge(answer: "BaseHTTPResponse", host: str) -> None:
    """Raise NotSent unless the answer says that the request was accepted."""
    status = answer.status
    if 200 <= status < 300:
        return
    said = f"{host} answered {status} {answer.reason or ''}".rstrip()
    if 300 <= status < 400:
        raise NotSent(f"{said}: redirects are not followed; configure the URL that it leads to")
    told = b""
    with suppress(Exception):  # Whatever is wrong with it, the status says enough.
        told = answer.read(_TOLD_BYTES)
    text = " ".join(told.decode("utf-8", "replace").split())
    raise NotSent(
        f"{said}: {text}" if text else said,
        is_outage=status not in _REFUSED or status in _BUSY,
        is_final=status == _GONE,
        wait_s=_wait_s(answer.headers.get("retry-after")),
    )


def _wait_s(header: str | None) -> float | None:
    if header is None or not header.strip().isdecimal():
        return None
    return min(float(header), _LONGEST_WAIT_S)
