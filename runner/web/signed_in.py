"""Signing in and out: a browser that knows a token gets a cookie that stands for it, for a time."""

import math
from functools import partial
from urllib.parse import parse_qs

import anyio
from anyio.to_thread import run_sync
from fastapi import Request
from starlette.responses import RedirectResponse, Response

from headrace.model.caller import Caller, Via
from headrace.web.access import COOKIE, Access
from headrace.web.guard import CALLER
from headrace.web.roles import Rule
from headrace.web.signin import SIGN_IN_PATH, sign_in_page
from headrace.web.trail import Trail

# Slows a guesser down, and nobody who mistyped.
_WRONG_TOKEN_PAUSE_S = 1.0
_SEE_OTHER = 303
_MOST_FIELDS = 8


class SignedIn:
    """Begins and ends sessions of the page."""

    def __init__(self, access: Access, trail: Trail, lifetime_s: float) -> None:
        self._access = access
        self._trail = trail
        self._lifetime_s = lifetime_s

    async def begin(self, request: Request) -> Response:
        """Answer the form: with a session's cookie, or with the form and 401."""
        caller = await run_sync(self._access.caller_of, _token_in(await request.body()))
        if caller is None:
            rule = Rule(None, "sign-in")
            await self._trail.refused(request.scope, None, rule, 401)
            await anyio.sleep(_WRONG_TOKEN_PAUSE_S)
            return Response(sign_in_page(wrong=True), status_code=401, media_type="text/html")
        before: Caller | None = getattr(request.state, CALLER, None)
        if before is not None and before.via is Via.SESSION:
            await run_sync(self._access.sessions.end, before)
        deed = await self._trail.begin(request.scope, caller, "sign-in")
        opened = await run_sync(partial(self._access.sessions.open, caller, self._lifetime_s))
        await self._trail.end(deed, _SEE_OTHER)
        response = RedirectResponse("/", status_code=_SEE_OTHER)
        response.set_cookie(
            COOKIE,
            opened.value,
            max_age=math.ceil(self._lifetime_s),
            httponly=True,
            samesite="strict",
            secure=_is_secure(request),
        )
        return response

    async def end(self, request: Request) -> Response:
        """End the caller's session, and have the browser forget its cookie."""
        caller: Caller | None = getattr(request.state, CALLER, None)
        if caller is not None and caller.via is Via.SESSION:
            deed = await self._trail.begin(request.scope, caller, "sign-out")
            await run_sync(self._access.sessions.end, caller)
            await self._trail.end(deed, _SEE_OTHER)
        response = RedirectResponse(SIGN_IN_PATH, status_code=_SEE_OTHER)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response


def _token_in(form: bytes) -> str:
    """Return the token of a form, '' where there is none, or more than our page sends."""
    try:
        fields = parse_qs(form.decode("utf-8", "replace"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        return ""
    return fields.get("token", [""])[0].strip()


def _is_secure(request: Request) -> bool:
    """Return whether the browser speaks TLS; behind a proxy that ends it, only Origin tells."""
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")
