"""Says which query a value failed in, where the server names no object and no place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Of class 22, data exceptions: division by zero, a number out of range, an invalid text.
_OF_VALUES = "22"


@contextmanager
def said_of(what: str) -> Iterator[None]:
    """Add `what` to an error of a value within the block that names neither column nor place."""
    try:
        yield
    except Exception as error:
        cause: Any = getattr(error, "orig", error)
        if str(getattr(cause, "pgcode", None) or "").startswith(_OF_VALUES):
            diag = cause.diag
            if not (diag.statement_position or diag.context or diag.table_name):
                error.add_note(f"in {what}")
        raise
