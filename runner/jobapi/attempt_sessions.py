"""What an attempt asks the worker's side for: its sessions."""

from typing import TYPE_CHECKING, Protocol

from headrace.jobapi.other_database import OtherDatabase
from headrace.model.connection import Kind

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

    def kind_of(self, connection: str | None) -> Kind:
        """Return the kind of database that a connection leads to."""
        ...

    def other(
        self, connection: str, *, read_only: bool = False
    ) -> "AbstractContextManager[OtherDatabase]":
        """Return a database that is not PostgreSQL, in the attempt's transaction there."""
        ...

    def other_alone(self, connection: str) -> "AbstractContextManager[OtherDatabase]":
        """Return one on which each statement commits by itself."""
        ...
