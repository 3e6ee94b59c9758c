"""What the OpenAPI document says of access: how a caller is known, and each route's role."""

from typing import Any

from fastapi import FastAPI

from headrace.web.access import COOKIE
from headrace.web.roles import NOBODY, ROLE

_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `headrace token create`, or the admin's.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "A session of the web page.",
    },
}


def describe_security(app: FastAPI) -> None:
    """Add the ways to be known to the document, and to each route which of them it takes."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        document = plain()
        document.setdefault("components", {})["securitySchemes"] = _SCHEMES
        for methods in document["paths"].values():
            for operation in methods.values():
                _describe(operation)
        return document

    app.openapi = described  # type: ignore[method-assign]


def _describe(operation: dict[str, Any]) -> None:
    schemes: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
    if operation.get(ROLE) == NOBODY:
        # It tells more to who is known.
        operation["security"] = [{}, *schemes]
        return
    operation["security"] = schemes
    operation["responses"]["401"] = {"description": "No token, a wrong one, or a revoked one"}
    operation["responses"]["403"] = {
        "description": "The role does not suffice, or a page of another site asks"
    }
