"""Running the HTTP service."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI

from headrace.declarations.config import Settings
from headrace.engine.application import Headrace
from headrace.errors import ConfigError
from headrace.web.access import describe_access, require_token
from headrace.web.app import create_app
from headrace.web.caller import Protocol

log = logging.getLogger("headrace.web")

# Streams end by themselves within half a second of the signal; this is for what hangs.
_GRACE_S = 2
# A turn of the loop renews the `Date` of answers.
_DATE_EVERY_S = 1.0


class Server(uvicorn.Server):
    """A server that ends open streams first, and returns instead of dying by the signal."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                log_config=None,
                access_log=False,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
                proxy_headers=False,
                ws="none",
            )
        )
        self._app = app
        app.state.stop = self.stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as the wish to stop, and give them back afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a second SIGINT does not wait for anything."""
        self._app.state.stopping = True
        super().handle_exit(sig, frame)
        self._wake()

    def stop(self) -> None:
        """Stop as a signal would; for another thread."""
        self._app.state.stopping = True
        self.should_exit = True
        self._wake()

    async def main_loop(self) -> None:
        """Wait for the wish to stop: uvicorn's own loop wakes ten times a second to look for it."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_DATE_EVERY_S):
                    await self._woken.wait()

    def _wake(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._woken.set)


def serve(headrace: Headrace, listener: socket.socket | None = None) -> None:
    """Serve until SIGINT or SIGTERM; returns within three seconds of it.

    `listener` is the result of `listen`, where the caller wants to know early that it works.

    Raises:
        ConfigError: The address cannot be used, or is open to others without a token.
        SchemaMismatch: The schema was upgraded, and does not admit this version any more.
    """
    app = create_app(headrace)
    with listener or listen(headrace.settings) as opened:
        # Port 0 has become a real one.
        log.info("serving on %s", address(headrace.settings, opened.getsockname()[1]))
        log.info("%s", describe_access(headrace.settings))
        Server(app).run(sockets=[opened])
    if app.state.outdated is not None:
        raise app.state.outdated


def address(settings: Settings, port: int) -> str:
    """Return where a browser finds the service."""
    host = settings.host or "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(settings: Settings) -> socket.socket:
    """Return a socket that listens where the settings say.

    Raises:
        ConfigError: The port is taken, the address is none of this machine's, or others can
            reach it and no token is set.
    """
    require_token(settings)
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, bound = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f'HEADRACE_HOST "{host}" cannot be used: {error.strerror}') from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(bound)
        listener.listen(512)
        listener.set_inheritable(False)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{host}:{port} cannot be used for listening: {error.strerror};"
            f" set HEADRACE_PORT to a free one, or stop what uses port {port}"
        ) from None
    return listener
