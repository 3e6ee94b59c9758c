"""How Headrace reaches Redis."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from runner.errors import ConfigError, QueueUnavailable


def connect(redis_url: str, *, socket_timeout_s: float | None = 10.0) -> redis.Redis:
    """Return a client of `redis_url`. It connects at its first use.

    Raises:
        ConfigError: It is no Redis URL.
    """
    try:
        return redis.from_url(
            redis_url,
            socket_connect_timeout=5,
            socket_timeout=socket_timeout_s,
            # Waiting out an outage is the callers' affair: they say so once and back off.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise ConfigError(f"the Redis URL cannot be used: {error}") from None


@contextmanager
def reported() -> Iterator[None]:
    """Turn a lost connection into `QueueUnavailable`; let every other error pass."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        raise QueueUnavailable(f"Redis does not answer: {error}") from error
    except RedisError as error:
        # A server that is still loading, or read-only after a failover, comes back as well.
        if str(error).startswith(("LOADING", "READONLY", "MASTERDOWN", "BUSY", "MISCONF")):
            raise QueueUnavailable(f"Redis does not answer: {error}") from error
        raise
