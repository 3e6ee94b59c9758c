"""Refusals in the audit trail, counted: a flood of them costs a few rows a minute.

Whoever guesses tokens decides how many requests come, and a row for each would fill the disk.
So refusals of one kind within a minute share a row, which is written at most once a second, and
of kinds there are only so many a minute; beyond that they are one kind, `*`.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from headrace.engine.access.audit import columns
from headrace.errors import StoreUnavailable
from headrace.model.caller import Deed
from headrace.model.ids import new_id
from headrace.store.database import Transaction

log = logging.getLogger("headrace.audit")

# What is put where there are too many different ones to tell.
OTHERS = "*"

_MINUTE_S = 60
_WRITE_EVERY_S = 1.0
# Per minute and web process: of strangers by address, of known callers by what they asked for.
_MOST_ADDRESSES = 20
_MOST_OF_KNOWN = 100
# Kinds that wait in memory while PostgreSQL is away.
_MOST_WAITING = 2000


@dataclass(frozen=True, slots=True)
class _Kind:
    """What refusals of one row have in common."""

    minute: int
    status: int
    common: Deed

    @property
    def bucket(self) -> str:
        """The same in every web process."""
        return sha256(repr(self).encode()).hexdigest()


@dataclass(slots=True)
class _Counted:
    """Refusals of one kind: the first one, and how many are still to be written."""

    first: Deed
    waiting: int = 0
    written_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Taken:
    """Refusals of one kind that are about to be written."""

    kind: _Kind
    counted: _Counted
    count: int


class Refusals:
    """Counts refusals and writes them. Safe to share by threads."""

    def __init__(self, database: Transaction, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._lock = threading.Lock()
        self._counted: dict[_Kind, _Counted] = {}

    def note(self, deed: Deed, status: int) -> bool:
        """Count a refusal; return whether `write` is due now, and not only a second later."""
        now = self._now()
        with self._lock:
            kind, shown = self._kind(deed, status, int(now // _MINUTE_S))
            counted = self._counted.setdefault(kind, _Counted(shown))
            counted.waiting += 1
            before = counted.written_at
            due = before is None or not 0 <= now - before < _WRITE_EVERY_S
            if due:
                counted.written_at = now
        if before is None:
            log.warning(
                "refused with %d: %s of %s from %s; more of them in this minute are only counted,"
                " in the audit trail",
                *(status, shown.action, shown.actor, shown.address),
            )
        return due

    @property
    def pending(self) -> bool:
        """Return whether there is something to be written."""
        with self._lock:
            return any(counted.waiting for counted in self._counted.values())

    def write(self) -> None:
        """Write what was counted. What cannot be written is counted on, and comes later.

        Raises:
            Exception: The first error that was no outage, after the other rows were written.
        """
        todo = self._take()
        missing: list[_Taken] = []
        failures: list[Exception] = []
        for number, one in enumerate(todo):
            try:
                self._write_one(one)
            except StoreUnavailable as error:
                log.debug("%s; refusals are written later", error)
                missing += todo[number:]
                break
            except Exception as error:  # noqa: BLE001 - raised once the others are written
                missing.append(one)
                failures.append(error)
        with self._lock:
            for one in missing:
                one.counted.waiting += one.count
        if failures:
            raise failures[0]

    def _take(self) -> list[_Taken]:
        """Return what waits to be written, which waits no more."""
        minute = int(self._now() // _MINUTE_S)
        with self._lock:
            for kind in [one for one in self._counted if one.minute != minute]:
                if not self._counted[kind].waiting:
                    del self._counted[kind]
            waiting = [(kind, one) for kind, one in self._counted.items() if one.waiting]
            taken = [_Taken(kind, one, one.waiting) for kind, one in waiting]
            for one in taken:
                one.counted.waiting = 0
        return taken

    def _write_one(self, one: _Taken) -> None:
        self._database.rows(
            "count_refusals",
            id=new_id(),
            status=one.kind.status,
            count=one.count,
            bucket=one.kind.bucket,
            **columns(one.counted.first),
        )

    def _kind(self, deed: Deed, status: int, minute: int) -> tuple[_Kind, Deed]:
        """Return the kind of a refusal, and what its row shows where it is the first one."""
        stranger = deed.role is None
        # Of strangers the address is all that counts: anything else is theirs to choose.
        common = replace(deed, action=OTHERS, path=OTHERS) if stranger else deed
        kind = _Kind(minute, status, common)
        alike = [one for one in self._counted if one.minute == minute]
        same = sum((one.common.role is None) == stranger for one in alike)
        most = _MOST_ADDRESSES if stranger else _MOST_OF_KNOWN
        if kind in self._counted or (same < most and len(self._counted) < _MOST_WAITING):
            return kind, deed
        address = OTHERS if stranger else common.address
        common = replace(common, action=OTHERS, path=OTHERS, address=address)
        return _Kind(minute, status, common), common
