"""Finds the Redis that leads through Redis Sentinel: `redis+sentinel://:PASSWORD@H1,H2,H3/SERVICE/0`.

The sentinels are asked before each new connection, and now and then beside that: a master that is
cut off from the sentinels, but not from us, must not be written to for longer than that.
"""

import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import Sentinel, SentinelConnectionPool

from headrace.errors import ConfigError

log = logging.getLogger("headrace.redis")

# With TLS to the sentinels and to Redis, or without.
_SCHEMES = {"redis+sentinel": False, "rediss+sentinel": True}
_PORT = 26379
_NUMBER = re.compile(r"[0-9]{1,9}")
# The next sentinel is asked if one does not answer for so long: callers wait for the answer.
_SENTINEL_S = 0.7
_ASK_EVERY_S = 5.0
_FORM = "redis+sentinel://:PASSWORD@HOST1:26379,HOST2:26379,HOST3:26379/SERVICE/0"
_LOGIN = ("sentinel_username", "sentinel_password")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# As in a URL that names one Redis. Sentinels name the master by its address, which certificates
# rarely hold: unless they announce names, the check of the host's name has to be left out.
_OF_TLS = (*_FILES, "ssl_check_hostname")


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """What a URL says: the sentinels, the name of the master, and how to log in to it."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    sentinel_login: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls_options: Mapping[str, str | bool] = field(default_factory=dict)


def is_sentinel_url(redis_url: str) -> bool:
    """Return whether the URL names sentinels."""
    return redis_url.partition("://")[0] in _SCHEMES


def read(redis_url: str) -> SentinelUrl:
    """Return what a URL of sentinels says.

    Raises:
        ConfigError: Something is missing or wrong. The message repeats no password.
    """
    scheme, _, rest = redis_url.partition("://")
    rest, _, query = rest.partition("?")
    login, at, rest = rest.rpartition("@")
    hosts, _, path = rest.partition("/")
    service, _, database = path.partition("/")
    username, _, password = login.partition(":")
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = [*_LOGIN, *(_OF_TLS if _SCHEMES[scheme] else ())]
    if unknown := sorted(options.keys() - set(known)):
        raise _wrong(f"it takes no {unknown[0]!r}; options are {', '.join(known)}")
    if not service:
        raise _wrong("the name of the service (the master's name at the sentinels) is missing")
    if database and not _NUMBER.fullmatch(database):
        raise _wrong("what stands behind the service is the number of a database")
    return SentinelUrl(
        tuple(_address(host) for host in hosts.split(",")),
        unquote(service),
        int(database or 0),
        (unquote(username) or None) if at else None,
        (unquote(password) or None) if at else None,
        _SCHEMES[scheme],
        {name.removeprefix("sentinel_"): options[name] for name in _LOGIN if name in options},
        {name: _of_tls(name, options[name]) for name in _OF_TLS if name in options},
    )


def client_of(redis_url: str, **connection: Any) -> redis.Redis:
    """Return a client of the master that the sentinels name. `connection` are redis-py's options.

    Raises:
        ConfigError: The URL cannot be used.
    """
    url = read(redis_url)
    tls = {"ssl": True, **url.tls_options} if url.tls else {}
    asking: dict[str, Any] = {"socket_timeout": _SENTINEL_S, "socket_connect_timeout": _SENTINEL_S}
    shared = {"retry": connection["retry"], **tls}
    asking |= {**shared, **url.sentinel_login}
    # redis-py has no types for its Sentinel.
    sentinel = Sentinel((), **tls)  # type: ignore[no-untyped-call]
    sentinel.sentinels = [_Asked(host=host, port=port, **asking) for host, port in url.sentinels]
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]
        url.service,
        connection_pool_class=_Pool,
        db=url.database,
        username=url.username,
        password=url.password,
        **connection,
    )
    return client


class _NoAnswer(RedisConnectionError):
    """A sentinel's failure; redis-py lists those of all sentinels by their `repr`."""

    def __repr__(self) -> str:
        # redis-py's own has the class alone: neither the refused certificate nor the closed port.
        return str(self)


class _Asked(redis.Redis):
    """A sentinel. An error of all of them names each one, with its reason."""

    def sentinel_masters(self, *arguments: Any, **options: Any) -> Any:
        """Return what it knows of masters."""
        try:
            return super().sentinel_masters(*arguments, **options)
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise _NoAnswer(str(error)) from error

    def __repr__(self) -> str:
        # redis-py's own has all options, a password, too, and leaves no room for a reason.
        options = self.connection_pool.connection_kwargs
        return f"{options['host']}:{options['port']}"


class _Pool(SentinelConnectionPool):
    """Asks the sentinels now and then whether another Redis leads by now."""

    def __init__(self, service_name: str, sentinel_manager: Sentinel, **connection: Any) -> None:
        super().__init__(service_name, sentinel_manager, **connection)  # type: ignore[no-untyped-call]
        self._ask_at = 0.0

    def get_connection(self, *arguments: Any, **options: Any) -> Any:
        """Return a connection to the master; idle ones to a former master are closed."""
        if time.monotonic() > self._ask_at:
            # What they answer is remembered where the connections are made.
            self.master_now()
        return super().get_connection(*arguments, **options)

    def master_now(self) -> tuple[str, int] | None:
        """Return the master's address, None if no sentinel names one: they may be away."""
        self._ask_at = time.monotonic() + _ASK_EVERY_S
        before = self.master_address
        with suppress(RedisError, OSError):
            address: tuple[str, int] = self.get_master_address()  # type: ignore[no-untyped-call]
            if before not in (None, address):
                log.warning("Redis at %s:%d leads %s now", *address, self.service_name)
            return address
        return None


def is_former_master(client: redis.Redis, connection: Any) -> bool:
    """Return whether another Redis leads than the one that a connection goes to."""
    pool = client.connection_pool
    if not isinstance(pool, _Pool):
        return False
    address = pool.master_now()
    return address is not None and address != (connection.host, connection.port)


def _address(host: str) -> tuple[str, int]:
    name, colon, port = host.rpartition(":")
    if not colon or name.endswith(":") or host.endswith("]"):
        name, port = host, str(_PORT)
    if not name or not _NUMBER.fullmatch(port) or not 0 < int(port) < 65536:
        raise _wrong(f"{host!r} is no HOST:PORT of a sentinel")
    return name.removeprefix("[").removesuffix("]"), int(port)


def _of_tls(name: str, text: str) -> str | bool:
    """Return an option of TLS: the path of a file that is there, or true or false."""
    if name in _FILES:
        if not Path(text).is_file():
            raise _wrong(f"there is no file {text!r} for {name}")
        return text
    if text.lower() not in ("true", "false"):
        raise _wrong(f"{name} is true or false")
    return text.lower() == "true"


def _wrong(why: str) -> ConfigError:
    return ConfigError(f"the Redis URL cannot be used: {why}; it is written {_FORM}")
