"""Messages in Redis: a job's id and an attempt number, nothing else.

RQ calls a message a "job" and keeps it as a hash `<prefix>:job:<id>` whose id stands in the list
`<prefix>:queue:<name>` (see `keys.py`). Our message id is `<job id>_<attempt>`, so that the list
alone tells all: Headrace's own worker never reads the hash, let alone unpickles it. The hash is
there for `rq worker`, which calls `perform` of `entry.py`, and for `rq info` and rq-dashboard.
"""

import re
from typing import NamedTuple
from uuid import UUID

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


def first_id(job_id: str) -> str:
    """Return the id in Redis of a new job's message."""
    return f"{job_id}_0"


def parse_id(message_id: str) -> tuple[str, int] | None:
    """Return job id and attempt, None where somebody else wrote the message."""
    match = _MESSAGE_ID.fullmatch(message_id)
    return (match[1], int(match[2])) if match else None
