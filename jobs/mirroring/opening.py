"""A job, seen as what opens sessions."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class OpensSnapshots(Protocol):
    """Opens sessions, also with a snapshot or a transaction of their own."""

    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> "AbstractContextManager[Session]": ...

    def snapshot(
        self, connection: str | None = None, exported: str | None = None
    ) -> "AbstractContextManager[Session]": ...

    def aside(self, connection: str | None = None) -> "AbstractContextManager[Session]": ...
