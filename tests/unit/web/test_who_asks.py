"""Who asks where PostgreSQL has to say so, at a route and at what is open to everybody."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from anyio import CapacityLimiter
from starlette.datastructures import Headers

from headrace.declarations.config import Settings
from headrace.errors import StoreUnavailable
from headrace.model.caller import Caller, Role, Via
from headrace.web.access import SessionOver
from headrace.web.guard import Guard
from headrace.web.refusal import Refusal
from headrace.web.roles import Rule

SOMEBODY = Caller("ann", Role.VIEWER, Via.TOKEN)
PROTECTED, OPEN = Rule(Role.VIEWER, "look", known=True), Rule(None, "health", known=True)


class Knows:
    """Knows nobody at once, and by PostgreSQL whom a test says."""

    def __init__(self, answer: Callable[[], Caller | None]) -> None:
        self._answer = answer
        self.few = CapacityLimiter(1)
        # For each question: whether it took one of the few threads that probes may hold.
        self.asked: list[bool] = []

    def at_once(self, _scope: Any, _headers: Headers) -> None:
        pass

    def by_database(self, _scope: Any, _headers: Headers) -> Caller | None:
        self.asked.append(self.few.borrowed_tokens == 1)
        return self._answer()


def raising(error: Exception) -> Callable[[], Caller | None]:
    def answer() -> Caller | None:
        raise error

    return answer


def who_asks(folder: Path, access: Knows, rule: Rule, **sent: str) -> Caller | None:
    """Return who the wall takes a request for that bears these headers."""
    settings = Settings(project=folder, home=folder, pipelines=folder)
    wall = Guard(None, settings, access, None, None)  # type: ignore[arg-type]
    headers = Headers(sent)

    async def found() -> Caller | None:
        app = SimpleNamespace(state=SimpleNamespace(health_threads=access.few))
        return await wall._caller({"type": "http", "app": app}, headers, rule)

    return asyncio.run(found())


@pytest.mark.parametrize("rule", [PROTECTED, OPEN])
def test_postgresql_is_asked_only_where_something_is_sent_by_which_somebody_is_known(
    tmp_path: Path, rule: Rule
):
    access = Knows(lambda: SOMEBODY)

    assert who_asks(tmp_path, access, rule, host="localhost") is None
    assert access.asked == []
    for sent in ({"authorization": "Bearer x"}, {"cookie": "headrace_session=x"}):
        assert who_asks(tmp_path, access, rule, **sent) is SOMEBODY
    assert access.asked == [rule is OPEN] * 2


def test_a_session_that_has_ended_is_a_stranger_only_where_everybody_may_ask(tmp_path: Path):
    access = Knows(raising(SessionOver()))

    assert who_asks(tmp_path, access, OPEN, cookie="headrace_session=x") is None
    with pytest.raises(Refusal) as refused:
        who_asks(tmp_path, access, PROTECTED, cookie="headrace_session=x")

    assert (refused.value.status, refused.value.code) == (401, "session-over")


def test_nobody_is_a_stranger_at_a_route_because_postgresql_does_not_answer(tmp_path: Path):
    access = Knows(raising(StoreUnavailable("away")))

    assert who_asks(tmp_path, access, OPEN, authorization="Bearer x") is None
    with pytest.raises(StoreUnavailable, match=r"^away$"):
        who_asks(tmp_path, access, PROTECTED, authorization="Bearer x")
