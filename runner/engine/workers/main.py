"""Starting a worker."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from headrace.engine.application import Headrace
from headrace.engine.workers.rq_callbacks import REDIS_TIMEOUT_S, WorkerSide
from headrace.errors import StoreUnavailable
from headrace.observe.alive import beat
from headrace.queue.child import Patience
from headrace.queue.connect import connect as connect_redis
from headrace.queue.keys import Keys
from headrace.queue.private_rq import worker_class
from headrace.queue.process import process_name
from headrace.store.backoff import Outage

log = logging.getLogger("headrace.worker")


def run_worker(
    headrace: Headrace, *, queues: Sequence[str] | None = None, processes: int = 1
) -> bool:
    """Work until a signal asks to stop; returns whether any job was finished.

    The job classes are imported before the first child is forked, so that no child pays for
    it. Must be called in a process that has not connected anywhere yet.

    Raises:
        SchemaMismatch: The schema was upgraded, and does not admit this version any more.
    """
    settings = headrace.settings
    keys = _keys_once_there(headrace)
    # Before the job classes, which may use RQ for queues of their own.
    warm_worker = worker_class(keys)
    listened = tuple(queues or settings.queues)
    headrace.registry.load()
    headrace.load_hooks()
    name = process_name()
    side = WorkerSide(
        settings,
        headrace.database_url,
        headrace.redis_url,
        headrace.registry,
        name,
        listened,
        processes,
        keys=keys,
    )
    worker = warm_worker(
        listened,
        name=name,
        connection=connect_redis(headrace.redis_url, socket_timeout_s=REDIS_TIMEOUT_S),
        hooks=side,
        processes=processes,
        patience=Patience(settings.grace_s, settings.kill_after_s),
        max_memory_bytes=settings.max_memory_bytes * 2,
    )
    worker.turns = beat
    return _worked(worker, side)


def _worked(worker: Any, side: WorkerSide) -> bool:
    worked = bool(worker.work())
    if side.outdated is not None:
        raise side.outdated
    return worked


def _keys_once_there(headrace: Headrace) -> Keys:
    """Return the installation's keys as soon as PostgreSQL tells them."""
    outage = Outage(log, first_pause_s=0.2)
    while True:
        try:
            keys = headrace.keys
            break
        except StoreUnavailable as error:
            time.sleep(outage.pause_s(error))
    outage.over()
    # The children must not share a connection with this process.
    headrace.database.close()
    return keys
