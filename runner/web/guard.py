"""The wall in front of every route: who may ask, from where, in what form.

A loopback address is no wall by itself: any page in the user's browser can reach it, and
`POST /jobs` runs SQL. So the Host header is checked against DNS rebinding, the Origin of what
changes something against foreign pages, and bodies are JSON only, which no foreign form can
send. `access.py` says who may ask; the probes and the sign-in are open to all.
"""

import json
import logging
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.declarations.config import Settings
from headrace.web.access import Access, is_loopback, name_of, only
from headrace.web.signin import SIGN_IN_PATH, sign_in_page

log = logging.getLogger("headrace.web")

MAX_BODY_BYTES = 1_000_000
# Under this name a request's state tells an open path whether its caller may know more.
ALLOWED = "allowed"

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# The probes tell one word without a token; what the sign-in page looks like is no secret.
_OPEN_PATHS = frozenset(
    {"/health/live", "/health/ready", SIGN_IN_PATH, "/static/page.css", "/static/icon.svg"}
)
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Under `no-referrer` browsers send a form with `Origin: null`, and nobody could sign in.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Refusal(Exception):
    """A request that goes no further."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})


class Guard:
    """ASGI middleware that applies the rules above and sets the security headers."""

    def __init__(self, app: ASGIApp, settings: Settings, access: Access) -> None:
        self._app = app
        self._access = access
        bound = settings.host if ":" not in settings.host else f"[{settings.host.strip('[]')}]"
        # Elsewhere, or behind a proxy, any name may lead here; then the token is what protects.
        known_here = is_loopback(settings.host) and not settings.api_token
        self._hosts = _LOCAL_NAMES | {bound.lower()} if known_here else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = _Answer(send, docs=scope["path"] == "/docs")
        try:
            self._check(scope)
            await self._app(scope, await _checked_body(scope, receive), answer)
        except Refusal as refusal:
            page = self._wants_page(scope) and refusal.status == 401
            await _refuse(answer, refusal, page=page)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if answer.started:
                raise
            await _refuse(answer, Refusal(500, "internal", "internal error; see the log"))

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = only(headers, "host")
        if self._hosts is not None and name_of(host) not in self._hosts:
            raise Refusal(
                403, "host-not-allowed", "this service answers to localhost and 127.0.0.1 only"
            )
        allowed = self._access.allows(scope, headers)
        scope.setdefault("state", {})[ALLOWED] = allowed
        if not allowed and scope["path"] not in _OPEN_PATHS:
            raise Refusal(
                401,
                "unauthorized",
                "send the API token: Authorization: Bearer … (HEADRACE_API_TOKEN, or the file"
                " `token` in HEADRACE_HOME)",
                {"WWW-Authenticate": "Bearer"},
            )
        if scope["method"] in _SAFE_METHODS:
            return
        if not _same_origin(headers, host):
            raise Refusal(403, "origin-not-allowed", "pages of other sites cannot change anything")
        if _has_body(headers):
            _check_type(headers, form=scope["path"] == SIGN_IN_PATH)

    @staticmethod
    def _wants_page(scope: Scope) -> bool:
        accept = Headers(scope=scope).get("accept", "")
        return scope["method"] == "GET" and "text/html" in accept


class _Answer:
    """The way out: adds the security headers to whatever is answered."""

    def __init__(self, send: Send, *, docs: bool) -> None:
        self._send = send
        self._docs = docs
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in _SECURITY_HEADERS.items():
                headers[name] = value
            if self._docs:
                # Swagger UI writes style attributes; scripts stay as strict as elsewhere.
                policy = _SECURITY_HEADERS["Content-Security-Policy"]
                headers["Content-Security-Policy"] = policy.replace(
                    "style-src 'self'", "style-src 'self' 'unsafe-inline'"
                )
            message["headers"] = headers.raw
        await self._send(message)


def _same_origin(headers: Headers, host: str) -> bool:
    """Return whether a change is asked for by our own page, or by no page at all."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origins = headers.getlist("origin")
    # Behind a proxy that ends TLS the scheme differs; host and port are what tell sites apart.
    return not origins or (
        len(origins) == 1 and origins[0].lower() in (f"http://{host}", f"https://{host}".lower())
    )


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _check_type(headers: Headers, *, form: bool) -> None:
    wanted = "application/x-www-form-urlencoded" if form else "application/json"
    given = only(headers, "content-type").partition(";")[0].strip().lower()
    if given != wanted:
        raise Refusal(415, "unsupported-media-type", f"send the body as Content-Type: {wanted}")


async def _checked_body(scope: Scope, receive: Receive) -> Receive:
    """Read the whole body, at most the cap, and return what hands it on."""
    headers = Headers(scope=scope)
    if not _has_body(headers):
        return receive
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    pending = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _too_large() -> Refusal:
    return Refusal(
        413,
        "body-too-large",
        f"a body may have {MAX_BODY_BYTES} bytes at most",
        {"Connection": "close"},
    )


async def _refuse(send: Send, refusal: Refusal, *, page: bool = False) -> None:
    answer = {"detail": refusal.detail, "code": refusal.code}
    body = sign_in_page() if page else json.dumps(answer).encode()
    headers = {
        "content-type": "text/html; charset=utf-8" if page else "application/json",
        "content-length": str(len(body)),
        **refusal.headers,
    }
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
