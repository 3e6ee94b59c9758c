"""Connects to PostgreSQL: the URL, and the session's settings on top of it."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extras
from psycopg2.extensions import PYDATETIMETZ, new_array_type, new_type, register_type

from headrace.errors import ConfigError, StoreUnavailable
from headrace.model import exact_json
from headrace.store import driver_codec, dsn
from headrace.store.forked import keep_from_forks
from headrace.store.job_connection import JobConnection
from headrace.store.outages import refuses_writes, unavailable_message
from headrace.store.poolers import refuse_transaction_mode
from headrace.store.readiness import is_ready
from headrace.store.server_session import ABOUT, Base, ServerSession
from headrace.store.session_end_reason import note_parting_words
from headrace.store.session_settings import Use, Wanted, sign, statement
from headrace.template.spans import Span

if TYPE_CHECKING:
    from sqlalchemy import Engine

driver_codec.use()

# UUID columns come back as UUIDs, and UUIDs may be given as values.
psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]

# The hours of a span stay hours: the driver would write thirty-six as a day and twelve, and the
# day would follow the clock on the wall.
psycopg2.extensions.register_adapter(
    Span, lambda span: psycopg2.extensions.AsIs(f"'{span.interval}'::interval")
)

# Keep-alives find a half-open connection; the server ends a query whose client is gone.
_CONNECT_ARGS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


def open_session(database_url: str, wanted: Wanted) -> ServerSession:
    """Connect; the session is in autocommit mode, with its settings made.

    Raises:
        ConfigError: The URL is none of PostgreSQL's, or what it leads to cannot be used.
        psycopg2.Error: PostgreSQL does not answer.
    """
    arguments = dsn.parameters(database_url)
    options = dsn.options_of(arguments)
    raw, arguments = _connect(wanted, arguments)
    try:
        raw.autocommit = True
        if wanted.use is not Use.TARGET:
            _refuse_encoding(raw)
        unsent = {} if "options" in arguments else options
        _make_settings(raw, wanted, unsent, frozenset(options))
        raw.open_since = time.monotonic()
        keep_from_forks(raw)
        if raw.info.backend_pid != raw.backend_pid:
            refuse_transaction_mode(raw, arguments)
    except BaseException:
        raw.close()
        raise
    return raw


def _connect(wanted: Wanted, said: Mapping[str, str]) -> tuple[ServerSession, dict[str, Any]]:
    """Return a connection, and what it was made with."""
    name = {"application_name": wanted.application_name}
    arguments: dict[str, Any] = {**_CONNECT_ARGS, **name, **said, "client_encoding": "UTF8"}
    factory = JobConnection if wanted.use in (Use.WORKER, Use.TARGET) else ServerSession
    try:
        raw: ServerSession = psycopg2.connect(connection_factory=factory, **arguments)
    except psycopg2.OperationalError as error:
        if "options" not in said or not _takes_no_options(error):
            raise
        # PgBouncer takes none: what they say is set afterwards.
        del arguments["options"]
        raw = psycopg2.connect(connection_factory=factory, **arguments)
    if raw.info.parameter_status("standard_conforming_strings") == "off":
        raw.close()
        raw = _conforming(factory, arguments)
    return raw, arguments


def _conforming(factory: type[ServerSession], arguments: dict[str, Any]) -> ServerSession:
    """Connect again with backslashes that are plain characters from the first moment.

    The driver looks once, as it connects, how texts are to be quoted: what is set afterwards would
    have it quote them wrongly.

    Raises:
        ConfigError: A pooler in between does not let us.
    """
    options = f"{arguments.get('options', '')} -c standard_conforming_strings=on".strip()
    try:
        raw: ServerSession = psycopg2.connect(
            connection_factory=factory, **{**arguments, "options": options}
        )
    except psycopg2.OperationalError as error:
        if not _takes_no_options(error):
            raise
        raise ConfigError(
            "the database or role sets standard_conforming_strings = off, and the pooler takes no"
            " options: ALTER DATABASE … RESET standard_conforming_strings"
        ) from None
    return raw


def _takes_no_options(error: psycopg2.Error) -> bool:
    return "unsupported startup parameter" in str(error)


def _make_settings(
    raw: ServerSession, wanted: Wanted, unsent: Mapping[str, str], said: frozenset[str]
) -> None:
    """Read what the session has by itself, then make our settings."""
    with raw.plain() as cursor:
        cursor.execute(statement(unsent) + ABOUT, {"names": [*wanted.names(), "search_path"]})
        found: Any = cursor.fetchone()
        raw.backend_pid, version, raw.server_since, *base = found
        raw.base = Base(said, *base)
        settings = wanted.settings(said, version)
        if wanted.use is Use.TARGET:
            settings = {**raw.base.for_jobs(), **settings}
        name = raw.info.dsn_parameters.get("application_name") or wanted.application_name
        settings = raw.base.missing({**settings, "application_name": name})
        raw.settings_sql = statement({**unsent, **settings})
        if name != wanted.application_name:
            raw.settings_sql += sign(wanted.application_name)
        if raw.settings_sql:
            cursor.execute(raw.settings_sql)
    psycopg2.extras.register_default_json(raw, loads=exact_json.loads)
    psycopg2.extras.register_default_jsonb(raw, loads=exact_json.loads)
    register_type(_IN_UTC, raw)
    register_type(_ARRAY_IN_UTC, raw)


def _refuse_encoding(raw: ServerSession) -> None:
    encoding = raw.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise ConfigError(
            f"the control database {raw.info.dbname} has the encoding {encoding}; Headrace needs"
            f" UTF8, make another one: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def _in_utc(text: str | bytes | None, cursor: Any) -> Any:
    """Return an instant in UTC, whatever zone the session is in."""
    found = PYDATETIMETZ(text, cursor)
    try:
        return found.astimezone(UTC) if isinstance(found, datetime) else found
    except OverflowError:  # within a day of the first or last year
        return found


_IN_UTC = new_type((1184,), "TIMESTAMPTZ_IN_UTC", _in_utc)
_ARRAY_IN_UTC = new_array_type((1185,), "TIMESTAMPTZ_IN_UTC[]", _IN_UTC)


def make_engine(
    database_url: str,
    *,
    application_name: str,
    pool_size: int = 5,
    short: bool = False,
    autocommit: bool = False,
) -> "Engine":
    """Return an engine for bookkeeping on `database_url`. It connects at its first use.

    With `short` the server ends a transaction that waits seconds for its client; with
    `autocommit` each statement is a transaction.

    Raises:
        ConfigError: The URL is none of PostgreSQL's.
    """
    wanted = Wanted(Use.SHORT if short else Use.OWN, application_name)
    return engine_of(database_url, wanted, pool_size=pool_size, autocommit=autocommit)


def engine_of(
    database_url: str,
    wanted: Wanted,
    *,
    pool_size: int,
    max_overflow: int = 10,
    autocommit: bool = False,
) -> "Engine":
    """Return an engine whose sessions are as `wanted`; see `make_engine`."""
    # Imported here: who opens a session without an engine needs no SQLAlchemy, which takes a third
    # of a second to load.
    from sqlalchemy import create_engine, event

    from headrace.store.session_savepoints import DRIVER

    dsn.parameters(database_url)

    def connected() -> ServerSession:
        raw = open_session(database_url, wanted)
        raw.autocommit = False
        return raw

    engine = create_engine(
        f"{DRIVER}://" if wanted.use is Use.TARGET else "postgresql+psycopg2://",
        creator=connected,
        pool_size=pool_size,
        max_overflow=max_overflow,
        isolation_level="AUTOCOMMIT" if autocommit else None,
        json_serializer=exact_json.dumps,
        json_deserializer=exact_json.loads,
    )
    event.listen(engine, "checkout", _refuse_dead)
    event.listen(engine, "handle_error", note_parting_words)
    if wanted.use is not Use.TARGET:
        event.listen(engine, "handle_error", _leave_read_only)
    return engine


def _leave_read_only(context: Any) -> None:
    """Have the pool look again for a server that takes writes, where this one takes none."""
    if refuses_writes(context.original_exception):
        context.is_disconnect = True


def _refuse_dead(raw: Any, _record: Any, _proxy: Any) -> None:
    """Have the pool replace a connection that the server has closed."""
    if is_dead(raw):
        from sqlalchemy.exc import DisconnectionError

        raise DisconnectionError


def is_dead(raw: Any) -> bool:
    """Tell whether the server has closed an idle connection, without asking the server.

    A server has nothing to say to an idle client but that it goes. A ping before each use
    would cost a round trip and a transaction.
    """
    return bool(raw.closed or is_ready(raw.fileno()))


def connect_raw(database_url: str, *, application_name: str, use: Use = Use.OWN) -> ServerSession:
    """Return one psycopg2 connection in autocommit mode.

    Raises:
        ConfigError: See `open_session`.
        StoreUnavailable: PostgreSQL does not answer.
    """
    try:
        return open_session(database_url, Wanted(use, application_name))
    except psycopg2.Error as error:
        raise StoreUnavailable(unavailable_message(error)) from error
