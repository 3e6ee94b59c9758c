"""How Headrace reaches PostgreSQL: the driver named, the session's settings fixed."""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extras
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, OperationalError

from runner import exact
from runner.errors import ConfigError, StoreUnavailable

# UUID columns come back as UUIDs, and UUIDs may be given as values.
psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]

# Keep-alives find a half-open connection; the server ends a query whose client is gone.
_CONNECT_ARGS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "client_encoding": "utf8",
}
_SESSION_OPTIONS = (
    "-c timezone=UTC -c client_min_messages=warning -c standard_conforming_strings=on"
)
# Our own transactions take milliseconds. One that stands open belongs to a process that was
# paused: its locks must not hold up the daemon that takes over.
_SHORT_TRANSACTIONS = " -c idle_in_transaction_session_timeout=3000"


def driver_url(database_url: str) -> URL:
    """Return `database_url` with the psycopg2 driver named, whatever the user wrote.

    SQLAlchemy 2.1 takes a plain `postgresql://` to mean psycopg 3.

    Raises:
        ConfigError: It is no PostgreSQL URL.
    """
    try:
        url = make_url(database_url)
    except ArgumentError:
        raise ConfigError(
            "the database URL cannot be read; write postgresql://user:password@host:5432/name"
        ) from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigError(
            f'the database URL names "{url.get_backend_name()}"; Headrace needs postgresql://'
        )
    return url.set(drivername="postgresql+psycopg2")


def make_engine(
    database_url: str,
    *,
    application_name: str,
    pool_size: int = 5,
    short: bool = False,
    autocommit: bool = False,
    connection_factory: type[psycopg2.extensions.connection] | None = None,
) -> Engine:
    """Return an engine on `database_url`. It connects at its first use.

    With `short` the server ends a transaction that waits seconds for its client; with
    `autocommit` each statement is a transaction. The connections are of a class of one's own
    where one is given.
    """
    engine = create_engine(
        driver_url(database_url),
        pool_size=pool_size,
        max_overflow=10,
        isolation_level="AUTOCOMMIT" if autocommit else None,
        json_serializer=exact.dumps,
        json_deserializer=exact.loads,
        connect_args={
            **_CONNECT_ARGS,
            "connection_factory": connection_factory,
            "application_name": application_name,
            "options": _SESSION_OPTIONS + (_SHORT_TRANSACTIONS if short else ""),
        },
    )
    event.listen(engine, "checkout", _refuse_dead)
    return engine


def _refuse_dead(raw: Any, _record: Any, _proxy: Any) -> None:
    """Have the pool replace a connection that the server has closed, without asking the server.

    A server has nothing to say to an idle client but that it goes. A ping before each use
    would cost a round trip and a transaction.
    """
    if raw.closed or select.select([raw.fileno()], [], [], 0)[0]:
        raise DisconnectionError


def connect_raw(
    database_url: str,
    *,
    application_name: str,
    connection_factory: type[psycopg2.extensions.connection] | None = None,
) -> Any:
    """Return one psycopg2 connection in autocommit mode, of a class of one's own if given.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    url = driver_url(database_url)
    arguments = {**url.query, **url.translate_connect_args(username="user", database="dbname")}
    try:
        connection = psycopg2.connect(
            **{
                **arguments,
                **_CONNECT_ARGS,
                "application_name": application_name,
                "options": _SESSION_OPTIONS,
            },
            connection_factory=connection_factory,
        )
    except psycopg2.OperationalError as error:
        raise StoreUnavailable(unavailable_message(error)) from error
    connection.autocommit = True
    psycopg2.extras.register_default_json(connection, loads=exact.loads)
    psycopg2.extras.register_default_jsonb(connection, loads=exact.loads)
    return connection


def tells_of_a_break(error: BaseException) -> bool:
    """Tell whether an error may mean that its connection is gone.

    The driver does not always know yet: a server that shuts down says so in an ordinary error.
    """
    cause = getattr(error, "orig", error)
    if not isinstance(cause, psycopg2.Error):
        return False
    return cause.pgcode is None or cause.pgcode.startswith(("57P", "08"))


def transient(error: BaseException) -> bool:
    """Tell whether a transaction was undone for another one's sake: a deadlock, say."""
    code = getattr(getattr(error, "orig", error), "pgcode", None)
    return str(code).startswith("40")


def unavailable_message(error: BaseException) -> str:
    """Return one line for the user; libpq's text carries host and reason, never a password."""
    reason = " ".join(str(getattr(error, "orig", error)).split())
    return f"PostgreSQL does not answer: {reason}"


@contextmanager
def reported() -> Iterator[None]:
    """Turn a lost connection into `StoreUnavailable`; let every other error pass."""
    try:
        yield
    except OperationalError as error:
        raise StoreUnavailable(unavailable_message(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable(unavailable_message(error)) from error
        raise
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise StoreUnavailable(unavailable_message(error)) from error
