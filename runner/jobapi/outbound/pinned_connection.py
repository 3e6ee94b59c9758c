"""Connections to an address that was looked at, which TLS checks by the host's name."""

import http.client
import ssl
from typing import Any
from urllib.parse import SplitResult

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from headrace.jobapi.outbound.allowed_hosts import plain_host
from headrace.jobapi.outbound.urls import port_of

CONNECT_S = 10.0
READ_S = 60.0  # Between two pieces of an answer; the step's timeout bounds the whole.

_MOST_HINTS = 20


class _WholeLines:
    """A reader of chunks: half a line with a length is an error ("00" of "00ff")."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._source.readline(limit)
        if line and not line.endswith(b"\n") and len(line) != limit:
            raise http.client.IncompleteRead(line)
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class _Response(http.client.HTTPResponse):
    """An answer that is none until its final status has come: 103 Early Hints is said before it."""

    def begin(self) -> None:
        super().begin()
        for _ in range(_MOST_HINTS):
            if not 100 <= self.status < 200 or self.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                break
            # As the library has it before the first line of an answer.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()
        if self.chunked:
            self.fp: Any = _WholeLines(self.fp)


class _Plain(HTTPConnection):
    response_class = _Response


class _Tls(HTTPSConnection):
    response_class = _Response


class _Context(ssl.SSLContext):
    """TLS that tells a connection that was cut from one that was closed."""

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        options["suppress_ragged_eofs"] = False
        return super().wrap_socket(*arguments, **options)


def pool_to(url: SplitResult, address: str) -> urllib3.HTTPConnectionPool:
    """Return a pool of one connection to an address of a URL's host."""
    timeout = urllib3.Timeout(connect=CONNECT_S, read=READ_S)
    if url.scheme == "http":
        plain = urllib3.HTTPConnectionPool(address, port_of(url), timeout=timeout, maxsize=1)
        plain.ConnectionCls = _Plain
        return plain
    name = plain_host(url.hostname or "")
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    pool = urllib3.HTTPSConnectionPool(
        address,
        port_of(url),
        timeout=timeout,
        maxsize=1,
        ssl_context=context,
        server_hostname=name,
        assert_hostname=name,
    )
    pool.ConnectionCls = _Tls
    return pool
