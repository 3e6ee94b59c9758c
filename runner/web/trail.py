"""The audit trail of requests: each change before it is carried out, and each refusal."""

import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import anyio
from anyio.to_thread import run_sync
from starlette.types import Scope

from headrace.engine.access import audit
from headrace.engine.access.refusals import Refusals
from headrace.model.caller import Caller, Deed, Via
from headrace.store.database import Transaction
from headrace.store.waiting import within
from headrace.web.roles import Rule

log = logging.getLogger("headrace.web")

_FLUSH_EVERY_S = 1.0
# Outcomes of so long a time are one statement.
_TOGETHER_S = 0.05
# A refusal does not wait longer for PostgreSQL; it is counted, and written later.
_REFUSAL_S = 2.0
_FIRST_FAILURE = 400
# An IPv6 network that belongs to one.
_ONE_NETWORK = 64


@dataclass(frozen=True, slots=True)
class Begun:
    """A request's row in the trail, and the notes of what it makes or changes."""

    deed_id: UUID
    notes: audit.Notes


class Trail:
    """Writes down what requests do. Its calls wait in threads, refusals in few of their own."""

    def __init__(self, database: Transaction) -> None:
        self._database = database
        self._refusals = Refusals(database)
        self._outcomes = audit.Outcomes(database)
        self._ended = anyio.Event()
        self._few = anyio.CapacityLimiter(2)

    async def begin(self, scope: Scope, caller: Caller, action: str) -> Begun:
        """Write down what is about to be done.

        Raises:
            StoreUnavailable: It cannot be written, so it must not be done.
        """
        deed_id = await run_sync(audit.begin, self._database, _deed(scope, caller, action))
        return Begun(deed_id, audit.open_notes())

    async def end(self, begun: Begun, status: int) -> None:
        """Have it written down a moment later what came of it, and what routes have told of."""
        done = status < _FIRST_FAILURE
        self._outcomes.note(begun.deed_id, done=done, status=status, notes=begun.notes)
        self._ended.set()

    async def refused(self, scope: Scope, caller: Caller | None, rule: Rule, status: int) -> None:
        """Count a refusal, and write it unless one like it was written a moment ago."""
        if self._refusals.note(_deed(scope, caller, rule.action), status):
            await self._write()

    def write_outcomes(self) -> None:
        """Write what came of deeds so far."""
        self._outcomes.write()

    async def keep_ending(self) -> None:
        """Write what comes of deeds, all of a moment together, until cancelled."""
        while True:
            await self._ended.wait()
            await anyio.sleep(_TOGETHER_S)
            self._ended = anyio.Event()
            try:
                await run_sync(_soon, self.write_outcomes, limiter=self._few)
            except Exception:
                log.exception("outcomes cannot be written to the audit trail")

    async def keep_writing(self) -> None:
        """Write what has only been counted, every second, until cancelled."""
        while True:
            await anyio.sleep(_FLUSH_EVERY_S)
            if self._refusals.pending:
                try:
                    await self._write()
                except Exception:
                    log.exception("refusals cannot be written")

    async def write_rest(self) -> None:
        """Write the rest."""
        await run_sync(_soon, self.write_outcomes, limiter=self._few)
        if self._refusals.pending:
            await self._write()

    async def _write(self) -> None:
        await run_sync(_soon, self._refusals.write, limiter=self._few)


def _soon(write: Callable[[], None]) -> None:
    with within(_REFUSAL_S):
        write()


def _deed(scope: Scope, caller: Caller | None, action: str) -> Deed:
    # As it was sent, percent signs and all: it holds no character that cannot be stored.
    raw: Any = scope.get("raw_path") or scope["path"].encode("ascii", "backslashreplace")
    path = raw.partition(b"?")[0].decode("ascii", "backslashreplace")
    client = scope.get("client")
    host = client[0] if client else None
    if caller is None:
        return Deed("unknown", Via.NOBODY, None, action, path, _network(host))
    return Deed(caller.actor, caller.via, caller.role, action, path, host)


def _network(host: str | None) -> str | None:
    """Return a stranger's address; of IPv6 the network: its owner has addresses without number."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host
    if address.version == 4 or address.ipv4_mapped:
        return host
    return str(ipaddress.ip_network((address, _ONE_NETWORK), strict=False))
