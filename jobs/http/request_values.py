"""What a step's `query` and `body` are as a request has them, with the secrets that they name."""

from collections.abc import Mapping
from typing import Any

from headrace import jobapi
from headrace.model import exact_json

Scalar = str | int | float | bool | None


def query_pairs(query: Mapping[str, Scalar | list[Scalar]]) -> list[tuple[str, str]]:
    """Return the parameters of a query; a list repeats its name, null leaves it out."""
    return [
        (name, _parameter(value))
        for name, given in query.items()
        for value in (given if isinstance(given, list) else [given])
        if value is not None
    ]


def body_of(body: dict[str, Any] | list[Any] | str) -> bytes:
    """Return a text as it is, anything else as JSON."""
    revealed = _revealed(body)
    text = revealed if isinstance(revealed, str) else exact_json.dumps(revealed)
    return text.encode()


def _revealed(value: Any) -> Any:
    if isinstance(value, str):
        return jobapi.reveal(value)
    if isinstance(value, Mapping):
        return {key: _revealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_revealed(item) for item in value]
    return value


def _parameter(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return jobapi.reveal(value) if isinstance(value, str) else str(value)
