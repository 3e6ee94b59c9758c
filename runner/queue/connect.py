"""Connects to Redis, and translates its errors."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from headrace.errors import ConfigError, QueueUnavailable
from headrace.errors.shortened import shortened
from headrace.queue.sentinel import client_of, is_sentinel_url

_CONNECT_S = 5.0
_MOST_REASON = 300

# The first that fits counts. By redis-py's classes: it takes the codes of errors that have a class
# of their own off their texts. Each sentence says what is to be done.
_REFUSALS: tuple[tuple[type[RedisError], str, str], ...] = (
    (
        OutOfMemoryError,
        "full",
        "Redis is full; raise its maxmemory, or remove other data from it",
    ),
    (
        MasterNotFoundError,
        "no-master",
        "no Redis leads: the sentinels of REDIS_URL do not answer, or know no master of that name",
    ),
    (ReadOnlyError, "read-only", "Redis is read-only; REDIS_URL must name the primary"),
    (MasterDownError, "replica", "Redis is a replica that has lost its primary"),
    (BusyLoadingError, "loading", "Redis is loading its data"),
    (
        NoPermissionError,
        "permission",
        "Redis does not permit the commands that Headrace needs; check its ACL",
    ),
    (AuthenticationError, "login", "Redis refuses the login; check user and password in REDIS_URL"),
)
# Errors without a class keep their code.
_CODES = {
    "DENIED": ("protected", "Redis refuses connections from other hosts; set a password there"),
    "WRONGTYPE": (
        "wrong-type",
        "a key of Headrace's in Redis is of another type; rename or delete it",
    ),
    "MISCONF": ("misconf", "Redis cannot save to its disk and refuses to write"),
    "BUSY": ("busy", "Redis is busy with a script"),
    "NOREPLICAS": ("replicas", "Redis has fewer replicas than it needs to write"),
    "NOPROTO": ("protocol", "Redis is too old; version 6.2 or newer is required"),
}


def connect(redis_url: str, *, socket_timeout_s: float | None = 10.0) -> redis.Redis:
    """Return a client of `redis_url`. It connects at its first use.

    Raises:
        ConfigError: It is no Redis URL.
    """
    options: dict[str, Any] = {
        "socket_connect_timeout": min(_CONNECT_S, socket_timeout_s or _CONNECT_S),
        "socket_timeout": socket_timeout_s,
        # Waiting out an outage is the callers' affair: they say so once and back off.
        "retry": Retry(NoBackoff(), 0),
    }
    if is_sentinel_url(redis_url):
        return client_of(redis_url, **options)
    try:
        return redis.from_url(redis_url, **options)
    except ValueError as error:
        raise ConfigError(f"the Redis URL cannot be used: {error}") from None


def unavailable(error: BaseException) -> QueueUnavailable:
    """Return what an error of Redis means: messages cannot be sent or taken now, and why.

    Whatever Redis refuses, the rows are there, and what was not sent is sent later. So no error
    of Redis is a failure of a dispatch, nor a reason to give up a lead.
    """
    text = shortened(" ".join(str(error).split()), _MOST_REASON)
    for kind, reason, sentence in _REFUSALS:
        if isinstance(error, kind):
            return QueueUnavailable(f"{sentence} ({text})", reason)
    for code, (reason, sentence) in _CODES.items():
        # A pipeline's error begins with its command.
        if code in text.split("(")[0].split() or f": {code} " in text:
            return QueueUnavailable(f"{sentence} ({text})", reason)
    if isinstance(error, ResponseError):
        return QueueUnavailable(f"Redis refuses a command: {text}", "refused")
    return QueueUnavailable(f"Redis does not answer: {text}", "silent")


class _Reported:
    """The block of `reported`: no generator stands on the path of each small job."""

    def __enter__(self) -> None:
        """Do nothing yet."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise what is said of an error of Redis."""
        if isinstance(error, _OF_REDIS):
            raise unavailable(error) from error


_OF_REDIS = (RedisConnectionError, RedisTimeoutError, OSError, RedisError)
_BLOCK = _Reported()


def reported() -> AbstractContextManager[None]:
    """Return a block that turns every error of Redis into `QueueUnavailable`, with its reason."""
    return _BLOCK
