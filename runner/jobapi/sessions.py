"""What gives an attempt its sessions, as the door between jobs and Headrace knows it."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from headrace.jobapi.other_database import OtherDatabase
from headrace.model.connection import Kind

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


class Sessions(Protocol):
    """Source of an attempt's sessions."""

    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> "AbstractContextManager[Session]":
        """See `Attempt.session`."""
        ...

    def autocommit(
        self, connection: str | None = None, *, patient: bool = False
    ) -> "AbstractContextManager[Connection]":
        """See `Attempt.autocommit`."""
        ...

    def aside(self, connection: str | None = None) -> "AbstractContextManager[Session]":
        """See `Attempt.aside`."""
        ...

    def batch(
        self, label: str, connection: str | None = None
    ) -> "AbstractContextManager[Session | None]":
        """See `Attempt.batch`."""
        ...

    def kind_of(self, connection: str | None) -> Kind:
        """See `Attempt.kind_of`."""
        ...

    def other(
        self, connection: str, *, read_only: bool = False
    ) -> AbstractContextManager[OtherDatabase]:
        """See `Attempt.other`."""
        ...

    def other_alone(self, connection: str) -> AbstractContextManager[OtherDatabase]:
        """See `Attempt.other_alone`."""
        ...
