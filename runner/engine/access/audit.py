"""The audit trail: a row for each change that somebody asks for, and for refusals."""

import logging
import os
import pwd
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from uuid import UUID

from headrace.engine.access.tokens import without_tokens
from headrace.errors import HeadraceError, StoreUnavailable
from headrace.errors.numbers import listed
from headrace.errors.shortened import shortened
from headrace.model.caller import Deed, Role, Via
from headrace.model.ids import first_id_of, new_id
from headrace.observe.redaction import redacted
from headrace.store.database import Row, Transaction

log = logging.getLogger("headrace.audit")

# A path is cut there, and ends with …; the longest of ours has a tenth of it.
_LONGEST_PATH = 1000
_BATCH = 5000
# What earlier versions have written between a path and what came of it, so that no path may have
# it; see the statement `audit`.
_ARROW = " → "
# Of what was made or changed so many ids are told, and how many more there are.
_MOST_IDS = 20

Notes = list[tuple[str, str]]
# What is being carried out here notes what it has made or changed: `run` or `job`, and its id. A
# list, since a thread that a request waits in has a copy of the request's context.
_concerned: ContextVar[Notes | None] = ContextVar("concerned", default=None)


def open_notes() -> Notes:
    """Collect what `concerns` is told from now on, in this context and in copies of it."""
    notes: Notes = []
    _concerned.set(notes)
    return notes


def concerns(kind: str, ids: Iterable[object]) -> None:
    """Tell the trail which runs or jobs a command or request has made or changed."""
    notes = _concerned.get()
    if notes is not None:
        notes += [(kind, str(one)) for one in ids]


class Outcomes:
    """What came of deeds, written together: nobody waits for it. Safe to share by threads."""

    def __init__(self, database: Transaction) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._ended: list[tuple[UUID, str, int, str | None]] = []

    def note(self, deed_id: UUID, *, done: bool, status: int, notes: Notes) -> None:
        """Keep what came of a deed, and what it has made or changed, until `write`."""
        with self._lock:
            self._ended.append((deed_id, "done" if done else "failed", status, _told(notes)))

    def write(self) -> None:
        """Write what was noted. Where that cannot be done, the rows say `begun` for ever."""
        with self._lock:
            ended, self._ended = self._ended, []
        if not ended:
            return
        ids, outcomes, statuses, concerned = (list(column) for column in zip(*ended, strict=True))
        try:
            self._database.rows(
                "end_deeds",
                ids=[str(one) for one in ids],
                outcomes=outcomes,
                statuses=statuses,
                concerns=concerned,
            )
        except StoreUnavailable as error:
            log.warning("the outcomes of %s are not in the audit trail: %s", listed(ids), error)


def begin(database: Transaction, deed: Deed) -> UUID:
    """Write down what somebody is about to do, and return the row's id for `end`.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; then the deed must not be done.
    """
    deed_id = new_id()
    database.rows("begin_deed", id=deed_id, **columns(deed))
    return deed_id


def end(
    database: Transaction, deed_id: UUID, *, done: bool, status: int, notes: Notes | None = None
) -> None:
    """Write down what came of it, and with `notes` what was made or changed.

    Where that cannot be written, the row says `begun` for ever.
    """
    outcome = "done" if done else "failed"
    told = _told(notes or [])
    try:
        database.rows("end_deed", id=deed_id, outcome=outcome, status=status, concerns=told)
    except StoreUnavailable as error:
        log.warning("the outcome of %s is not in the audit trail: %s", deed_id, error)


def _told(notes: Notes) -> str | None:
    """Return as in `run A; job B, C` what was noted, None if nothing; of many ids the first."""
    parts = []
    for kind in dict.fromkeys(kind for kind, _ in notes):
        ids = [one for of, one in notes if of == kind]
        parts.append(f"{kind} {listed(ids, _MOST_IDS)}")
    return "; ".join(parts) or None


@contextmanager
def audited(database: Transaction, action: str, path: str) -> Iterator[None]:
    """Write down what this process does to an installation, as its operating system's user.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; nothing was done.
    """
    deed = Deed(
        user_name(os.geteuid()), Via.COMMAND, Role.ADMIN, action, path, socket.gethostname()
    )
    deed_id = begin(database, deed)
    notes = open_notes()
    try:
        yield
    except BaseException as error:
        status = error.exit_code if isinstance(error, HeadraceError) else 1
        end(database, deed_id, done=False, status=status, notes=notes)
        raise
    end(database, deed_id, done=True, status=0, notes=notes)


def columns(deed: Deed) -> Row:
    """Return a deed as the table has it."""
    # An argument of a command may be no text.
    path = deed.path.encode("utf-8", "backslashreplace").decode()
    path = redacted(without_tokens(path)).replace(_ARROW, " -> ")
    path = shortened(path, _LONGEST_PATH)
    return {
        "actor": deed.actor,
        "via": deed.via,
        "role": deed.role,
        "action": deed.action,
        "path": path,
        "address": deed.address,
    }


@cache
def user_name(uid: int) -> str:
    """Return what the operating system calls a user; asked once, since it may ask a directory."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


def delete_expired(database: Transaction, retention_s: float | None) -> int:
    """Forget sessions that are over, and what of the trail is older than the retention.

    Tokens that were revoked before go, too. Returns the number of the trail's rows that are gone.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; whole batches were deleted.
    """
    database.rows("forget_sessions")
    if retention_s is None:
        return 0
    before = first_id_of(max(0.0, time.time() - retention_s))
    deleted = 0
    while True:
        (done,) = database.rows("prune_audit", before=before, limit=_BATCH)
        deleted += int(done["rows"])
        if done["rows"] < _BATCH:
            break
    database.rows("prune_tokens", older_than_s=retention_s)
    return deleted
