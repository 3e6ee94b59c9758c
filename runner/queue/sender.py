"""Sending messages, and telling which of them Redis has lost."""

import json
import pickle
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha1
from itertools import groupby
from typing import Any
from uuid import uuid4

from redis.exceptions import NoScriptError

from headrace.errors import QueueUnavailable
from headrace.queue.connect import connect, reported
from headrace.queue.kept_connections import KeptConnections
from headrace.queue.keys import Keys
from headrace.queue.message import Message, first_id

ENTRY_POINT = "headrace.queue.entry.perform"

# One constant for all messages: a function without arguments, as RQ's default serializer writes
# it; the id is taken from RQ's own job id. Written without RQ, which takes its prefix for good
# when it is first imported: dispatching happens in programs that have an RQ of their own.
DATA = zlib.compress(pickle.dumps((ENTRY_POINT, None, (), {}), protocol=5))

# Pairs of a limit and the ids of messages that have it. The hash is written where the list is, in
# one command for many messages: messages of one limit have equal hashes, and a copy costs a fifth.
# A hash whose message nobody takes must not stay for ever: Redis may drop it after a week, the
# row remains.
SEND_SCRIPT = """
redis.call('SADD', ARGV[4] .. ':queues', KEYS[1])
for i = 5, #ARGV, 2 do
  local ids, model = {}, nil
  for id in string.gmatch(ARGV[i + 1], '%S+') do
    local key = ARGV[4] .. ':job:' .. id
    if model then
      redis.call('COPY', model, key, 'REPLACE')
    else
      redis.call('HSET', key, 'data', ARGV[1], 'created_at', ARGV[2], 'enqueued_at', ARGV[2],
        'origin', string.sub(KEYS[1], #ARGV[4] + 8), 'description', ARGV[3], 'status', 'queued',
        'timeout', ARGV[i], 'result_ttl', '60', 'failure_ttl', '3600')
      redis.call('EXPIRE', key, 604800)
      model = key
    end
    ids[#ids + 1] = id
  end
  redis.call('RPUSH', KEYS[1], unpack(ids))
end
return redis.call('LLEN', KEYS[1])
"""
# The ids stand on Lua's stack for the push, and other clients wait while a script runs.
_CHUNK = 1000
# RQ's own limit comes after ours: it is the second wall, for stock workers.
_RQ_GRACE_S = 30
# A call that failed after this long has waited for a server that is silent.
_SLOW_S = 0.25
# Progress that nobody renews is that of a job that has ended.
_PROGRESS_S = 10


def send_arguments(keys: Keys, messages: Sequence[Message]) -> list[Any]:
    """Return the script's arguments for messages of one queue."""
    arguments = _shared_arguments(keys)
    for timeout_s, alike in groupby(messages, key=lambda message: message.timeout_s):
        arguments += (int(timeout_s) + _RQ_GRACE_S, " ".join(message.id for message in alike))
    return arguments


def _shared_arguments(keys: Keys) -> list[Any]:
    # As RQ writes it: without the offset.
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return [DATA, now, ENTRY_POINT, keys.prefix]


def _packed(*parts: str | bytes | int) -> bytes:
    """Return a command as Redis reads it; the client's own packing costs ten times as much."""
    raws = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % len(raws) + b"".join([b"$%d\r\n%b\r\n" % (len(raw), raw) for raw in raws])


class Sender:
    """Puts messages on RQ's queues. Safe to share by threads."""

    def __init__(
        self,
        redis_url: str,
        keys: Callable[[], Keys],
        *,
        socket_timeout_s: float = 10.0,
        rest_s: float = 0.0,
    ) -> None:
        """`keys` is asked before each use: the installation's id stands in its database.

        For `rest_s` seconds after a call to a silent server the others fail at once: a loop that
        has more to do than to send must not wait for it again and again.
        """
        self.redis = connect(redis_url, socket_timeout_s=socket_timeout_s)
        self._lines = KeptConnections(self.redis)
        self._keys = keys
        self._rest_s = rest_s
        self._resting: tuple[float, QueueUnavailable] | None = None
        self._digest = sha1(SEND_SCRIPT.encode(), usedforsecurity=False).hexdigest()

    def prepare(self) -> None:
        """Learn the installation's keys before anything is written that is to be sent.

        Raises:
            StoreUnavailable, SchemaMismatch: As their messages say.
        """
        self._keys()

    def send(self, messages: Iterable[Message]) -> None:
        """Send all messages, each queue's in their order.

        Raises:
            QueueUnavailable: Redis does not answer, or refuses; some may have been sent. The
                daemon's sweep sends the rest, and a message that comes twice changes nothing.
            StoreUnavailable: The installation's id is not known yet, and PostgreSQL is away.
        """
        by_queue: dict[str, list[Message]] = {}
        for message in messages:
            by_queue.setdefault(message.queue, []).append(message)
        keys = self._keys() if by_queue else None
        with self._patient():
            for queue, batch in by_queue.items():
                assert keys is not None
                for start in range(0, len(batch), _CHUNK):
                    part = send_arguments(keys, batch[start : start + _CHUNK])
                    self._run_script(keys.queue(queue), part)

    def send_first(self, queue: str, timeout_s: float, job_ids: Sequence[str]) -> None:
        """Send the messages of new jobs of one queue; raises what `send` does."""
        keys = self._keys()
        limit = int(timeout_s) + _RQ_GRACE_S
        with self._patient():
            for start in range(0, len(job_ids), _CHUNK):
                messages = " ".join(first_id(one) for one in job_ids[start : start + _CHUNK])
                self._run_script(keys.queue(queue), [*_shared_arguments(keys), limit, messages])

    @contextmanager
    def _patient(self) -> Iterator[None]:
        began = time.monotonic()
        if self._resting is not None and began < self._resting[0]:
            raise self._resting[1]
        try:
            with reported():
                yield
        except QueueUnavailable as error:
            if time.monotonic() - began > _SLOW_S:
                self._resting = (time.monotonic() + self._rest_s, error)
            raise

    def _run_script(self, queue_key: str, arguments: list[Any]) -> None:
        rest = (1, queue_key, *arguments)
        try:
            self._lines.exchange(_packed("EVALSHA", self._digest, *rest))
        except NoScriptError:
            self._lines.exchange(_packed("EVAL", SEND_SCRIPT, *rest))

    def missing(self, messages: Sequence[Message]) -> list[Message]:
        """Return those of `messages` that stand on no queue."""
        queues = sorted({message.queue for message in messages})
        keys = self._keys()
        there: set[str] = set()
        with self._patient():
            for queue in queues:
                listed: list[Any] = self.redis.lrange(keys.queue(queue), 0, -1)
                there.update(item.decode(errors="replace") for item in listed)
        return [message for message in messages if message.id not in there]

    def forget(self, message_ids: Iterable[str]) -> None:
        """Remove the hashes of messages that nobody will take any more."""
        keys = self._keys()
        hashes = [keys.message(message_id) for message_id in message_ids]
        with self._patient():
            for start in range(0, len(hashes), _CHUNK):
                self.redis.delete(*hashes[start : start + _CHUNK])

    def memory_lost(self) -> bool:
        """Tell whether Redis has lost its memory since the last call of anyone, in O(1).

        The key that this leaves behind is the memory's mark.
        """
        keys = self._keys()
        with self._patient():
            return bool(self.redis.set(keys.epoch, uuid4().hex, nx=True))

    def lengths(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many messages wait on each queue."""
        keys = self._keys()
        with self._patient():
            pipeline = self.redis.pipeline(transaction=False)
            for queue in queues:
                pipeline.llen(keys.queue(queue))
            return dict(zip(queues, pipeline.execute(), strict=True))

    def show_progress(self, progress: Mapping[str, Mapping[str, Any]]) -> None:
        """Show how far jobs have got, by their ids; it is forgotten after some seconds."""
        keys = self._keys()
        with self._patient():
            pipeline = self.redis.pipeline(transaction=False)
            for job_id, one in progress.items():
                pipeline.set(keys.progress(job_id), json.dumps(one), ex=_PROGRESS_S)
            pipeline.execute()

    def progress_of(self, job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return how far jobs have got, for those that say so."""
        if not job_ids:
            return {}
        keys = self._keys()
        with self._patient():
            found: list[Any] = self.redis.mget([keys.progress(job_id) for job_id in job_ids])
        pairs = zip(job_ids, found, strict=True)
        return {job_id: json.loads(one) for job_id, one in pairs if one is not None}

    def ping(self) -> None:
        """Raise `QueueUnavailable` where Redis does not answer."""
        with reported():
            self.redis.ping()

    def close(self) -> None:
        """Close all connections."""
        self.redis.close()
