"""A driver's connection that knows its session: what URL, role and database make of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2.extensions
from psycopg2.extensions import connection as DriverConnection  # noqa: N812 - it is a class

from headrace.model.connection import DEFAULT_LOCK_TIMEOUT_S

# What is known of a session once it is open; the path and the timeouts are those of before ours.
ABOUT = """SELECT pg_catalog.pg_backend_pid(),
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
       pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time())::pg_catalog.text,
       pg_catalog.current_setting('search_path'),
       pg_catalog.current_schema()::pg_catalog.text,
       session_user::pg_catalog.text,
       pg_catalog.current_setting('statement_timeout'),
       pg_catalog.current_setting('lock_timeout'),
       (SELECT pg_catalog.jsonb_object_agg(s.name, ARRAY[s.reset_val, s.source])
          FROM pg_catalog.pg_settings s
         WHERE s.name OPERATOR(pg_catalog.=) ANY (%(names)s))"""
SCHEMA = "headrace"
_cursor = DriverConnection.cursor
_USER = '"$user"'
# Of pg_settings' sources those that somebody has chosen for this role or session.
_OF_THE_ROLE = ("user", "database user", "client", "session")


class ServerSession(DriverConnection):
    """A driver's connection that knows its session.

    `backend_pid` is the serving process's number, which a pooler makes up in `info`. `base` is
    what the session has for search path and timeouts by itself, `settings_sql` what sets ours.
    `open_since` is the moment of the monotonic clock after which no server has crashed behind it,
    `server_since` the one, on the server's clock, at which the server was started.
    """

    backend_pid: int = 0
    server_since: str = ""
    open_since: float = math.inf
    connection_name: str | None = None
    base: "Base"
    settings_sql: str = ""

    def plain(self) -> Any:
        """Return a cursor for statements of our own, which no guard watches."""
        return _cursor(self, cursor_factory=psycopg2.extensions.cursor)


@dataclass(frozen=True, slots=True)
class Base:
    """A session as URL, role and database have it, before our own settings.

    `said` are the settings that the URL makes, `schema` is where unqualified names are made.
    `known` has the value to which RESET brings a setting, and where that comes from.
    """

    said: frozenset[str]
    search_path: str
    schema: str | None
    user: str
    statement_timeout: str
    lock_timeout: str
    known: Mapping[str, Sequence[str]]

    def missing(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return those of our settings that the session has not by itself: fewer to send."""
        return {
            name: value
            for name, value in settings.items()
            if name not in self.known or self.known[name][0] != value
        }

    @property
    def shadowed(self) -> bool:
        """Return whether unqualified names mean our tables.

        That is so where the role is named like our schema, `"$user"` is on the search path, and
        nobody has chosen that path for this role or session.
        """
        own_path = self.known["search_path"][1] in _OF_THE_ROLE or "search_path" in self.said
        return self.user == SCHEMA and not own_path and _USER in self._schemas()

    @property
    def timeless(self) -> bool:
        """Return whether nobody has said how long a statement waits for a lock."""
        return self.lock_timeout == "0" and "lock_timeout" not in self.said

    def _schemas(self) -> list[str]:
        return [name.strip() or "''" for name in self.search_path.split(",")]

    def for_jobs(self) -> dict[str, str]:
        """Return what a job's session is to have instead of bookkeeping's settings."""
        schemas = self._schemas()
        if self.shadowed:
            schemas = [name for name in schemas if name != _USER]
        return {
            "search_path": ", ".join(schemas) or "public",
            "statement_timeout": self.statement_timeout,
            "lock_timeout": f"{DEFAULT_LOCK_TIMEOUT_S:g}s" if self.timeless else self.lock_timeout,
        }
