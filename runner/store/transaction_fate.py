"""What became of a transaction whose connection was lost."""

import time
from typing import Any
from uuid import UUID

import psycopg2
from psycopg2 import errors

from headrace.errors import StoreUnavailable
from headrace.store.outages import unavailable_message
from headrace.store.session_settings import OWN_SEARCH_PATH
from headrace.store.statements import STATEMENTS

_OWN_PATH = f"SET LOCAL search_path = {OWN_SEARCH_PATH}; "
_LONGEST_WAIT_S = 60.0
_LOOK_EVERY_S = 0.1


def fate(raw: Any, number: str, server: str, *, ledger_of: UUID | None = None) -> str:
    """Return what became of a transaction: committed, aborted, prepared, or `entered`.

    Entered is one that was committed together with the job's row in the ledger, as it should be.
    Where it is still at work, in the backend of a connection that was cut, that one is ended.

    Raises:
        StoreUnavailable: The database does not answer, or the backend does not end.
    """
    deadline = time.monotonic() + _LONGEST_WAIT_S
    while True:
        try:
            with raw.plain() as cursor:
                sql = _OWN_PATH + STATEMENTS["fate_of_transaction"].pyformat
                cursor.execute(sql, {"xact": number, "server": server})
                status, prepared, _ended = cursor.fetchone()
        except errors.InvalidParameterValue:
            # A number that the server has not given out: it crashed, and the transaction with it.
            return "aborted"
        except psycopg2.Error as error:
            raise StoreUnavailable(unavailable_message(error)) from error
        if prepared:
            return "prepared"
        if status != "in progress":
            break
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"transaction {number} of a lost connection does not end")
        time.sleep(_LOOK_EVERY_S)
    if status == "committed" and ledger_of is not None and _in_ledger(raw, ledger_of):
        return "entered"
    return str(status or "aborted")


def _in_ledger(raw: Any, job_id: UUID) -> bool:
    with raw.plain() as cursor:
        cursor.execute(STATEMENTS["ledger_entry"].pyformat, {"id": str(job_id)})
        return bool(cursor.rowcount)
