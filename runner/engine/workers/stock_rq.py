"""One attempt in a process that a stock RQ worker has forked."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from headrace.engine.application import connect
from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.log_keeper import LogKeeper
from headrace.engine.attempts.recorded_end import record_end
from headrace.engine.attempts.surroundings import Surroundings
from headrace.errors import StaleAttempt, StoreUnavailable
from headrace.jobapi import Permissions, former_names
from headrace.observe.joblog import JOB_LOGGER, JobLog
from headrace.queue.process import birth_ticks, process_name
from headrace.store.attempts import AttemptStore
from headrace.store.database import Database
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from headrace.template.values import render_value

_BEAT_S = 3.0
_LOOK_S = 0.5


class JobTimeout(BaseException):
    """The attempt ran past its timeout. No Exception: a job cannot swallow it by accident."""


def perform(job_id: str, attempt: int) -> None:
    """Claim and execute one attempt; nothing happens where it is not to be had."""
    former_names.answer()
    with connect(role="rq") as headrace:
        settings, name = headrace.settings, process_name()
        headrace.load_hooks()
        keeper = LogKeeper(headrace.database, 1)
        job_log = JobLog(keeper.pages[0])
        logging.getLogger().addHandler(job_log)
        logging.getLogger(JOB_LOGGER).setLevel(logging.INFO)
        store = AttemptStore(headrace.database_url, name)
        sessions = JobSessions(store, settings.connections, JobGuard(), name)
        sessions.say = job_log.say_one
        executor = Executor(
            store,
            sessions,
            headrace.registry,
            Surroundings(
                settings.project,
                settings.folders(),
                render_value,
                Permissions(settings.shell_commands, settings.allowed_hosts, settings.storage),
            ),
            job_log,
        )
        said = partial(keeper.keep, [(0, UUID(job_id), attempt + 1)])
        stop = _beat(headrace.database, name, headrace.registry.loaded, said)
        try:
            messages = _execute(executor, store, sessions, job_id, attempt)
            headrace.dispatcher.send_soon(messages)
            executor.hooks.after()
        finally:
            stop()
            store.drop()
            logging.getLogger().removeHandler(job_log)


def _execute(
    executor: Executor, store: AttemptStore, sessions: JobSessions, job_id: str, attempt: int
) -> list[Any]:
    claimed = store.claim(job_id, attempt)
    if claimed is None:
        return []
    signal.signal(signal.SIGALRM, _on_timeout)
    signal.setitimer(signal.ITIMER_REAL, claimed.timeout_s)
    try:
        handled = executor.handle(claimed)
        signal.setitimer(signal.ITIMER_REAL, 0)
        return record_end(executor, claimed, handled)
    except StaleAttempt:
        sessions.roll_back()
        return []
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _on_timeout(_signal: int, _frame: Any) -> None:
    raise JobTimeout("timed out: the job ran longer than its timeout")


def _beat(
    database: Database, name: str, job_files: str, keep_log: Callable[[], object]
) -> Callable[[], None]:
    """Register as a worker for the time of the attempt; returns what ends that.

    No parent reads over this process's shoulder: its thread writes what the job says.
    """
    _register(database, name, job_files)
    ended = threading.Event()

    def _loop() -> None:
        next_beat = time.monotonic() + _BEAT_S
        while not ended.wait(_LOOK_S):
            keep_log()
            if time.monotonic() < next_beat:
                continue
            next_beat = time.monotonic() + _BEAT_S
            # An outage must not end the heartbeats for good.
            with suppress(StoreUnavailable):
                database.rows("heartbeat_worker", name=name, status="running")

    thread = threading.Thread(target=_loop, daemon=True)
    thread.start()

    def _stop() -> None:
        ended.set()
        thread.join()
        with suppress(StoreUnavailable):
            database.rows("heartbeat_worker", name=name, status="stopped")

    return _stop


def _register(database: Database, name: str, job_files: str) -> None:
    pid = os.getpid()
    database.rows(
        "register_worker",
        name=name,
        hostname=socket.gethostname(),
        pid=pid,
        birth_ticks=birth_ticks(pid) or 0,
        queues=[],
        processes=1,
        job_files=job_files,
    )
