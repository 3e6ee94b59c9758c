"""Parameters of a request's query: one that a route does not know is refused, not passed over."""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from headrace.errors.suggestions import did_you_mean


def known_query_only(request: Request) -> None:
    """Refuse a query with a name that the route has no meaning for: a misspelt filter, say.

    Raises:
        RequestValidationError: Answered as 422, as a wrong value is.
    """
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = list(_names(route.dependant))
    errors = [
        {
            "type": "extra_forbidden",
            "loc": ("query", name),
            "msg": did_you_mean(name, known, listed_as="this route knows")
            or "this route has no parameters",
            "input": value,
        }
        for name, value in request.query_params.items()
        if name not in known
    ]
    if errors:
        raise RequestValidationError(errors)


def _names(dependant: Dependant) -> Iterator[str]:
    for field in dependant.query_params:
        yield field.alias
    for part in dependant.dependencies:
        yield from _names(part)
