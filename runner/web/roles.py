"""Which role a route asks for. Each one declares it where it is declared itself, by `needs`.

What declares nothing is the admin's. The declaration is in the OpenAPI document, as `x-role`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from headrace.model.caller import Role

ROLE = "x-role"
ACTION = "x-action"
# What `x-role` says of a route that is open to everybody.
NOBODY = "none"

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_READ = "read"
# Beside the routers: the page and its files, the API's description. None of them changes anything.
_PAGES = ("/", "/docs", "/openapi.json")
_FILES = ("/static/", "/swagger/")


def needs(role: Role | None, action: str = _READ) -> dict[str, Any]:
    """Return what a route declares: the least role, and in the audit trail's words what it does.

    Given as `openapi_extra`. None is a route that everybody may ask.
    """
    declared = {ROLE: NOBODY if role is None else str(role)}
    return declared if action == _READ else {**declared, ACTION: action}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request has to meet. `role` None: nothing; `known` False: no route has its path."""

    role: Role | None
    action: str
    known: bool = True


class Roles:
    """The rules of all routes, looked up by a request's method and path."""

    def __init__(self, routers: Iterable[APIRouter], open_paths: Mapping[str, str]) -> None:
        """Take the routers' own rules, and the open paths beside them with their actions."""
        self._routes = [
            route for router in routers for route in router.routes if isinstance(route, APIRoute)
        ]
        self._open = open_paths

    def of(self, scope: Scope) -> Rule:
        """Return the rule for a request."""
        path, method = scope["path"], scope["method"]
        if path in self._open:
            return Rule(None, self._open[path])
        # As `Heads` has it.
        asked = {**scope, "method": "GET"} if method == "HEAD" else scope
        # Of two that match, the stricter one, whichever would answer.
        rules = [_declared(one) for one in self._routes if one.matches(asked)[0] is Match.FULL]
        if rules:
            return max(rules, key=_strictness)
        if method in SAFE_METHODS:
            return Rule(Role.VIEWER, _READ, known=path in _PAGES or path.startswith(_FILES))
        return Rule(Role.ADMIN, method.lower(), known=False)


def _strictness(rule: Rule) -> int:
    return -1 if rule.role is None else list(Role).index(rule.role)


def _declared(route: APIRoute) -> Rule:
    extra = route.openapi_extra or {}
    named = extra.get(ROLE, Role.ADMIN)
    return Rule(None if named == NOBODY else Role(named), extra.get(ACTION, _READ))
