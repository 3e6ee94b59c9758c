"""Has PostgreSQL parse a text without running it, to learn whether it is one statement.

The driver speaks the simple protocol, in which everything in a message runs. To prepare an
unnamed statement is part of the other one, and refuses a text that holds several commands. The
driver has no call for it; its library, libpq, has.
"""

import ctypes
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import psycopg2
from psycopg2 import _psycopg, errors

from headrace.errors import RefusedSql

_COMMAND_OK = 1
_SEVERAL = "cannot insert multiple commands into a prepared statement"
# Fields of a result, as libpq's `postgres_ext.h` has them, and their names in the driver's `diag`.
_FIELDS = {
    "severity": "S",
    "sqlstate": "C",
    "message_primary": "M",
    "message_detail": "D",
    "message_hint": "H",
    "statement_position": "P",
    "internal_position": "p",
    "internal_query": "q",
    "context": "W",
    "schema_name": "s",
    "table_name": "t",
    "column_name": "c",
    "datatype_name": "d",
    "constraint_name": "n",
    "source_file": "F",
    "source_line": "L",
    "source_function": "R",
}


def refuse_several(raw: Any, text: bytes) -> None:
    """Refuse a text that PostgreSQL reads as several statements. Nothing of it is run.

    Raises:
        RefusedSql: It is several.
        psycopg2.Error: It is none: a mistake in it, told as if it had been run.
    """
    prepare, status, field, message, clear = _libpq()
    if raw.closed:
        raise psycopg2.InterfaceError("connection already closed")
    result = prepare(raw.pgconn_ptr, b"", text, 0, None)
    try:
        if result and status(result) == _COMMAND_OK:
            return
        found = {name: _decoded(field(result, ord(code))) for name, code in _FIELDS.items()}
        told = _decoded(message(raw.pgconn_ptr)) or "the connection was lost"
    finally:
        clear(result)
    if found["message_primary"] == _SEVERAL:
        raise RefusedSql(
            "PostgreSQL reads several statements where one was expected; nothing of them was run."
            f" Give each a text of its own: {text.decode(errors='replace'):.200}"
        )
    raise _error(found, told, text)


def last_said(raw: Any) -> str:
    """Return what libpq has to say about a connection; "" where it was closed by us."""
    if raw.pgconn_ptr is None:
        return ""
    return _decoded(_libpq()[3](raw.pgconn_ptr)) or ""


def _error(found: dict[str, str | None], told: str, sent: bytes) -> psycopg2.Error:
    """Return the error that the driver would have raised."""
    code = found["sqlstate"]
    if code is None:
        return psycopg2.OperationalError(told)
    try:
        base = errors.lookup(code)
    except KeyError:
        base = psycopg2.DatabaseError
    # What the driver reads from a result of its own is given as the class's attributes.
    given = {"pgcode": code, "pgerror": told, "diag": SimpleNamespace(**found), "sent": sent}
    text = told.removeprefix(f"{found['severity']}:  ")
    made: psycopg2.Error = type(base.__name__, (base,), given)(text)
    return made


def _decoded(text: bytes | None) -> str | None:
    return None if text is None else text.decode(errors="replace")


@lru_cache(maxsize=1)
def _libpq() -> tuple[Callable[..., Any], ...]:
    """Return libpq's functions, found through the driver's own module.

    That names the very library that the driver was linked with, however it is called and
    wherever it lies.
    """
    library = ctypes.CDLL(_psycopg.__file__)
    prepare, status = library.PQprepare, library.PQresultStatus
    field, message, clear = library.PQresultErrorField, library.PQerrorMessage, library.PQclear
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    prepare.argtypes, prepare.restype = [pointer, text, text, ctypes.c_int, pointer], pointer
    status.argtypes, status.restype = [pointer], ctypes.c_int
    field.argtypes, field.restype = [pointer, ctypes.c_int], text
    message.argtypes, message.restype = [pointer], text
    clear.argtypes, clear.restype = [pointer], None
    return prepare, status, field, message, clear
