"""The wall in front of every route: who may ask, from where, in what form.

A loopback address is no wall by itself: any page in the user's browser can reach it, and
`POST /jobs` runs SQL. So the Host header is checked against DNS rebinding, the Origin of what
changes something against foreign pages, and bodies are JSON only, which no foreign form can
send. `access.py` says who asks, `roles.py` what a route takes, and `trail.py` writes it down.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.declarations.config import Settings
from headrace.engine.access.tokens import without_tokens
from headrace.errors import HeadraceError
from headrace.model.caller import Caller
from headrace.observe.redaction import redacted
from headrace.store.waiting import within
from headrace.web.access import COOKIE, Access, SessionOver, is_loopback, name_of, only
from headrace.web.body_limits import check_type, checked_body, has_body
from headrace.web.error_answers import RETRY_AFTER_S, status_of
from headrace.web.refusal import Refusal, refuse
from headrace.web.roles import SAFE_METHODS, Roles, Rule
from headrace.web.signin import SIGN_IN_PATH, SIGN_OUT_PATH, sign_in_page
from headrace.web.trail import Trail

log = logging.getLogger("headrace.web")

# Under this name a request's state has its `Caller`, None on an open path if nobody is known.
CALLER = "caller"

# Beside the probes these are open to everybody; what the sign-in page looks like is no secret.
OPEN_PATHS: Mapping[str, str] = {
    SIGN_IN_PATH: "sign-in",
    SIGN_OUT_PATH: "sign-out",
    "/static/page.css": "read",
    "/static/icon.svg": "read",
    "/static/signin.js": "read",
}
FORM_PATHS = frozenset({SIGN_IN_PATH, SIGN_OUT_PATH})
# An open path does not wait longer for PostgreSQL to know who asks.
_OPEN_S = 2.0
_MISSING = (
    "send a token: Authorization: Bearer … (one of `headrace token create`, HEADRACE_API_TOKEN,"
    " or the file `token` in HEADRACE_HOME)"
)
_WRONG = "the token is wrong, or was revoked; `headrace token create` makes another one"
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


class Guard:
    """ASGI middleware that applies the rules above and sets the security headers."""

    def __init__(
        self, app: ASGIApp, settings: Settings, access: Access, roles: Roles, trail: Trail
    ) -> None:
        self._app = app
        self._access = access
        self._roles = roles
        self._trail = trail
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
            await self._pass_on(scope, receive, answer)
        except Refusal as refusal:
            await refuse(answer, refusal, _page_for(scope) if refusal.status == 401 else None)
        except HeadraceError as error:
            await refuse(answer, _unavailable(error))
        except Exception:
            log.exception("%s %s failed", scope["method"], without_tokens(scope["path"]))
            if answer.started:
                raise
            await refuse(answer, Refusal(500, "internal", "internal error; see the log"))

    async def _pass_on(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        headers = Headers(scope=scope)
        rule = self._roles.of(scope)
        caller = None
        try:
            self._check_host(headers)
            caller = await self._caller(scope, headers, rule)
            scope.setdefault("state", {})[CALLER] = caller
            _check_caller(scope, headers, rule, caller)
        except Refusal as refusal:
            await self._trail.refused(scope, caller, rule, refusal.status)
            raise
        # What is open to everybody (signing in and out) writes down by itself who it was.
        if scope["method"] not in SAFE_METHODS and rule.role and rule.known and caller:
            deed = await self._trail.begin(scope, caller, rule.action)
            answer.first = partial(self._trail.end, deed)
        if scope["method"] not in SAFE_METHODS and has_body(headers):
            check_type(headers, form=scope["path"] in FORM_PATHS)
        await self._app(scope, await checked_body(scope, receive), answer)

    def _check_host(self, headers: Headers) -> None:
        if self._hosts is not None and name_of(only(headers, "host")) not in self._hosts:
            raise Refusal(
                403, "host-not-allowed", "this service answers to localhost and 127.0.0.1 only"
            )

    async def _caller(self, scope: Scope, headers: Headers, rule: Rule) -> Caller | None:
        """Return who asks. What is open to everybody does not wait for PostgreSQL to know."""
        found = self._access.at_once(scope, headers)
        if found is not None or not ("authorization" in headers or "cookie" in headers):
            return found
        ask = partial(self._access.by_database, scope, headers)
        try:
            if rule.role is not None:
                return await run_sync(ask)
            few = scope["app"].state.health_threads
            return await run_sync(_soon, ask, limiter=few)
        except SessionOver:
            if rule.role is None:
                return None
            raise _over() from None
        except HeadraceError:
            if rule.role is None:
                return None
            raise


def _page_for(scope: Scope) -> bytes | None:
    """Return the page that asks a browser for a token, None where no page is asked for."""
    headers = Headers(scope=scope)
    if scope["method"] != "GET" or "text/html" not in headers.get("accept", ""):
        return None
    return sign_in_page(again=headers.get("sec-fetch-site") == "cross-site")


def _soon(ask: Callable[[], Caller | None]) -> Caller | None:
    with within(_OPEN_S):
        return ask()


def _check_caller(scope: Scope, headers: Headers, rule: Rule, caller: Caller | None) -> None:
    """Refuse who is not known, who comes from another page, and whose role does not suffice.

    Raises:
        Refusal: They are refused.
    """
    if caller is None and rule.role is not None:
        raise Refusal(
            401,
            "unauthorized",
            _WRONG if "authorization" in headers else _MISSING,
            {"WWW-Authenticate": "Bearer"},
        )
    if scope["method"] not in SAFE_METHODS and not _same_origin(headers, only(headers, "host")):
        raise Refusal(403, "origin-not-allowed", "pages of other sites cannot change anything")
    if caller is not None and rule.role is not None and not caller.role.covers(rule.role):
        raise Refusal(
            403,
            "role-not-sufficient",
            f"{caller.actor} has the role {caller.role}; this takes the role {rule.role}",
        )


def _over() -> Refusal:
    # Without its cookie a browser of our own user is let in again.
    gone = f"{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
    return Refusal(
        401,
        "session-over",
        "the session has ended, or its token was revoked: sign in again",
        {"WWW-Authenticate": "Bearer", "Set-Cookie": gone},
    )


def _unavailable(error: HeadraceError) -> Refusal:
    """Return the answer where PostgreSQL has to say who asks, or to take the audit trail's row."""
    status = status_of(error)
    retry = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    return Refusal(status, error.code, redacted(str(error)), retry)


class _Answer:
    """The way out: adds the security headers to whatever is answered."""

    def __init__(self, send: Send, *, docs: bool) -> None:
        self._send = send
        self._docs = docs
        self.started = False
        # What is done with the status before the caller learns it.
        self.first: Callable[[int], Awaitable[None]] | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self.first is not None:
                await self.first(message["status"])
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
    origins = [origin.lower() for origin in headers.getlist("origin")]
    # Behind a proxy that ends TLS the scheme differs; host and port are what tell sites apart.
    known = host.lower()
    return not origins or origins in ([f"http://{known}"], [f"https://{known}"])
