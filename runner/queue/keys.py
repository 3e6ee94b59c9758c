"""The names of an installation's keys in Redis.

Each installation has a prefix of its own in place of RQ's `rq`, so that neither another one nor
another application's RQ on the same Redis ever takes, reads or changes what is not its own.
"""

import re
from dataclasses import dataclass

# What RQ takes as RQ_KEY_PREFIX, and what an id may hold.
_INSTALLATION_ID = re.compile(r"[0-9a-z]{4,32}")
# The prefix of versions before installations had ids.
SHARED_PREFIX = "rq"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys below one prefix, as RQ names them."""

    prefix: str

    @property
    def queues(self) -> str:
        """The set of the queues' names."""
        return f"{self.prefix}:queues"

    @property
    def epoch(self) -> str:
        """The mark of Redis' memory: it is gone when the memory is."""
        return f"{self.prefix}:epoch"

    def queue(self, name: str) -> str:
        """Return the key of a queue's list."""
        return f"{self.prefix}:queue:{name}"

    def set_aside(self, name: str) -> str:
        """Return the key of the list that keeps what stood in a queue and is not ours."""
        return f"{self.prefix}:foreign:{name}"

    def progress(self, job_id: str) -> str:
        """Return the key that says how far a job has got."""
        return f"{self.prefix}:progress:{job_id}"

    def message(self, message_id: str) -> str:
        """Return the key of a message's hash."""
        return f"{self.prefix}:job:{message_id}"


def keys_of(installation_id: str) -> Keys:
    """Return the keys of an installation.

    Raises:
        ValueError: The id has characters that no key of RQ may have.
    """
    if _INSTALLATION_ID.fullmatch(installation_id) is None:
        raise ValueError(f"{installation_id!r} is not the id of an installation")
    return Keys(f"headrace-{installation_id}")
