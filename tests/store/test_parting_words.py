"""Why a server has ended a session, where it said so before the connection was gone."""

from contextlib import closing

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from headrace.errors import StoreUnavailable
from headrace.store.connect import make_engine
from headrace.store.database import Database
from headrace.store.outages import unavailable_message
from headrace.store.session_end_reason import keep_parting_words, parting_words
from tests.support.servers import connect

TOLD = "terminating connection due to administrator command"
END = "SELECT pg_terminate_backend(%s, 5000)"


def ended(url: str, pid: int) -> None:
    """End another's session, which is idle."""
    with closing(connect(url)) as line, line.cursor() as cursor:
        cursor.execute(END, (pid,))
        assert cursor.fetchone() == (True,)


def test_the_server_s_last_words_are_kept_once(database: str) -> None:
    raw = connect(database)
    ended(database, raw.info.backend_pid)
    with pytest.raises(psycopg2.Error) as failed, raw.cursor() as cursor:
        cursor.execute("SELECT 1")
    error = failed.value
    raw_again = connect(database)

    for _ in range(2):
        keep_parting_words(error)

    assert parting_words(error) == TOLD
    assert TOLD in unavailable_message(error)
    # Of a mistake in a statement nothing is kept: the session goes on.
    with pytest.raises(psycopg2.Error) as mistaken, raw_again.cursor() as cursor:
        cursor.execute("SELECT 1 FROM nowhere")
    keep_parting_words(mistaken.value)
    keep_parting_words(ValueError("not the driver's"))
    assert parting_words(mistaken.value) == ""
    raw_again.close()


def test_an_engine_keeps_them_before_its_pool_closes_the_connection(database: str) -> None:
    engine = make_engine(database, application_name="headrace:test")
    with engine.connect() as line:
        ended(database, line.execute(text("SELECT pg_backend_pid()")).scalar_one())
        with pytest.raises(DBAPIError) as failed:
            line.execute(text("SELECT 1"))
    engine.dispose()

    assert parting_words(failed.value) == TOLD


def test_an_outage_is_told_with_them(database: str) -> None:
    bookkeeping = Database(database, application_name="headrace:test", pool_size=1)

    def work() -> None:
        with bookkeeping.transaction() as tx:
            pid = tx.connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            ended(database, pid)
            tx.connection.exec_driver_sql("SELECT 1")

    with pytest.raises(StoreUnavailable, match=TOLD):
        work()
    bookkeeping.close()
