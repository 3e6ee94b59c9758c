"""A worker's own connection: what ends it, what it survives, and what is tried again."""

from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from headrace.errors import StoreUnavailable
from headrace.store import database as database_module
from headrace.store.attempts import AttemptStore
from headrace.store.connect import is_dead
from headrace.store.connection import ChildConnection
from headrace.store.database import Database
from tests.support.processes import wait_until
from tests.support.rows import Rows

DEALLOCATED = "DEALLOCATE ALL"


def pid_of(rows: Rows) -> int:
    return int(rows.store.raw.info.backend_pid)


def ended(rows: Rows) -> int:
    """End the connection's backend behind its back; return which it was."""
    pid = pid_of(rows)
    assert rows.sql(f"SELECT pg_terminate_backend({pid}, 60000) AS ended") == [{"ended": True}]
    return pid


def behind(rows: Rows, statement: str) -> None:
    with rows.store.raw.plain() as cursor:
        cursor.execute(statement)


def test_a_database_without_our_tables_is_said_and_no_connection_is_left(
    rows: Rows, empty_database: str
) -> None:
    store = AttemptStore(empty_database, "no-tables")

    with pytest.raises(StoreUnavailable) as told:
        store.raw  # noqa: B018 - opens the connection

    assert 'relation "headrace.' in str(told.value)
    assert "does not exist" in str(told.value)
    assert store.lost
    sessions = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'headrace:no-tables'"
    wait_until(lambda: not rows.sql(sessions), what="the end of the session")


def test_an_error_in_a_job_s_transaction_is_no_lost_connection(rows: Rows) -> None:
    pid = pid_of(rows)
    behind(rows, "BEGIN")
    with pytest.raises(errors.DivisionByZero):
        behind(rows, "SELECT 1/0")

    # What the driver says without a code may mean anything: the server is asked.
    assert not rows.store.broken(psycopg2.InterfaceError("cursor already closed"))

    behind(rows, "ROLLBACK")
    assert not rows.store.broken(psycopg2.InterfaceError("cursor already closed"))
    assert pid_of(rows) == pid


def test_a_connection_that_has_gone_behind_an_error_is_lost(rows: Rows) -> None:
    with pytest.raises(errors.DivisionByZero) as told:
        behind(rows, "SELECT 1/0")
    pid = ended(rows)

    assert not rows.store.broken(told.value), "that says nothing of the connection"
    assert rows.store.broken(psycopg2.InterfaceError("cursor already closed"))

    assert pid_of(rows) != pid


@pytest.mark.parametrize("ahead", [False, True])
def test_a_session_that_cannot_be_put_in_order_is_replaced(rows: Rows, ahead: bool) -> None:
    pid = pid_of(rows)
    rows.store.raw.ahead = ahead
    ended(rows)

    if ahead:
        rows.store.end_ahead()
    else:
        rows.store.reset()

    assert rows.store.lost
    assert pid_of(rows) != pid


@pytest.mark.parametrize("name", ["hold_attempt", "number_of_transaction"])
def test_a_connection_that_goes_between_two_statements_is_an_outage(rows: Rows, name: str) -> None:
    ended(rows)
    values = {"id": None, "attempt": 1} if name == "hold_attempt" else {}

    with pytest.raises(StoreUnavailable, match=r"^PostgreSQL does not answer: "):
        rows.store.rows(name, **values)

    assert rows.store.rows("number_of_transaction") == [{"number": None}]


def test_a_mistake_in_a_statement_is_no_outage(rows: Rows) -> None:
    pid = pid_of(rows)

    with pytest.raises(errors.InvalidTextRepresentation, match="uuid"):
        rows.store.rows("hold_attempt", id="none", attempt=1)
    with pytest.raises(errors.InvalidTextRepresentation, match="uuid"):
        rows.store.claim("none", 0)

    assert pid_of(rows) == pid


def test_a_server_that_takes_no_writes_for_now_is_an_outage_a_transaction_is_not(
    rows: Rows,
) -> None:
    job = str(rows.add("queued"))
    pid = pid_of(rows)
    behind(rows, "BEGIN READ ONLY")
    with pytest.raises(errors.ReadOnlySqlTransaction):
        rows.store.claim(job, 0)
    behind(rows, "ROLLBACK")
    assert pid_of(rows) == pid

    behind(rows, "SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailable, match=r"^PostgreSQL takes no writes: it is a standby, or"):
        rows.store.claim(job, 0)

    assert rows.store.claim(job, 0) is not None, "over another connection"


def test_bookkeeping_that_began_on_a_standby_is_an_outage_though_that_was_promoted(
    rows: Rows,
) -> None:
    job = str(rows.add("queued"))

    def look() -> None:
        with rows.store.transaction():
            # As the server has it from then on: it takes writes, this transaction does not.
            behind(rows, "SET TRANSACTION READ ONLY")
            rows.store.claim(job, 0)

    with pytest.raises(StoreUnavailable, match="PostgreSQL takes no writes"):
        look()

    assert rows.store.claim(job, 0) is not None, "over another connection"
    behind(rows, "BEGIN READ ONLY")
    with pytest.raises(errors.ReadOnlySqlTransaction):
        rows.store.claim(job, 0)


def test_a_statement_alone_that_a_standby_refuses_is_an_outage_though_that_was_promoted(
    rows: Rows,
) -> None:
    job = str(rows.add("queued"))
    # As a standby says it that has been promoted by the time it is asked.
    rows.sql(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'cannot execute UPDATE' USING ERRCODE = '25006'; END $$;"
        " CREATE TRIGGER refuse BEFORE UPDATE ON headrace.job"
        " FOR EACH ROW EXECUTE FUNCTION public.refuse()"
    )

    with pytest.raises(StoreUnavailable, match="PostgreSQL takes no writes"):
        rows.store.claim(job, 0)

    behind(rows, "BEGIN")
    with pytest.raises(errors.ReadOnlySqlTransaction):
        rows.store.claim(job, 0)
    behind(rows, "ROLLBACK")
    rows.sql("DROP TRIGGER refuse ON headrace.job")
    assert rows.store.claim(job, 0) is not None


def test_what_a_job_has_deallocated_is_prepared_anew(rows: Rows) -> None:
    job = str(rows.add("queued"))
    line, pid = rows.store.line, pid_of(rows)
    behind(rows, DEALLOCATED)

    claimed = rows.store.claim(job, 0)

    assert claimed is not None
    assert pid_of(rows) != pid
    assert rows.store.line == line + 2, "the first, and the one that replaced it"


def test_within_a_transaction_it_is_an_error(rows: Rows) -> None:
    job = str(rows.add("queued"))
    behind(rows, f"{DEALLOCATED}; BEGIN")

    with pytest.raises(errors.InvalidSqlStatementName, match="hr_claim"):
        rows.store.claim(job, 0)

    assert rows.store.lost
    assert rows.store.claim(job, 0) is not None


def test_an_end_that_fails_is_an_outage(rows: Rows) -> None:
    store: ChildConnection = rows.store

    def work() -> None:
        with store.transaction():
            ended(rows)

    with pytest.raises(StoreUnavailable, match=r"^PostgreSQL does not answer: "):
        work()

    assert store.lost


def test_a_block_that_fails_is_undone_before_the_next_one_begins(rows: Rows) -> None:
    store: ChildConnection = rows.store
    rows.add("queued")

    def work() -> None:
        with store.transaction():
            store._run("UPDATE headrace.job SET attempt = 7", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with store.transaction():
        pass

    assert rows.sql("SELECT attempt FROM headrace.job") == [{"attempt": 0}]


def test_no_more_connections_are_kept_than_the_pool_has(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Database(rows.url, application_name="headrace:kept", pool_size=1)
    lines: list[Any] = []
    run = database_module._Line.run

    def together(line: Any, *given: Any) -> Any:
        lines.append(line)
        if len(lines) == 1:
            assert kept.prepared("number_of_transaction") == [(None,)]
        return run(line, *given)

    monkeypatch.setattr(database_module._Line, "run", together)
    assert kept.prepared("number_of_transaction") == [(None,)]

    assert [bool(line.raw.closed) for line in lines] == [True, False]
    assert kept._ready == [lines[1]]
    kept.close()
    assert lines[1].raw.closed


def test_a_statement_that_fails_leaves_no_connection_behind(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Database(rows.url, application_name="headrace:kept", pool_size=1)
    line = kept._line()
    monkeypatch.setattr(kept, "_line", lambda: line)
    with pytest.raises(errors.InvalidTextRepresentation):
        kept.prepared("hold_attempt", id="none", attempt=1)
    assert kept._ready == []
    assert line.raw.closed
    kept.close()


def test_a_connection_that_the_server_has_ended_meanwhile_is_closed_and_replaced(
    rows: Rows,
) -> None:
    kept = Database(rows.url, application_name="headrace:kept", pool_size=1)
    assert kept.prepared("number_of_transaction") == [(None,)]
    (first,) = kept._ready
    rows.sql(f"SELECT pg_terminate_backend({first.raw.backend_pid}, 60000)")
    wait_until(lambda: is_dead(first.raw), what="the server's last words")

    assert kept.prepared("number_of_transaction") == [(None,)]

    assert first.raw.closed
    (second,) = kept._ready
    assert second.raw.backend_pid != first.raw.backend_pid
    kept.close()
