"""The server's settings in each of our sessions: what is fixed, and what only where nobody spoke.

They are sent after connecting and not in the start message, where they would displace what the
URL says in `options`, and where poolers refuse them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from psycopg2.extensions import adapt

# Bookkeeping finds the server's own functions and operators, whatever schemas a role or a job has
# on its path. Our tables are always named with their schema.
OWN_SEARCH_PATH = "pg_catalog, pg_temp"

# The driver and the copies between databases rely on these.
_FIXED = {
    "client_encoding": "UTF8",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
}
# Below 1, floats lose digits on their way.
_EVERYWHERE = {"extra_float_digits": "1"}
# A statement whose client was killed ends within a second.
_JOBS = {
    "client_connection_check_interval": "1s",
    # Between two statements a job may compute for as long as its timeout allows.
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
_OWN = {
    "search_path": OWN_SEARCH_PATH,
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "default_transaction_isolation": "read committed",
}
# No zone of anybody's: what we print of times is in UTC.
_QUIET_UTC = {"timezone": "UTC", "client_min_messages": "warning"}
# Our own transactions take milliseconds. One that stands open belongs to a process that was
# paused: its locks must not hold up the daemon that takes over.
_SHORT_TRANSACTION = {"idle_in_transaction_session_timeout": "3s"}

_SINCE = {"transaction_timeout": 170000}
# Theirs to decide, and without harm to our statements.
_MAY_BE_SAID = frozenset(
    {
        *_EVERYWHERE,
        "client_connection_check_interval",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
    }
)


class Use(Enum):
    """Purpose of a session: bookkeeping, the same in short transactions, or a job's work.

    WORKER is a worker's line to the control database: bookkeeping and jobs' work in turn.
    """

    OWN = "own"
    SHORT = "short"
    WORKER = "worker"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Settings that a session is to have; `more` are those of one connection."""

    use: Use
    application_name: str
    more: Mapping[str, str] = field(default_factory=dict)

    def settings(self, said: Collection[str], version: int) -> dict[str, str]:
        """Return the settings to send, where the URL says those in `said`.

        `version` is the server's, as in 180003.
        """
        found = {"application_name": self.application_name, **_EVERYWHERE, **self._by_use()}
        found = {
            name: value
            for name, value in found.items()
            if version >= _SINCE.get(name, 0) and not (name in said and name in self._spoken())
        }
        return {**found, **self.more, **_FIXED}

    def names(self) -> list[str]:
        """Return the names of all settings that may be sent."""
        return list(self.settings((), max(_SINCE.values())))

    def _by_use(self) -> dict[str, str]:
        match self.use:
            case Use.OWN:
                return {**_OWN, **_QUIET_UTC}
            case Use.SHORT:
                return {**_OWN, **_SHORT_TRANSACTION, **_QUIET_UTC}
            case Use.WORKER:
                return {**_JOBS, **_OWN}
            case Use.TARGET:
                return dict(_JOBS)

    def _spoken(self) -> frozenset[str]:
        """Return what the URL may decide; in bookkeeping not how long it may idle."""
        ours = set() if self.use is Use.TARGET else {"idle_in_transaction_session_timeout"}
        return _MAY_BE_SAID - ours


def milliseconds(seconds: float) -> str:
    """Return a time as a setting takes it; what is longer than it can be is as long as it can.

    0 sets no limit, so what is shorter than a millisecond is one.
    """
    longest = min(seconds * 1000, 2**31 - 1)
    return f"{max(1.0, longest) if seconds > 0 else 0.0:.0f}ms"


def quoted_name(name: str) -> str:
    """Return a schema's name as `search_path` takes it."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def statement(settings: Mapping[str, str], *, local: bool = False) -> str:
    """Return the commands that set these; with `local` until the transaction's end."""
    return _commands(tuple(settings.items()), local)


@lru_cache(maxsize=256)
def _commands(settings: tuple[tuple[str, str], ...], local: bool) -> str:
    scope = "LOCAL " if local else ""
    return "".join(f"SET {scope}{name} = {_value(name, value)}; " for name, value in settings)


# The sign of a worker's sessions where the URL gives them another name than the worker's: a lock
# that nobody waits for, which other sessions can see. Any number; only that nobody else takes it.
_SIGN = 1751478627


def sign(application_name: str) -> str:
    """Return the command that gives a session its worker's sign; recovery finds it by that."""
    quoted: bytes = adapt(application_name).getquoted()
    name = f"pg_catalog.hashtext({quoted.decode()})"
    return f"SELECT pg_catalog.pg_advisory_lock_shared({_SIGN}, {name}); "


def _value(name: str, value: str) -> str:
    if name == "search_path":
        return value
    # Of plain letters everywhere but in an application's or a zone's name.
    quoted: bytes = adapt(value).getquoted()
    return quoted.decode()
