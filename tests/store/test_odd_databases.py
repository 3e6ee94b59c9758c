"""Databases that refuse what is asked of them: told, waited for, or gone without."""

from dataclasses import replace
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors
from sqlalchemy.exc import ProgrammingError

from headrace.errors import StoreUnavailable
from headrace.model.connection import NamedConnection, on_server
from headrace.store import fresh_database as fresh
from headrace.store import ledger
from headrace.store.connect import make_engine
from headrace.store.explain import Estimate, Explainer, Fault
from headrace.store.made_databases import make_missing
from tests.support.rows import Rows

READ_ONLY = "options=-c%20default_transaction_read_only%3Don"


def test_a_database_cannot_be_made_while_the_server_takes_no_writes(database: str) -> None:
    url = database + ("&" if "?" in database else "?") + READ_ONLY
    wanted = on_server({"it": NamedConnection("control:///headrace_never_made")}, url)["it"]

    with pytest.raises(StoreUnavailable, match=r"^PostgreSQL takes no writes: it is a standby, or"):
        make_missing(wanted)


def test_a_database_that_goes_away_while_a_statement_is_explained_is_an_outage(rows: Rows) -> None:
    rows.sql("CREATE TABLE public.t (n integer)")
    explainer = Explainer(rows.url)
    assert isinstance(explainer.explain(["SELECT n FROM t"], []), Estimate)
    wrong = explainer.explain(["SELECT m FROM t"], [])
    assert isinstance(wrong, Fault)
    assert (wrong.code, wrong.word) == ("undefined-column", "m")
    ended = f"SELECT pg_terminate_backend({explainer._raw.info.backend_pid}, 60000)"
    rows.sql(ended)

    with pytest.raises(StoreUnavailable, match=r"^PostgreSQL does not answer: "):
        explainer.explain(["SELECT n FROM t"], [])

    explainer.close()


def refusing(times: int, error: type[psycopg2.Error]) -> Any:
    """Return what drops a database at the last of some tries."""
    tries = iter([*[error("no")] * times, None])
    sent: list[str] = []

    def run(_url: str, sql: str, _values: dict[str, Any]) -> list[Any]:
        sent.append(sql)
        if (refusal := next(tries)) is not None:
            raise ProgrammingError(sql, {}, refusal)
        return []

    return run, sent


def test_a_database_of_a_test_is_dropped_once_an_autovacuum_has_left_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("headrace.store.fresh_database.time.sleep", waits.append)

    run, sent = refusing(2, errors.InsufficientPrivilege)
    monkeypatch.setattr(fresh, "_run", run)
    fresh._drop("postgresql://h/a", "postgresql://h/b")
    assert sent == ['DROP DATABASE IF EXISTS "b" WITH (FORCE)'] * 3
    assert waits == [0.1, 0.1]

    run, sent = refusing(fresh._PATIENCE, errors.InsufficientPrivilege)
    monkeypatch.setattr(fresh, "_run", run)
    with pytest.raises(ProgrammingError):
        fresh._drop("postgresql://h/a", "postgresql://h/b")
    assert len(sent) == fresh._PATIENCE

    run, sent = refusing(1, errors.ObjectInUse)
    monkeypatch.setattr(fresh, "_run", run)
    with pytest.raises(ProgrammingError):
        fresh._drop("postgresql://h/a", "postgresql://h/b")
    assert len(sent) == 1


def test_a_ledger_is_opened_for_another_role_where_it_is_the_same_one(
    rows: Rows, empty_database: str
) -> None:
    rows.sql("DO $$ BEGIN CREATE ROLE opened; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    engine = make_engine(empty_database, application_name="headrace:tests")
    gone = make_engine(
        empty_database.replace("//headrace@", "//nobody_of_that_name@"), application_name="t"
    )
    assert ledger.ready(engine, []) is None
    state = replace(ledger._made(engine)[0], role="opened")

    def may() -> bool:
        asked = "SELECT has_table_privilege('opened', 'headrace.ledger', 'INSERT')"
        with engine.connect() as connection:
            return bool(connection.exec_driver_sql(asked).scalar())

    for other, wanted in ((gone, state), (engine, replace(state, database="another"))):
        assert not ledger._opened(other, wanted)
        assert not may()
    assert ledger._opened(engine, state)
    assert may()
    engine.dispose()
