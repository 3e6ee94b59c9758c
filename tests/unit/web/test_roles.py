"""Which role a request takes, by the routes' own declarations."""

import pytest
from fastapi import APIRouter

from headrace.model.caller import Role
from headrace.web.roles import Roles, Rule, needs


def answer() -> None:
    """Be a route."""


def rule_for(method: str, path: str, *routes: tuple[str, str, dict[str, str]]) -> Rule:
    router = APIRouter()
    for verb, known, extra in routes:
        router.add_api_route(known, answer, methods=[verb], openapi_extra=extra)
    return Roles([router], {"/sign-in": "sign-in"}).of(
        {"type": "http", "path": path, "method": method}
    )


def test_a_route_without_a_declaration_is_the_admin_s_alone():
    assert rule_for("GET", "/new", ("GET", "/new", {})).role is Role.ADMIN


def test_of_two_routes_that_match_the_stricter_role_is_asked_for():
    routes = (
        ("POST", "/jobs/{name}", needs(Role.OPERATOR, "run")),
        ("POST", "/jobs/all", needs(Role.ADMIN, "dispatch")),
    )

    assert rule_for("POST", "/jobs/all", *routes) == Rule(Role.ADMIN, "dispatch")
    assert rule_for("POST", "/jobs/all", *reversed(routes)) == Rule(Role.ADMIN, "dispatch")
    assert rule_for("POST", "/jobs/one", *routes) == Rule(Role.OPERATOR, "run")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_head_is_asked_as_get_is(method: str):
    assert rule_for(method, "/x", ("GET", "/x", needs(Role.VIEWER))).role is Role.VIEWER


def test_a_path_of_no_route_tells_a_viewer_so_and_takes_an_admin_to_change():
    assert rule_for("GET", "/nothing").role is Role.VIEWER
    assert rule_for("DELETE", "/nothing").role is Role.ADMIN
    assert rule_for("POST", "/sign-in").role is None


def test_each_role_may_do_what_the_one_before_it_may():
    roles = list(Role)
    covers = [[one.covers(needed) for needed in roles] for one in roles]

    assert covers == [[True, False, False], [True, True, False], [True, True, True]]
