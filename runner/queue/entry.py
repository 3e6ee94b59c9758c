"""Entry point of a stock `rq worker` for our messages: slower than our worker, as correct."""

from importlib.metadata import entry_points

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
    # By its entry point: the queue knows nothing of the engine.
    found = next(iter(entry_points(group="headrace.parts", name="attempt")))
    found.load()(job_id, attempt)
