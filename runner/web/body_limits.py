"""What a request's body may be: of one type, and not large."""

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from headrace.web.access import only
from headrace.web.refusal import Refusal

MAX_BODY_BYTES = 1_000_000


def has_body(headers: Headers) -> bool:
    """Return whether a request says that it has one."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def check_type(headers: Headers, *, form: bool) -> None:
    """Refuse a body of another type; a form is taken by the sign-in page's paths only."""
    wanted = "application/x-www-form-urlencoded" if form else "application/json"
    given = only(headers, "content-type").partition(";")[0].strip().lower()
    if given != wanted:
        raise Refusal(415, "unsupported-media-type", f"send the body as Content-Type: {wanted}")


async def checked_body(scope: Scope, receive: Receive) -> Receive:
    """Read the whole body, at most the cap, and return what hands it on."""
    headers = Headers(scope=scope)
    if not has_body(headers):
        return receive
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
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
