"""Removes messages from Redis that a version before installation ids has left."""

import logging
from collections.abc import Sequence

from headrace.errors import QueueUnavailable, StoreUnavailable
from headrace.queue.unprefixed_keys import remove_former
from headrace.store.database import Database

log = logging.getLogger("headrace.daemon")


def remove_former_messages(redis_url: str, queues: Sequence[str], database: Database) -> None:
    """Remove those of jobs in this database; what servers that are away keep is left for later."""
    try:
        removed = remove_former(
            redis_url,
            queues,
            lambda ids: {str(row["id"]) for row in database.rows("known_jobs", ids=list(ids))},
        )
    except (StoreUnavailable, QueueUnavailable) as error:
        log.debug("%s; messages of an earlier version stay in Redis", error)
        return
    if removed:
        log.info("removed %d messages of an earlier version from Redis", removed)
