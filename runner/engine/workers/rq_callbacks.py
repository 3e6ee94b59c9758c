"""The engine's side of a worker: what its parent reports, what its children run."""

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from headrace.declarations.config import Settings
from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.log_keeper import LogKeeper
from headrace.engine.attempts.surroundings import Surroundings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.gating.gate import after_loss, attempts_json
from headrace.engine.workers.child_loop import ChildLoop
from headrace.engine.workers.group_commit.parent_side import ParentCompletion
from headrace.engine.workers.group_commit.polling import SharedBatches
from headrace.engine.workers.interrupted_attempts import end_attempt, lose_attempts, messages_of
from headrace.errors import QueueUnavailable, SchemaMismatch, StoreUnavailable
from headrace.jobapi import Permissions
from headrace.jobapi.progress import Meter
from headrace.observe.joblog import JOB_LOGGER, JobLog
from headrace.observe.logs import redact_records
from headrace.observe.output import Output
from headrace.queue.consumer import Consumer
from headrace.queue.keys import Keys
from headrace.queue.message import Message
from headrace.queue.process import birth_ticks
from headrace.queue.progress_memory import ProgressMemory
from headrace.queue.sender import Sender
from headrace.queue.shared_memory import AT_WORK, ChildRecord, ChildView
from headrace.queue.worker_callbacks import Ended
from headrace.store import queries
from headrace.store.attempts import AttemptStore, Claimed
from headrace.store.database import Database, Transaction
from headrace.store.row_types import AttemptRow
from headrace.store.schema_watch import SchemaWatch
from headrace.store.sessions import JobSessions
from headrace.store.waiting import look_no_more, look_up
from headrace.template.guard import JobGuard
from headrace.template.values import render_value

_REST_S = 10.0

log = logging.getLogger("headrace.worker")

# The parent waits for Redis in its own loop: within a fraction of the grace that a job has.
REDIS_TIMEOUT_S = 2.0


class WorkerSide:
    """Implements `WorkerHooks` on the control database."""

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        redis_url: str,
        registry: Registry,
        name: str,
        queues: Sequence[str],
        processes: int,
        *,
        keys: Keys,
    ) -> None:
        self._settings = settings
        self._database_url = database_url
        self._redis_url = redis_url
        self._keys = keys
        self._registry = registry
        self._name = name
        self._queues = list(queues)
        self._processes = processes
        self._database = Database(
            database_url, application_name=f"headrace:{name}:parent", pool_size=1
        )
        self._sender = Sender(redis_url, lambda: keys, socket_timeout_s=REDIS_TIMEOUT_S)
        # Of its own: a silent server is asked again after a while only.
        self._watched = Sender(
            redis_url, lambda: keys, socket_timeout_s=REDIS_TIMEOUT_S, rest_s=_REST_S
        )
        self._schema = SchemaWatch(self._database.schema)
        self._keeper = LogKeeper(self._database, processes)
        self._progress = ProgressMemory(processes)
        self._batches = SharedBatches(processes)
        self._completion = ParentCompletion(self._database, self._batches, self._send)
        self._there = True
        self._suspects: set[tuple[str, int]] = set()

    # -- in the child -----------------------------------------------------------------

    def run_child(self, record: ChildRecord) -> None:
        """Live as a child until it has to be replaced."""
        look_no_more()
        settings = self._settings
        redact_records()
        job_log = JobLog(self._keeper.pages[record.index])
        Output(job_log, self._keeper.pipes[record.index]).redirect()
        logging.getLogger().addHandler(job_log)
        logging.getLogger(JOB_LOGGER).setLevel(logging.INFO)
        store = AttemptStore(self._database_url, self._name)
        sessions = JobSessions(store, settings.connections, JobGuard(), self._name)
        sessions.say = job_log.say_one
        executor = Executor(
            store,
            sessions,
            self._registry,
            Surroundings(
                settings.project,
                settings.folders(),
                render_value,
                Permissions(settings.shell_commands, settings.allowed_hosts, settings.storage),
            ),
            job_log,
        )
        executor.meter_of = partial(self._meter_of, record.index)
        loop = ChildLoop(
            executor,
            Consumer(self._redis_url, self._keys, self._queues),
            record,
            self._batches[record.index],
            jobs_per_commit=settings.jobs_per_commit,
            max_jobs=settings.max_jobs_per_child,
            max_memory_bytes=settings.max_memory_bytes,
        )
        loop.run()

    def _meter_of(self, index: int, claimed: Claimed) -> Meter:
        return Meter(partial(self._progress.write, index, (claimed.id, claimed.attempt)))

    # -- in the parent ----------------------------------------------------------------

    def while_waiting(self, look: Callable[[float], float | None]) -> None:
        """See `WorkerHooks`."""
        look_up(look)

    def register(self) -> bool:
        """See `WorkerHooks`."""
        try:
            self._database.rows("register_worker", **self._description())
        except StoreUnavailable as error:
            if self._there:
                log.warning("%s; waiting for it", error)
            self._there = False
        else:
            self._there = True
        return self._there

    def heartbeat(
        self, status: str, running: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], bool]:
        """See `WorkerHooks`."""
        try:
            self._schema.look()
            with self._database.transaction() as tx:
                if not tx.row("heartbeat_worker", name=self._name, status=status):
                    tx.rows("register_worker", **self._description())
                started = _pairs(tx.rows(queries.ATTEMPTS_OF_WORKER, worker=self._name))
                self._end_orphans(tx, started - set(running))
                lost = tx.rows("lost_attempts", attempts=attempts_json(running))
        except SchemaMismatch as error:
            log.error("%s; this worker ends", error)
            # It drains: what runs may end, and what cannot be recorded is returned by the daemon.
            os.kill(os.getpid(), signal.SIGTERM)
            return {}
        except StoreUnavailable as error:
            if self._there:
                log.warning("%s; waiting for it", error)
            self._there = False
            return {}
        self._show_progress(set(running))
        if not self._there:
            log.info("PostgreSQL answers again")
        self._there = True
        return {(str(row["id"]), row["attempt"]): row["cancelled"] for row in lost}

    def _show_progress(self, running: Set[tuple[str, int]]) -> None:
        """Put into Redis how far the jobs have got: nobody misses what an outage keeps away."""
        found = map(self._progress.read, range(self._processes))
        told = {
            str(one.job_id): one.as_json()
            for one in found
            if (str(one.job_id), one.attempt) in running
        }
        if told:
            with suppress(QueueUnavailable):
                self._watched.show_progress(told)

    def _end_orphans(self, tx: Transaction, unknown: set[tuple[str, int]]) -> None:
        """End attempts that no child of this worker is running, twice in a row.

        Once may be a child between its claim and its record, or between record and completion.
        """
        orphans = unknown & self._suspects
        self._suspects = unknown - orphans
        if orphans:
            rows = lose_attempts(
                tx, list(orphans), "released", "no process of its worker is running it"
            )
            self._send(after_loss(tx, rows))

    def ended(self, attempts: Sequence[Ended]) -> bool:
        """See `WorkerHooks`."""
        # First: what has ended is looked at, and it has the lines.
        self._keeper.keep_last_words()
        # What a child had ended is not requeued with the rest.
        if not self._completion.catch_up():
            return False
        messages: list[Message] = []
        recorded: list[Ended] = []
        try:
            for ended in attempts:
                messages += end_attempt(self._database, ended)
                recorded.append(ended)
        except StoreUnavailable:
            return False
        finally:
            # Once for all: a Redis that hangs is waited for once.
            self._send(messages, {one for ended in recorded for one in messages_of(ended)})
        return True

    def end_backend(self, backend_pid: int) -> None:
        """See `WorkerHooks`."""
        with suppress(StoreUnavailable):
            self._database.rows(
                "terminate_backend", pid=backend_pid, application_name=f"headrace:{self._name}"
            )

    def about_to_fork(self, index: int) -> None:
        """See `WorkerHooks`."""
        self._keeper.open_pipe(index)
        self._batches[index].reset()

    def forked(self, index: int) -> None:
        """See `WorkerHooks`."""
        self._keeper.forked(index)

    def child_ended(self, view: ChildView, index: int) -> None:
        """See `WorkerHooks`."""
        self._keeper.ended(index, view.job_id, view.attempt if view.state in AT_WORK else 0)
        self._completion.child_ended(index)

    def record_results(self) -> float | None:
        """See `WorkerHooks`."""
        return self._completion.poll()

    def keep_logs(self, running: Sequence[tuple[int, UUID, int]]) -> float | None:
        """See `WorkerHooks`."""
        self._keeper.keep_last_words()
        return self._keeper.keep(running)

    def stopped(self) -> None:
        """See `WorkerHooks`."""
        self._keeper.keep_last_words()
        self._completion.catch_up()
        with suppress(StoreUnavailable):
            self._database.rows("heartbeat_worker", name=self._name, status="stopped")
        self._database.close()
        self._sender.close()
        self._watched.close()

    def _send(self, messages: Sequence[Message], taken: Set[str] = frozenset()) -> None:
        # What a child has taken and not ended is nobody's to take any more: without this Redis
        # would keep it for days.
        untaken = taken - {message.id for message in messages}
        # What Redis does not take now is sent by the daemon's sweep.
        with suppress(QueueUnavailable):
            if untaken:
                self._sender.forget(sorted(untaken))
            self._sender.send(messages)

    def _description(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "name": self._name,
            "hostname": socket.gethostname(),
            "pid": pid,
            "birth_ticks": birth_ticks(pid) or 0,
            "queues": self._queues,
            "processes": self._processes,
            "job_files": self._registry.loaded,
        }


def _pairs(rows: Iterable[AttemptRow]) -> set[tuple[str, int]]:
    return {(str(row["id"]), row["attempt"]) for row in rows}
