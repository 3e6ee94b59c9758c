"""Repairs, once a second in the active daemon, what crashes have left undone."""

import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.engine.gating.gate import (
    CRASH_BUDGET,
    after_loss,
    attempts_json,
    decide,
    message_for,
    recount_stuck,
)
from headrace.engine.gating.pools import assign_slots
from headrace.engine.gating.run_completion import finish_runs, release
from headrace.engine.operations.glance import SILENCE_S, Glance
from headrace.engine.scheduling.subpipelines import MOST_RUNS, Subpipelines
from headrace.errors import ConfigError, QueueUnavailable, StoreUnavailable
from headrace.model.connection import NamedConnection
from headrace.queue.message import Message
from headrace.queue.process import birth_ticks, host_mark
from headrace.queue.sender import Sender
from headrace.store import queries
from headrace.store.backoff import Outage
from headrace.store.database import Database, SqlTransaction, Transaction
from headrace.store.made_databases import is_there
from headrace.store.row_types import GroupRow, IdRow, QueuedJob, StaleWorker
from headrace.store.targets import end_sessions

# A message needs milliseconds from its row's commit to its queue; what is absent after this
# long was lost on the way.
OVERDUE_S = 5.0
_SWEEP_EVERY_S = 5.0
# A sweep reads the queues whole: a long one less often, so that it takes a small share of a core.
_SWEEP_SHARE = 0.05
_LONGEST_REST_S = 60.0

log = logging.getLogger("headrace.daemon")


@dataclass
class Repaired:
    """Counts of one pass, for the log and the metrics."""

    retried: int = 0
    resent: int = 0
    lost: int = 0
    finished_runs: int = 0
    workers: list[str] = field(default_factory=list)
    untaken: list[str] = field(default_factory=list)


@dataclass
class _Swept:
    """The findings of a sweep: messages to send, runs and groups to check, overdue messages."""

    messages: list[Message]
    forgotten: list[IdRow]
    groups: list[GroupRow]
    overdue: list[QueuedJob]


class Recovery:
    """The repairs. `clock` gives seconds of a monotonic clock."""

    def __init__(
        self,
        database: Database,
        sender: Sender,
        clock: Callable[[], float],
        connections: Mapping[str, NamedConnection] | None = None,
        subpipelines: Subpipelines | None = None,
    ) -> None:
        self._connections = connections or {}
        self._subpipelines = subpipelines
        self._database = database
        self._sender = sender
        self._clock = clock
        self._next_sweep = 0.0
        self._outage = Outage(log, first_pause_s=0.0)
        self._refused = False
        self._busy = False
        self._trusted_from = 0.0
        self._hostname = socket.gethostname()
        self._mark = host_mark()

    def tick(
        self,
        lead: Callable[[SqlTransaction], None] = lambda _tx: None,
        term: int | None = None,
        glance: Callable[[], Glance] | None = None,
    ) -> Repaired:
        """Requeue due retries and what dead workers held; every few seconds sweep the rest.

        `lead` runs first, in the same transaction: there the daemon renews its lease, that of
        its `term`. Runs that steps ask for are started, too. Between two sweeps `glance`, which
        renews the lease by itself, says whether anything is to be done; once it has said so it is
        not asked until the next sweep.

        What Redis does not take is sent by a later sweep: its outage ends no tick, and no lead.

        Raises:
            StoreUnavailable, LeadershipLost: Tried again at the next tick.
        """
        try:
            emptied = self._emptied()
            sweeps = emptied or self._clock() >= self._next_sweep
            if glance is not None and not sweeps and not self._busy:
                self._busy = self._has_work(glance())
                if not self._busy:
                    return Repaired()
            return self._tick(lead, term, emptied)
        except StoreUnavailable:
            # Nobody could renew a lease meanwhile: silence proves nothing for a while.
            self._trusted_from = self._clock() + SILENCE_S
            raise

    def _has_work(self, seen: Glance) -> bool:
        return seen.busy or any(self._is_gone(*worker) for worker in seen.workers)

    def _tick(
        self, lead: Callable[[SqlTransaction], None], term: int | None, emptied: bool
    ) -> Repaired:
        done, swept = Repaired(), None
        with self._database.transaction() as tx:
            lead(tx)
            retries = tx.rows(queries.DUE_RETRIES)
            messages = [message_for(row) for row in retries]
            messages += self._reap(tx, done)
            wanted = tx.rows(queries.WANTED_POOLS)
            began = self._clock()
            if emptied or began >= self._next_sweep:
                # Looked for here: a transaction of its own each would triple an idle sweep's.
                swept = _sweep(tx, 0 if emptied else OVERDUE_S)
                messages += swept.messages
            # After what the sweep lets pass the gate.
            children = tx.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)
        done.retried = len(retries)
        if swept is not None:
            self._next_sweep, self._busy = self._clock() + _SWEEP_EVERY_S, False
        self._forget(done.untaken)
        self._send(messages)
        if swept is not None:
            done.finished_runs = self._finish(swept)
        if wanted:
            self._send(assign_slots(self._database))
        if self._subpipelines is not None:
            self._send(self._subpipelines.start(children, term))
        if swept is not None:
            done.resent = self._resend(swept.overdue)
            if done.resent:
                self._database.rows("add_total", name="recoveries", by=done.resent)
            # Waiting for a Redis that does not answer takes no share of a core.
            rest_s = 0.0 if self._refused else (self._clock() - began) / _SWEEP_SHARE
            self._note_end_of_outage()
            self._next_sweep = max(self._next_sweep, self._clock() + min(rest_s, _LONGEST_REST_S))
        return done

    def _finish(self, swept: "_Swept") -> int:
        """Finish runs of which nothing is left, start queued ones; return how many were finished.

        In transactions of their own: whoever holds a group waits for jobs that a tick may hold.
        """
        finished, following = finish_runs(self._database, [row["id"] for row in swept.forgotten])
        self._send(following)
        self._send(release(self._database, [row["name"] for row in swept.groups]))
        return len(finished)

    def _reap(self, tx: Transaction, done: Repaired) -> list[Message]:
        """Give the jobs of dead workers back, and end what their sessions still hold."""
        stale = tx.rows(queries.STALE_WORKERS, lease_s=SILENCE_S, hostname=self._hostname)
        dead = [row["name"] for row in stale if self._dead(row)]
        if dead:
            tx.rows("lose_workers", names=dead)
            tx.rows("add_idle_crashes", names=dead)
            tx.rows("terminate_backends", application_names=[f"headrace:{name}" for name in dead])
            log.warning("lost the worker %s", ", ".join(dead))
            # In a thread: a database that does not answer must not hold up everything else.
            threading.Thread(target=self._end_sessions, args=(dead,), daemon=True).start()
        attempts = tx.rows(queries.ATTEMPTS_OF_WORKERS, lease_s=SILENCE_S)
        if not attempts:
            return []
        rows = tx.rows(
            queries.LOSE_ATTEMPTS,
            attempts=attempts_json((row["id"], row["attempt"]) for row in attempts),
            outcome="crashed",
            error="its worker died",
            crash_budget=CRASH_BUDGET,
        )
        done.lost, done.workers = len(rows), dead
        # The numbers that their messages bore, before the claim.
        done.untaken = [f"{row['id']}_{row['attempt'] - 1}" for row in rows]
        return after_loss(tx, rows)

    def _forget(self, message_ids: Sequence[str]) -> None:
        """Remove what Redis keeps of messages whose attempts ended with their workers."""
        if not message_ids:
            return
        try:
            self._sender.forget(message_ids)
        except QueueUnavailable as error:
            self._note(error)

    def _end_sessions(self, workers: list[str]) -> None:
        """End what they hold open in other databases: a paused one keeps its locks there."""
        for name, connection in self._connections.items():
            if connection.kind != "postgresql":
                continue  # Its server, or its file's lock, learns of a dead worker by itself.
            try:
                if is_there(connection):
                    end_sessions(connection.url, workers)
            except (StoreUnavailable, ConfigError) as error:
                log.warning("sessions of lost workers on %s were not terminated: %s", name, error)

    def _dead(self, row: StaleWorker) -> bool:
        if row["expired"] and self._clock() >= self._trusted_from:
            return True
        if row["hostname"] != self._hostname:
            return False
        return self._is_gone(row["name"], row["pid"], row["birth_ticks"])

    def _is_gone(self, name: str, pid: int, ticks: int) -> bool:
        """Return whether a worker of this host is dead: the process itself tells, at once."""
        here = name.rpartition(".")[2].startswith(self._mark)
        return here and birth_ticks(pid) != ticks

    def _resend(self, overdue: list[QueuedJob]) -> int:
        """Send the messages again that Redis does not have."""
        if not overdue:
            return 0
        try:
            missing = self._sender.missing([message_for(row) for row in overdue])
            if missing:
                missing = self._still_queued(missing)
            self._sender.send(missing)
        except QueueUnavailable as error:
            self._note(error)
            return 0
        return len(missing)

    def _still_queued(self, missing: list[Message]) -> list[Message]:
        """Return those of which no worker has claimed the job since its row was read."""
        attempts = attempts_json((one.job_id, one.attempt) for one in missing)
        return [
            message_for(row) for row in self._database.rows(queries.STILL_QUEUED, attempts=attempts)
        ]

    def _note(self, error: QueueUnavailable) -> None:
        self._refused = True
        self._outage.say(error)

    def _note_end_of_outage(self) -> None:
        """Say that Redis takes messages again, after a whole sweep of which it took all."""
        if not self._refused:
            self._outage.over()
        self._refused = False

    def _emptied(self) -> bool:
        try:
            emptied = self._sender.memory_lost()
        except QueueUnavailable as error:
            self._note(error)
            return False
        if emptied:
            log.info("Redis has lost Headrace's data; queued jobs are sent again")
        return emptied

    def _send(self, messages: list[Message]) -> None:
        try:
            self._sender.send(messages)
        except QueueUnavailable as error:
            self._note(error)


def _sweep(tx: Transaction, overdue_after_s: float) -> _Swept:
    """Let pass the gate what has been left behind it, and look for what else was left undone."""
    forgotten = tx.rows(queries.FORGOTTEN_RUNS)
    groups = tx.rows(queries.GROUPS_WITH_QUEUED_RUNS)
    messages = decide(tx)[0]
    messages += recount_stuck(tx, OVERDUE_S)
    messages += [message_for(row) for row in tx.rows(queries.WAKE_FORGOTTEN_PARENTS)]
    overdue = tx.rows(queries.OVERDUE_MESSAGES, older_than_s=overdue_after_s)
    tx.rows("forget_old_workers")
    return _Swept(messages, forgotten, groups, overdue)
