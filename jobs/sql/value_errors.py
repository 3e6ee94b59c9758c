"""Says which query a value failed in, where the server names no object and no place."""

from types import TracebackType
from typing import Any

# Of class 22, data exceptions: division by zero, a number out of range, an invalid text.
_OF_VALUES = "22"


class said_of:  # noqa: N801 - read as a block's words
    """A block that adds `what` to an error of a value which names neither column nor place."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say where the error was raised."""
        if not isinstance(error, Exception):
            return
        cause: Any = getattr(error, "orig", error)
        if str(getattr(cause, "pgcode", None) or "").startswith(_OF_VALUES):
            diag = cause.diag
            if not (diag.statement_position or diag.context or diag.table_name):
                error.add_note(f"in {self._what}")
