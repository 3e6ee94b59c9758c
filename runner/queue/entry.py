"""Entry point of a stock `rq worker` for our messages: slower than our worker, as correct."""

import importlib

from rq import get_current_job

from headrace.queue.message import parse_id


def perform() -> None:
    """Make the attempt that RQ's current message names.

    How the job ends is recorded in its row; RQ sees a success either way, since its own
    retries and registries are not used.
    """
    message = get_current_job()
    parsed = parse_id(message.id) if message is not None else None
    if parsed is None:
        raise ValueError("RQ calls this function only for Headrace's own messages")
    job_id, attempt = parsed
    # By name: the queue knows nothing of the engine.
    importlib.import_module("headrace.engine.workers.stock_rq").perform(job_id, attempt)
