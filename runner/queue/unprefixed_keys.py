"""Removes keys under RQ's shared prefix that versions before installation ids have left."""

from collections.abc import Callable, Collection, Sequence

from headrace.queue.connect import connect, reported
from headrace.queue.keys import SHARED_PREFIX, Keys
from headrace.queue.message import parse_id

_CHUNK = 1000
# A list of another application may be longer than anybody wants to read.
_MOST = 1_000_000


def remove_former(
    redis_url: str, queues: Sequence[str], ours: Callable[[Sequence[str]], Collection[str]]
) -> int:
    """Remove messages of ours from the lists of before; return how many.

    `ours` tells which of some job ids are in our database: another installation may not have been
    brought up to date yet, and ids alone tell nothing. Whatever else stands there is left alone.

    Raises:
        QueueUnavailable: Redis does not answer, or refuses.
    """
    keys, removed = Keys(SHARED_PREFIX), 0
    with connect(redis_url, socket_timeout_s=10.0) as line, reported():
        for name in queues:
            found: dict[str, str] = {}
            for start in range(0, _MOST, _CHUNK):
                items: list[bytes] = line.lrange(keys.queue(name), start, start + _CHUNK - 1)
                for message_id in (item.decode(errors="replace") for item in items):
                    if parsed := parse_id(message_id):
                        found[message_id] = parsed[0]
                if len(items) < _CHUNK:
                    break
            known = set(ours(sorted(set(found.values())))) if found else set()
            for message_id, job_id in found.items():
                if job_id in known:
                    removed += line.lrem(keys.queue(name), 0, message_id)
                    line.delete(keys.message(message_id))
    return removed
