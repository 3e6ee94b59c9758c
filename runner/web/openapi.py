"""What the OpenAPI document says of access and errors.

How a caller is known, each route's role, and the one form that every error has.
"""

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

_ERROR = "Error"
_ERRORS = {
    "type": "object",
    "title": _ERROR,
    "description": "Every answer with a status from 400 on, but for `/health/ready`.",
    "required": ["detail", "code"],
    "properties": {
        "detail": {"type": "string", "description": "What is wrong, for people"},
        "code": {"type": "string", "description": "Which kind of error it is, for programs"},
        "hint": {"type": "string", "description": "What to do about it"},
        "items": {
            "type": "array",
            "items": {"type": "object"},
            "description": "The single problems of a request or of pipeline files",
        },
    },
}
# What FastAPI describes, and this service never answers.
_NEVER_ANSWERED = ("HTTPValidationError", "ValidationError")


def describe_api(app: FastAPI) -> None:
    """Add access and errors to the document, and to each route which of them it has."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        document = plain()
        components = document.setdefault("components", {})
        components["securitySchemes"] = _SCHEMES
        schemas = components.setdefault("schemas", {})
        schemas[_ERROR] = _ERRORS
        for name in _NEVER_ANSWERED:
            schemas.pop(name, None)
        for methods in document["paths"].values():
            for operation in methods.values():
                _describe(operation)
        return document

    app.openapi = described  # type: ignore[method-assign]


def _describe(operation: dict[str, Any]) -> None:
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = _error("An error, which `code` names")
    schemes: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES]
    if operation.get(ROLE) == NOBODY:
        # It tells more to who is known.
        operation["security"] = [{}, *schemes]
        return
    operation["security"] = schemes
    operation["responses"]["401"] = _error("No token, a wrong one, or a revoked one")
    operation["responses"]["403"] = _error(
        "The role does not suffice, or a page of another site asks"
    )


def _error(description: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{_ERROR}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
