"""Bodies of requests, in the YAML's words."""

import json
import math
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.model import exact_json
from headrace.model.storable import joined

_DEEPEST = 64


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00]*$",
        description="Any text: a second request with it makes nothing new",
    ),
]


class _ExactRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            return exact_json.loads(body.decode())
        except ValueError:
            # What is no JSON the standard library says in words that FastAPI answers with.
            return json.loads(body)


class ExactRoute(APIRoute):
    """A route that reads the numbers of its body with every digit."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, given a request of our own."""
        handle = super().get_route_handler()

        async def _handle(request: Request) -> Response:
            return await handle(_ExactRequest(request.scope, request.receive))

        return _handle


class Body(BaseModel):
    """A JSON body; what PostgreSQL cannot store is refused before it gets there."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def storable(cls, data: Any) -> Any:
        """Refuse texts and numbers that a jsonb column cannot hold."""
        _check_storable(data, 0)
        return data


class NewJob(Body):
    """`POST /jobs`."""

    job: str = Field(min_length=1, max_length=200, description="A class in jobs/, or a dotted path")
    with_: dict[str, Any] = Field(default_factory=dict, alias="with", description="Its arguments")
    queue: str | None = None
    depends_on: list[str] | str = Field(default_factory=list, description="Ids of jobs")
    retry: int | dict[str, Any] | None = Field(
        None, description="A limit, or a mapping with limit, delay, factor, max_delay, jitter"
    )
    timeout: float | str | None = Field(None, description="Seconds, or a duration such as 5m")
    idempotency_key: str | None = Field(None, min_length=1, max_length=200)


class NewRun(Body):
    """`POST /pipelines/{name}/runs`."""

    params: dict[str, Any] = Field(default_factory=dict)
    logical_date: str | None = Field(
        None, description="Logical date (now); in the schedule's time zone unless it has an offset"
    )


class BackfillRange(Body):
    """`POST /pipelines/{name}/backfill`: dates or times; a date's whole day counts."""

    from_: str = Field(alias="from")
    to: str
    dry_run: bool = False


def _check_storable(value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"nested deeper than {_DEEPEST} levels")
    if isinstance(value, str):
        if joined(value) is None:
            raise ValueError("a text has a character that cannot be stored")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("NaN and Infinity are not JSON numbers")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_storable(key, depth + 1)
            _check_storable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_storable(item, depth + 1)
