"""A request that goes no further, and its answer."""

import json
from collections.abc import Mapping

from starlette.types import Send


class Refusal(Exception):
    """A request that goes no further."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})


async def refuse(send: Send, refusal: Refusal, page: bytes | None = None) -> None:
    """Answer with the reason, or with a page."""
    answer = {"detail": refusal.detail, "code": refusal.code}
    body = page or json.dumps(answer).encode()
    headers = {
        "content-type": "text/html; charset=utf-8" if page else "application/json",
        "content-length": str(len(body)),
        **refusal.headers,
    }
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
