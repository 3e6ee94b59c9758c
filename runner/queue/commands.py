"""Reading what comes over a worker's channel of RQ, on which anybody may publish anything."""

import logging
from typing import Any

from rq.command import parse_payload

log = logging.getLogger("headrace.worker")


def command_in(message: Any) -> dict[str, Any]:
    """Return a command of RQ, an empty one where the message holds none."""
    try:
        payload = parse_payload(message)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        payload = None
    if isinstance(payload, dict):
        return payload
    log.warning("a message on this worker's channel is not a command of RQ; it is ignored")
    return {}
