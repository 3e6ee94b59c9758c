"""What travels through Redis: a job's id and an attempt number, nothing else.

RQ calls a message a "job" and keeps it as a hash `rq:job:<id>` whose id stands in the list
`rq:queue:<name>`. Our message id is `<job id>_<attempt>`, so that the list alone tells all:
Headrace's own worker never reads the hash, let alone unpickles it. The hash is there for
`rq worker`, which calls `ENTRY_POINT`, and for `rq info` and rq-dashboard.
"""

import re
import zlib
from typing import NamedTuple
from uuid import UUID

from rq.serializers import DefaultSerializer

ENTRY_POINT = "runner.queue.entry.perform"

# One constant for all messages: a function without arguments. RQ's default serializer reads
# it; the id is taken from RQ's own job id.
DATA = zlib.compress(DefaultSerializer.dumps((ENTRY_POINT, None, (), {})))

_MESSAGE_ID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})_([0-9]{1,9})")


class Message(NamedTuple):
    """One attempt to be made of one job; `timeout_s` is for stock RQ workers only."""

    job_id: UUID
    attempt: int
    queue: str
    timeout_s: float = 0.0

    @property
    def id(self) -> str:
        """The id in Redis."""
        return f"{self.job_id}_{self.attempt}"


def parse_id(message_id: str) -> tuple[str, int] | None:
    """Return job id and attempt, None where somebody else wrote the message."""
    match = _MESSAGE_ID.fullmatch(message_id)
    return (match[1], int(match[2])) if match else None


def queue_key(queue: str) -> str:
    """Return the key of a queue's list."""
    return f"rq:queue:{queue}"


def hash_key(message_id: str) -> str:
    """Return the key of a message's hash."""
    return f"rq:job:{message_id}"
