"""A real HTTP server on this machine, whose answers a test writes down, and what it was asked."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


@dataclass
class Answered:
    """One answer. `chunks` are sent one by one without a length, where they are given.

    `raw` is sent instead of all else, its status line too, and the connection is closed behind it;
    over TLS without a word, as a server that dies does it, unless it `says_goodbye`.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Iterator[bytes] | None = None
    raw: bytes | None = None
    says_goodbye: bool = False


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    all_headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class HttpServer:
    port: int
    routes: dict[str, Answered | Callable[[Asked], Answered]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def redirect(self, path: str, target: str, status: int = 302) -> None:
        self.routes[path] = Answered(status=status, headers={"Location": target})


def _send(handler: BaseHTTPRequestHandler, answer: Answered) -> None:
    if answer.raw is not None:
        handler.wfile.write(answer.raw)
        handler.close_connection = True
        if answer.says_goodbye and isinstance(handler.connection, ssl.SSLSocket):
            with suppress(OSError):  # The other side need not answer.
                handler.connection.unwrap()
        return
    handler.send_response(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    if answer.chunks is None:
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)
        return
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    try:
        for chunk in answer.chunks:
            handler.wfile.write(chunk)
    except OSError:
        return


@contextmanager
def http_server(certificate: Path | None = None, *, port: int = 0) -> Iterator[HttpServer]:
    """Yield a server on 127.0.0.1, over TLS with a certificate (PEM, its key too)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = self.headers.items()
            body = self.rfile.read(length)
            asked = Asked(self.command, self.path, dict(headers), body, headers)
            made.asked.append(asked)
            found = made.routes.get(self.path.partition("?")[0], Answered(status=404))
            answer = found(asked) if callable(found) else found
            _send(self, answer)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_said: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made = HttpServer(server.server_address[1])
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
