"""Sessions of the web page: a cookie's random value stands for a token, for a time."""

import hmac
import re
import secrets
from dataclasses import dataclass, replace

from headrace.engine.access.tokens import hash_of
from headrace.model.caller import Caller, Role, Via
from headrace.model.ids import new_id
from headrace.store.database import Transaction

_BYTES = 32
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session, and the value of its cookie, which is stored nowhere."""

    caller: Caller
    value: str


class Sessions:
    """The sessions in one control database. Safe to share by threads.

    `fixed` is whoever has the token that needs no table (`HEADRACE_API_TOKEN` or the home's);
    a session that was opened with it is over when that token is another one.
    """

    def __init__(self, database: Transaction, *, fixed: Caller, token: str) -> None:
        self._database = database
        self._fixed = fixed
        self._proof = hash_of(f"headrace web session {token}")

    def open(self, caller: Caller, lifetime_s: float) -> OpenedSession:
        """Open a session for whoever has shown a token.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        value = secrets.token_urlsafe(_BYTES)
        row = self._database.row(
            "open_session",
            id=new_id(),
            hash=hash_of(value),
            token_id=caller.token_id,
            proof=None if caller.token_id else self._proof,
            lifetime_s=lifetime_s,
        )
        assert row is not None
        opened = replace(caller, via=Via.SESSION, session_id=row["id"], ends_at=row["ends_at"])
        return OpenedSession(opened, value)

    def find(self, value: str) -> tuple[bool, Caller | None]:
        """Return whether a session had this value, and whose it is unless it is over.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        if not _VALUE.fullmatch(value):
            return False, None
        row = self._database.row("session_by_hash", hash=hash_of(value))
        if row is None:
            return False, None
        if not row["live"]:
            return True, None
        known = {"via": Via.SESSION, "session_id": row["id"], "ends_at": row["ends_at"]}
        if row["token_id"] is None:
            same = hmac.compare_digest(row["proof"], self._proof)
            return True, replace(self._fixed, **known) if same else None
        return True, Caller(row["name"], Role(row["role"]), token_id=row["token_id"], **known)

    def end(self, caller: Caller) -> None:
        """End the session of a caller; in every web process from now on."""
        self._database.rows("end_session", id=caller.session_id)

    def is_still_allowed(self, caller: Caller) -> bool:
        """Return whether a caller that was let in may go on: neither revoked nor signed out.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        if caller.token_id is None and caller.session_id is None:
            return True
        row = self._database.row(
            "is_still_allowed", token_id=caller.token_id, session_id=caller.session_id
        )
        return row is not None and bool(row["allowed"])
