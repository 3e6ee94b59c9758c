"""Prints a job's statements before they run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headrace.cli.printing import plain

if TYPE_CHECKING:
    from headrace.engine.explain.sql_preview import PreviewedJob
    from headrace.template import Preview


def sql_json(told: "PreviewedJob") -> dict[str, Any]:
    """Return a job's statements for a program."""
    if told.error is not None:
        return {"error": told.error, "statements": []}
    return {
        "statements": [
            {
                "text": one.sql.display,
                "values": one.sql.binds,
                "connection": one.connection,
                "note": one.note or None,
            }
            for one in told.statements
        ]
    }


def sql_lines(told: "PreviewedJob") -> Iterator[str]:
    """Yield a job's statements for people, each with its values after it."""
    if told.error is not None:
        reason = "cannot be rendered" if told.fatal else "is known when the step starts"
        yield f"    its SQL {reason}: {told.error}"
    for one in told.statements:
        yield from _statement_lines(one)


def _statement_lines(one: "Preview") -> Iterator[str]:
    if one.note:
        yield f"    | -- {one.note}"
    if one.connection is not None:
        yield f"    | -- on the connection {one.connection}"
    for line in f"{one.sql.display.strip()};".splitlines():
        yield f"    | {line}".rstrip()
    for name, value in one.sql.binds.items():
        yield f"    :{name} = {as_text(value)}"


def as_text(value: Any) -> str:
    """Return a value on one line, as JSON has it."""
    import json

    return json.dumps(value, default=plain, ensure_ascii=False)
