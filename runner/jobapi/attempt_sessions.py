"""What an attempt asks the worker's side for: its sessions."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


class Sessions(Protocol):
    """Source of an attempt's sessions; `Attempt` describes each."""

    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> "AbstractContextManager[Session]":
        """Return one whose work commits together with the completion."""
        ...

    def autocommit(
        self, connection: str | None = None, *, patient: bool = False
    ) -> "AbstractContextManager[Connection]":
        """Return a connection on which each statement commits by itself."""
        ...

    def aside(self, connection: str | None = None) -> "AbstractContextManager[Session]":
        """Return one whose work is committed although the job fails."""
        ...

    def batch(
        self, label: str, connection: str | None = None
    ) -> "AbstractContextManager[Session | None]":
        """Return one for a part that is committed by itself, once; None if it was."""
        ...

    def snapshot(
        self, connection: str | None = None, exported: str | None = None
    ) -> "AbstractContextManager[Session]":
        """Return one that only reads, all of it in one snapshot."""
        ...
