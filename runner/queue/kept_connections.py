"""Exchanges with Redis over connections that are kept, past the client's pool.

Taking a connection from redis-py's pool and giving it back costs more than the exchange: events and
metrics of each, whether or not anybody looks at them.
"""

import os
from contextlib import suppress
from typing import Any

import redis
from redis.exceptions import NoScriptError, RedisError
from redis.sentinel import SentinelConnectionPool


class KeptConnections:
    """Connections of a client, as many as threads have used at a time. Safe to share by threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._pool: Any = client.connection_pool
        # With sentinels the pool looks now and then whether another Redis leads by now.
        self._kept = not isinstance(self._pool, SentinelConnectionPool)
        self._ready: list[Any] = []

    def exchange(self, command: bytes) -> Any:
        """Send one packed command and return its answer.

        Raises:
            NoScriptError: Redis does not know the script.
            RedisError, OSError: It does not answer, or refuses.
        """
        connection = self._taken()
        try:
            connection.send_packed_command([command])
            return connection.read_response()
        except NoScriptError:
            raise
        except BaseException:
            # A reply that was not read must not answer a later command.
            connection.disconnect()
            raise
        finally:
            self._give_back(connection)

    def _taken(self) -> Any:
        while self._ready:
            # Another thread may have taken the last one.
            with suppress(IndexError):
                connection = self._ready.pop()
                if connection.pid != os.getpid():
                    # The process that this one was forked from goes on with it.
                    continue
                if _usable(connection):
                    return connection
                connection.disconnect()
                self._pool.release(connection)
        return self._pool.get_connection()

    def _give_back(self, connection: Any) -> None:
        if self._kept and connection.is_connected:
            self._ready.append(connection)
        else:
            self._pool.release(connection)


def _usable(connection: Any) -> bool:
    """Tell whether the server has neither closed it nor sent what nobody has asked for."""
    try:
        return not connection.can_read(timeout=0)
    except (RedisError, OSError):
        return False
