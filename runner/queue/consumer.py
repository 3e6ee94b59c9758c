"""A worker child's line to Redis: one round trip takes the next message and says all else.

What a finished job has to tell Redis (its hash is done with, the messages of the jobs it
released) is kept back and goes ahead of the next take in the same packet.
"""

import logging
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any

from redis.exceptions import ResponseError

from headrace.errors import QueueUnavailable
from headrace.queue.connect import connect, reported
from headrace.queue.keys import Keys
from headrace.queue.message import Message, parse_id
from headrace.queue.sender import SEND_SCRIPT, send_arguments
from headrace.queue.sentinel import is_former_master

Taken = tuple[str, int, str]

_CHUNK = 500
_REFUSED = suppress(ResponseError)
_MOST_SHOWN = 60

log = logging.getLogger("headrace.worker")


class Consumer:
    """Takes messages from several queues, most urgent first."""

    def __init__(
        self, redis_url: str, keys: Keys, queues: Sequence[str], *, block_s: float = 5.0
    ) -> None:
        self._client = connect(redis_url, socket_timeout_s=block_s + 10)
        self._names = keys
        self._keys = [keys.queue(queue) for queue in queues]
        self._queues = {keys.queue(queue).encode(): queue for queue in queues}
        self._block_s = block_s
        self._connection: Any = None
        self._done: list[str] = []
        self._held_back: list[tuple[Any, ...]] = []
        self._foreign: list[tuple[str, str, bytes]] = []

    @property
    def queues(self) -> Collection[str]:
        """The names of the queues that it takes from."""
        return self._queues.values()

    def done(self, message_id: str) -> None:
        """Note that a message has been dealt with."""
        self._done.append(self._names.message(message_id))

    def send(self, messages: Sequence[Message]) -> None:
        """Note messages to send before anything else is taken.

        Many are sent at once: other workers begin with the first while the last are packed.
        """
        by_queue: dict[str, list[Message]] = {}
        for message in messages:
            by_queue.setdefault(message.queue, []).append(message)
        for queue, batch in by_queue.items():
            for start in range(0, len(batch), _CHUNK):
                part = send_arguments(self._names, batch[start : start + _CHUNK])
                # The script itself, not its digest: an emptied Redis knows no digest, and a
                # take that follows in the same packet would have popped all the same.
                self._held_back.append(("EVAL", SEND_SCRIPT, 1, self._names.queue(queue), *part))
                if len(batch) > _CHUNK:
                    with suppress(QueueUnavailable):
                        self.flush()

    def give_back(self, taken: Sequence[Taken]) -> None:
        """Put messages back where they were taken, in their order."""
        for job_id, attempt, queue in reversed(taken):
            self._held_back.append(("LPUSH", self._names.queue(queue), f"{job_id}_{attempt}"))
        self.flush()

    def put_back_on_failure(self, taken: Sequence[Taken]) -> AbstractContextManager[None]:
        """Return a block that puts messages back where what is to claim them fails."""
        return _PutBack(self, taken)

    def take(self) -> Taken | None:
        """Wait for a message; return its job id, attempt and queue, None where none has come.

        Raises:
            QueueUnavailable: Redis does not answer; what was held back stays so.
        """
        while True:
            reply = self._last_reply(("BLPOP", *self._keys, self._block_s))
            if reply is None:
                self._leave_former_master()
                return None
            for taken in self._ours(reply[0], [reply[1]]):
                return taken

    def take_waiting(self, most: int) -> list[Taken]:
        """Return up to `most` messages that wait on one queue, the most urgent that has any.

        Raises:
            QueueUnavailable: Redis does not answer; what was held back stays so.
        """
        while True:
            command = ("LMPOP", len(self._keys), *self._keys, "LEFT", "COUNT", most)
            reply = self._last_reply(command)
            if reply is None:
                return []
            if taken := self._ours(*reply):
                return taken

    def _last_reply(self, command: tuple[Any, ...]) -> Any:
        self._set_aside()
        reply = self._exchange([*self._said_first(), command])
        self._forget()
        return reply

    def flush(self) -> None:
        """Say what was held back now."""
        self._set_aside()
        if commands := self._said_first():
            self._exchange(commands)
            self._forget()

    def close(self) -> None:
        """Close the connection."""
        self._drop()
        self._client.close()

    def _said_first(self) -> list[tuple[Any, ...]]:
        return [*([("DEL", *self._done)] if self._done else []), *self._held_back]

    def _forget(self) -> None:
        self._done.clear()
        self._held_back.clear()

    def _exchange(self, commands: list[tuple[Any, ...]]) -> Any:
        """Send all commands in one packet and return the last one's reply.

        An earlier command that is refused is left to the daemon's sweep: the message that the
        last one has already popped must not be lost over it.
        """
        with reported():
            try:
                if self._connection is None:
                    self._connection = self._client.connection_pool.get_connection()
                self._connection.send_packed_command(self._connection.pack_commands(commands))
                for _ in commands[:-1]:
                    with _REFUSED:
                        self._connection.read_response()
                return self._connection.read_response()
            except BaseException:
                self._drop()
                raise

    def _drop(self) -> None:
        """Forget the connection: a reply that was not read must not answer a later command."""
        if self._connection is not None:
            self._connection.disconnect()
            self._client.connection_pool.release(self._connection)
            self._connection = None

    def _leave_former_master(self) -> None:
        """Connect anew if another Redis leads: the former one may wait with us, and get nothing."""
        if self._connection and is_former_master(self._client, self._connection):
            self._drop()

    def _ours(self, key: bytes, items: Sequence[bytes]) -> list[Taken]:
        """Return the messages that are ours; nothing in another is read, let alone run.

        Others are moved, unchanged, to a list beside the queue: whoever wrote them may want them
        back, and there they hold up nobody.
        """
        queue = self._queues[key]
        ours: list[Taken] = []
        for item in items:
            parsed = parse_id(item.decode(errors="replace"))
            if parsed is not None:
                ours.append((*parsed, queue))
                continue
            aside = self._names.set_aside(queue)
            self._foreign.append(("RPUSH", aside, item))
            log.warning(
                "a message on the queue %s is not Headrace's; it was moved unchanged to the list"
                " %s: %.*r",
                queue, aside, _MOST_SHOWN, item[:_MOST_SHOWN],
            )  # fmt: skip
        if self._foreign:
            # At once: they are nowhere else now.
            with suppress(QueueUnavailable):
                self._set_aside()
        return ours

    def _set_aside(self) -> None:
        """Put aside what is not ours. What Redis does not take now is kept for the next time."""
        while self._foreign:
            self._exchange([self._foreign[0]])
            del self._foreign[0]


class _PutBack:
    """The block of `put_back_on_failure`: no generator stands on the path of each small job."""

    def __init__(self, consumer: Consumer, taken: Sequence[Taken]) -> None:
        self._consumer, self._taken = consumer, taken

    def __enter__(self) -> None:
        """Do nothing yet."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the messages back after an error."""
        if kind is not None and self._taken:
            with suppress(QueueUnavailable):
                self._consumer.give_back(self._taken)
