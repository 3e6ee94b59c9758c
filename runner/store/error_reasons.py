"""Explains errors of PostgreSQL in a job if their own words do not."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg2
from psycopg2 import errorcodes

from headrace.errors import ConfigError, StoreUnavailable
from headrace.store.connect import connect_raw
from headrace.store.outages import READ_ONLY
from headrace.store.session_end_reason import keep_parting_words, parting_words
from headrace.store.statements import STATEMENTS

_MOST_WORDS = 1000
_WORD = re.compile(r'"((?:[^"]|"")+)"|([^\W\d][\w$]*)')
_UNTRANSLATABLE = re.compile(
    r'byte sequence ((?:0x[0-9a-f]{2} ?)+) in encoding "(\w+)"'
    r' has no equivalent in encoding "(\w+)"'
)
# From SQL_ASCII PostgreSQL converts nothing.
_PYTHON_NAMES = {"UTF8": "utf-8", "LATIN1": "latin-1"}


class Reasons:
    """Looks for reasons; `url_of` gives a connection's URL by its name, None the control one's.

    `role_of` gives the role that jobs take on there, None for the one that logs in.
    `read_only` holds why jobs can only read in a connection's database.
    """

    def __init__(
        self,
        url_of: Callable[[str | None], str],
        read_only: Mapping[str, str],
        role_of: Callable[[str | None], str | None],
    ) -> None:
        self._url_of = url_of
        self._role_of = role_of
        self._read_only = read_only

    def add_to(self, error: BaseException) -> None:
        """Add what can be told of an error to it, as a note."""
        cause = next(_of_the_driver(error), None)
        if cause is None:
            return
        keep_parting_words(cause)
        raw = getattr(cause.cursor, "connection", None)
        found = self._reason(cause, raw, getattr(raw, "connection_name", None))
        if found:
            error.add_note(found)

    def _reason(self, cause: psycopg2.Error, raw: Any, name: str | None) -> str | None:
        match cause.pgcode:
            case errorcodes.LOCK_NOT_AVAILABLE:
                return self._lock(cause, raw, name)
            case errorcodes.UNTRANSLATABLE_CHARACTER:
                return _character(str(cause))
            case errorcodes.INSUFFICIENT_PRIVILEGE:
                return self._right(raw, name)
            case state if state == READ_ONLY and name is not None:
                why = self._read_only.get(name)
                return why and f"in the connection {name}: {why}"
        return parting_words(cause) or None

    def _right(self, raw: Any, name: str | None) -> str | None:
        """Return who lacks the right: the server names what it is on only."""
        if raw is None:
            return None
        role = self._role_of(name) or raw.info.user
        place = "" if name is None else f" of the connection {name}"
        return f'the role "{role}"{place} lacks the right: whoever owns it can GRANT it'

    def _lock(self, cause: psycopg2.Error, raw: Any, name: str | None) -> str:
        place = "in the step's `with`"
        if name is not None:
            place += f", or of the connection {name} in config.yaml,"
        holders = self._holders(cause, raw, name)
        held = f"it is held by {holders}; " if holders else ""
        return f"{held}lock_timeout {place} says how long a statement waits for a lock"

    def _holders(self, cause: psycopg2.Error, raw: Any, name: str | None) -> str:
        """Return who holds what the statement names, as far as another session can see it now."""
        sent = getattr(cause.cursor, "query", None) or b""
        words = [
            quoted.replace('""', '"') or plain.lower()
            for quoted, plain in _WORD.findall(sent.decode("utf-8", "replace"))
        ]
        values = {"words": words[:_MOST_WORDS], "pid": getattr(raw, "backend_pid", 0)}
        try:
            asked = connect_raw(self._url_of(name), application_name="headrace:explain")
        except (StoreUnavailable, ConfigError):
            return ""
        try:
            with asked.plain() as cursor:
                cursor.execute(STATEMENTS["lock_holders"].pyformat, values)
                return "; ".join(_holder(*row) for row in cursor.fetchall())
        except psycopg2.Error:
            return ""
        finally:
            asked.close()


def _of_the_driver(error: BaseException) -> Iterator[psycopg2.Error]:
    """Yield the driver's errors that this one is, wraps, or was raised from."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        wrapped = getattr(one, "orig", None)
        if isinstance(one, psycopg2.Error):
            yield one
        elif isinstance(wrapped, psycopg2.Error):
            yield wrapped
        one = one.__cause__ or one.__context__


def _holder(
    relation: str, pid: int, role: str | None, program: str | None, state: str | None, since_s: int
) -> str:
    who = f"process {pid}" + (f' of the role "{role}"' if role else "")
    if program:
        who += f" ({program})"
    return f"{who}, {state or 'at work'}, in a transaction for {since_s} s, which has {relation}"


def _character(message: str) -> str | None:
    """Return the character that a database's encoding does not have, by its looks and number."""
    found = _UNTRANSLATABLE.search(message)
    if found is None or found[2] not in _PYTHON_NAMES:
        return None
    octets = bytes(int(one, 16) for one in found[1].split())
    text = octets.decode(_PYTHON_NAMES[found[2]], "replace")
    numbers = " ".join(f"U+{ord(letter):04X}" for letter in text)
    return f"the character {text} ({numbers}) does not exist in {found[3]}, the encoding there"
