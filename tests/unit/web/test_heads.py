"""What an application sees of HEAD, and what it sends of an answer to it."""

import asyncio
from typing import Any

import pytest

from headrace.web.heads import Heads

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY = {"type": "http.response.body", "body": b"ok", "more_body": True}


def asked(scope: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the scopes that an application sees, and the messages that are sent."""
    scopes: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []

    async def app(seen: Any, _receive: Any, send: Any) -> None:
        scopes.append(seen)
        for message in (START, BODY):
            await send(message)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    asyncio.run(Heads(app)(scope, receive, send))
    return scopes, sent


def test_head_is_asked_as_get_and_answered_with_its_head_alone():
    scope = {"type": "http", "method": "HEAD", "path": "/runs", "query_string": b"limit=1"}

    scopes, sent = asked(scope)

    assert scopes == [{**scope, "method": "GET"}]
    assert sent == [START, {**BODY, "body": b""}]


@pytest.mark.parametrize(
    "scope",
    [
        {"type": "http", "method": "GET", "path": "/runs"},
        # That answer has no end.
        {"type": "http", "method": "HEAD", "path": "/runs/1/events"},
        {"type": "lifespan"},
        {"type": "websocket", "path": "/runs"},
    ],
)
def test_everything_else_is_passed_on_as_it_is(scope: dict[str, Any]):
    assert asked(scope) == ([scope], [START, BODY])
