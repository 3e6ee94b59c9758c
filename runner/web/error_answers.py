"""Errors as answers: a status, a sentence, a code; never a traceback."""

from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from headrace.errors import (
    HeadraceError,
    InvalidParams,
    InvalidPayload,
    NotFound,
    Problem,
    ProblemsError,
    QueueUnavailable,
    RefusedSql,
    SchemaMismatch,
    StoreUnavailable,
    TemplateError,
    UnknownJobClass,
    UnknownPipeline,
)
from headrace.observe.redaction import redacted
from headrace.web.json_rows import Answer

RETRY_AFTER_S = 5
_CONFLICT = 409

# The others are conflicts with what there is.
_STATUSES: Sequence[tuple[type[HeadraceError], int]] = (
    (NotFound, 404),
    (UnknownPipeline, 404),
    (InvalidPayload, 422),
    (InvalidParams, 422),
    (UnknownJobClass, 422),
    (TemplateError, 422),
    (RefusedSql, 422),
    (ProblemsError, 422),
    (StoreUnavailable, 503),
    (QueueUnavailable, 503),
    (SchemaMismatch, 503),
)


def add_failures(app: FastAPI) -> None:
    """Let the app answer every error in one form."""
    app.add_exception_handler(HeadraceError, _headrace_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(HTTPException, _http_error)


def status_of(error: HeadraceError) -> int:
    """Return the HTTP status that an error is answered with."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), _CONFLICT)


def problem_row(problem: Problem) -> dict[str, Any]:
    """Return a problem of a file as JSON has it; without a place, line and column are 0."""
    return asdict(problem)


async def _headrace_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HeadraceError)
    status = status_of(error)
    content: dict[str, Any] = {"detail": redacted(str(error)), "code": error.code}
    hint = getattr(error, "hint", "")
    if hint:
        content["hint"] = hint
    if isinstance(error, ProblemsError):
        content["items"] = [problem_row(problem) for problem in error.problems]
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    return Answer(content, status_code=status, headers=headers)


async def _invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The offending value is left out: it may be long, or a secret in the wrong place.
    items = [
        {"place": ".".join(str(part) for part in found["loc"]), "message": found["msg"]}
        for found in error.errors()
    ]
    detail = "; ".join(f"{item['place']}: {item['message']}" for item in items)
    return Answer({"detail": detail, "code": "invalid-request", "items": items}, status_code=422)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
    content = {"detail": error.detail, "code": code}
    return Answer(content, status_code=error.status_code, headers=error.headers)
