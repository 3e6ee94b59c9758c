"""What an attempt asks the worker's side for: its sessions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from headrace.jobapi.other_database import Answer, OtherDatabase
from headrace.model.connection import Kind

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


class Statements(Protocol):
    """Sends statements to the driver at once."""

    def run(
        self,
        sql: str,
        values: Mapping[str, Any] | None,
        *,
        stream: bool = False,
        types: Mapping[int, Any] | None = None,
    ) -> "AbstractContextManager[Answer]":
        """Send one statement; see `DirectStatements`."""
        ...


class Sessions(Protocol):
    """Source of an attempt's sessions; `Attempt` describes each."""

    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> "AbstractContextManager[Session]":
        """Return one whose work commits together with the completion."""
        ...

    def statements(self, connection: str | None = None) -> "AbstractContextManager[Statements]":
        """Return a block in the same transaction, for statements that are sent as they are."""
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
