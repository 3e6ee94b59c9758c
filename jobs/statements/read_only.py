"""Runs a user's SQL that only reads, in a transaction in which nothing can be written."""

from typing import TYPE_CHECKING, Any

from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.statements.user_sql import run_statements
from headrace.template import RenderedSql, words_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def run_reading(
    session: "Session", statements: list[RenderedSql], *, keep: int
) -> dict[str, Any] | None:
    """Run statements in a session that only reads; None if they do more: nothing is done then.

    A function that may do anything is not called at all: what it does beside writing (NOTIFY,
    say) would end with the transaction.
    """
    # Imported here, and not where a job's file is loaded: `headrace validate` sends nothing.
    from psycopg2 import errors
    from sqlalchemy.exc import DBAPIError

    words = sorted({word for one in statements for word in words_of(one.marked)})
    if execute(session, packaged_sql("calls_volatile", words=words)).scalar_one():
        return None
    try:
        with session.begin_nested():
            return run_statements(session, statements, keep=keep)
    except DBAPIError as error:
        if not isinstance(error.orig, errors.ReadOnlySqlTransaction):
            raise
    logger.info("The SQL writes after all: it runs again in a transaction that does")
    return None
