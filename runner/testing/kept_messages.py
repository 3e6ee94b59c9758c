"""Keeps messages in memory instead of sending them to Redis."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from headrace.queue.keys import Keys
from headrace.queue.message import Message
from headrace.queue.sender import Sender


class KeptMessages(Sender):
    """Keeps messages instead of sending them: no Redis is asked."""

    def __init__(self, keys: Callable[[], Keys]) -> None:
        super().__init__("redis://", keys)
        self.kept: deque[Message] = deque()

    def send(self, messages: Iterable[Message]) -> None:
        """See `Sender`."""
        self.kept += messages

    def missing(self, messages: Sequence[Message]) -> list[Message]:
        """See `Sender`."""
        return [one for one in messages if one not in self.kept]

    def forget(self, message_ids: Iterable[str]) -> None:
        """See `Sender`."""

    def memory_lost(self) -> bool:
        """See `Sender`."""
        return False
