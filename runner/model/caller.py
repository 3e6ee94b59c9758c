"""Roles, and whoever asks for something."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What a caller may do; each role may do what the one before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Return whether this role may do what asks for `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Via(StrEnum):
    """How a caller was known."""

    TOKEN = "token"  # noqa: S105 - its name
    SESSION = "session"
    LOOPBACK = "loopback"
    COMMAND = "command"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a role. `actor` is a token's name, or the operating system's user."""

    actor: str
    role: Role
    via: Via
    token_id: UUID | None = None
    session_id: UUID | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody asked for. `role` is None where nobody knows who it was.

    `path` is the path of a request or a command, without anything secret.
    """

    actor: str
    via: Via
    role: Role | None
    action: str
    path: str
    address: str | None
