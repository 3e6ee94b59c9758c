"""Starting a worker."""

from collections.abc import Sequence

from runner.engine.wiring import Headrace, process_name
from runner.engine.worker import REDIS_TIMEOUT_S, WorkerSide
from runner.queue.child import Patience
from runner.queue.connect import connect as connect_redis
from runner.queue.worker import WarmWorker


def run_worker(
    headrace: Headrace, *, queues: Sequence[str] | None = None, processes: int = 1
) -> bool:
    """Work until a signal asks to stop; returns whether any job was finished.

    The job classes are imported before the first child is forked, so that no child pays for
    it. Must be called in a process that has not connected anywhere yet.
    """
    settings = headrace.settings
    listened = tuple(queues or settings.queues)
    headrace.registry.names()
    name = process_name()
    side = WorkerSide(
        settings,
        headrace.database_url,
        headrace.redis_url,
        headrace.registry,
        name,
        listened,
        processes,
    )
    worker = WarmWorker(
        listened,
        name=name,
        connection=connect_redis(headrace.redis_url, socket_timeout_s=REDIS_TIMEOUT_S),
        hooks=side,
        processes=processes,
        patience=Patience(settings.grace_s, settings.kill_after_s),
        max_memory_bytes=settings.max_memory_bytes * 2,
    )
    return worker.work()
