"""The block of a job's session: no generator stands on a path that each small job takes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from sqlalchemy.orm import Session

from headrace.store.late_connection import Line, connection_of

Bound = Callable[[], AbstractContextManager[Line]]


class SessionBlock:
    """A block with a session in the attempt's transaction; `bound` gives what it works on."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound

    def __enter__(self) -> Session:
        """Open the session."""
        self._binding = self._bound()
        line = self._binding.__enter__()
        self._session = Session(bind=connection_of(line), join_transaction_mode="create_savepoint")
        return self._session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Release the session's savepoint, or undo what it did where an error was raised."""
        try:
            try:
                if kind is None:
                    self._session.commit()
            finally:
                self._session.close()
        except BaseException as raised:
            self._binding.__exit__(type(raised), raised, raised.__traceback__)
            raise
        return self._binding.__exit__(kind, error, trace)
