"""Removes what versions before keys of an installation's own have left in Redis."""

import logging
from collections.abc import Sequence

from headrace.errors import QueueUnavailable, StoreUnavailable
from headrace.queue.unprefixed_keys import remove_former
from headrace.store.database import Database

log = logging.getLogger("headrace.daemon")


def remove_former_messages(database: Database, redis_url: str, queues: Sequence[str]) -> None:
    """Remove messages of an earlier version; where a server is away they stay."""
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
