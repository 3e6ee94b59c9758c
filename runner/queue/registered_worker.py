"""Registers a worker with RQ: listed as busy or idle, and reached by commands.

Imported by `worker.py` only; see `private_rq.py`.
"""

import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError
from rq.suspension import WORKERS_SUSPENDED
from rq.worker import Worker

from headrace.queue.commands import command_in
from headrace.queue.connect import unavailable

log = logging.getLogger("headrace.worker")


class RegisteredWorker(Worker):
    """An RQ worker of which registration, `rq info`, suspend and commands are used.

    It survives an outage of Redis: what it cannot write now it writes later.
    """

    def __init__(self, queues: Sequence[str], *, name: str, connection: Any) -> None:
        super().__init__(list(queues), name=name, connection=connection, prepare_for_work=False)
        self.hostname, self.pid, self.ip_address = socket.gethostname(), os.getpid(), "unknown"
        self._redis_trouble = ""
        self._registered = False

    @property
    def connection_timeout(self) -> int:
        """Let the given connection's own timeout be: RQ would set minutes, for its blocking pop."""
        return 0

    def announce(self, *, busy: bool) -> tuple[bool | None, list[dict[str, Any]]]:
        """Write that the worker lives, and whether it is busy.

        Returns whether `rq suspend` is in force, None while Redis does not answer, and the commands
        that have arrived.
        """
        suspended: bool | None = None
        commands: list[dict[str, Any]] = []
        try:
            if not self._registered or not self.connection.exists(self.key):
                self._register()
            self.heartbeat()
            self.set_state("busy" if busy else "idle")
            suspended = bool(self.connection.exists(WORKERS_SUSPENDED))
            assert self.pubsub is not None
            while (message := self.pubsub.get_message(timeout=0)) is not None:
                commands.append(command_in(message))
        except (RedisError, OSError) as error:
            told = unavailable(error)
            if self._redis_trouble != told.reason:
                log.warning("%s; waiting for it", told)
            self._redis_trouble, self._registered = told.reason, False
            return suspended, commands
        if self._redis_trouble:
            log.info("Redis answers again")
        self._redis_trouble = ""
        return suspended, commands

    def unregister(self) -> None:
        """Remove the worker from RQ's list, if Redis answers."""
        try:
            if self._registered:
                self.register_death()  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            log.debug("Redis was not informed of the end")

    def _register(self) -> None:
        # The key of an earlier life of this very worker is no other worker.
        self.connection.delete(self.key)
        self.register_birth()  # type: ignore[no-untyped-call]
        self.pubsub = self.connection.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self.pubsub.subscribe(self.pubsub_channel_name)
        self._registered = True
