"""The control database itself: what it must be, and what is only an outage."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from headrace.declarations.config import mask_url
from headrace.errors import ConfigError, StoreUnavailable
from headrace.model.connection import NamedConnection
from headrace.store import dsn
from headrace.store.connect import connect_raw, make_engine
from headrace.store.database import Database
from headrace.store.migrations import upgrade
from headrace.store.migrations.schema import give_search_path
from headrace.store.targets import end_sessions, target_engine
from tests.connections.conftest import Working, query, run_sql, value
from tests.support.cli import Headrace
from tests.support.places import PASSWORD, Server, pgbouncer
from tests.support.roles import create_role


@contextmanager
def read_only(url: str) -> Iterator[None]:
    """Have a database take no writes in new sessions, as one that is being failed over."""
    name = query(url, "select current_database()")[0][0]
    query(url, f'alter database "{name}" set default_transaction_read_only = on')
    try:
        yield
    finally:
        writing = f"{url}&options=-c%20default_transaction_read_only%3Doff"
        query(writing, f'alter database "{name}" reset default_transaction_read_only')


def test_a_database_that_takes_no_writes_for_a_while_is_an_outage(working: Working, database: str):
    hand = working()
    job = hand.headrace.dispatcher.dispatch("RunSql", {"sql": "select 1"}, retry=0)
    with read_only(database):
        fresh = Database(database, application_name="headrace:test")
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            fresh.rows("forget_old_workers")
        with pytest.raises(StoreUnavailable, match="takes no writes"), fresh.transaction() as tx:
            tx.rows("forget_old_workers")
        hand.headrace.database.close()
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            hand.headrace.dispatcher.dispatch("RunSql", {"sql": "select 1"})
        hand.executor.store.drop()
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            hand.executor.store.claim(job, 0)
        assert hand.headrace.database.rows("workers") == []

    # The same objects find it again: no connection of the time before is kept.
    fresh.rows("forget_old_workers")
    fresh.close()
    assert hand.executor.store.claim(job, 0) is not None


def test_a_database_that_is_not_utf8_is_refused(debian: Server, place: str):
    clauses = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0 OWNER etl"
    debian.execute(f"CREATE DATABASE {place}_l1 {clauses}")

    with pytest.raises(ConfigError, match=r"encoding LATIN1; Headrace needs UTF8"):
        upgrade(debian.url_for(f"{place}_l1", "etl"))


def test_a_schema_that_an_administrator_has_made_is_migrated(debian: Server, place: str):
    debian.execute(f"ALTER DATABASE {place} OWNER TO postgres")
    url = debian.url_for(place, "etl")
    with pytest.raises(ConfigError, match='CREATE SCHEMA headrace AUTHORIZATION "etl";') as refused:
        upgrade(url)
    command = str(refused.value).partition("runs in that database: ")[2].rstrip(";")

    debian.execute(command, database=place)
    upgrade(url)

    assert query(url, "select count(*) from headrace.job") == [(0,)]


def test_a_role_named_like_the_schema_gets_a_search_path_of_its_own(debian: Server, place: str):
    debian.execute(
        create_role("headrace", f"LOGIN PASSWORD '{PASSWORD}'"),
        f"ALTER DATABASE {place} OWNER TO headrace",
    )
    url = debian.url_for(place, "headrace")
    upgrade(url)

    assert query(url, "show search_path") == [("public",)]
    query(url, f"alter role headrace in database {place} set search_path = mart, public")
    upgrade(url)
    assert query(url, "show search_path") == [("mart, public",)]


def test_a_role_that_cannot_be_given_a_search_path_is_told_what_to_run(
    debian: Server, place: str, caplog: pytest.LogCaptureFixture
):
    debian.execute(
        f"DO $$ BEGIN CREATE ROLE headrace LOGIN PASSWORD '{PASSWORD}';"
        " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    engine = make_engine(debian.url_for(place, "headrace"), application_name="headrace:tests")
    with (
        closing(psycopg2.connect(debian.url)) as administrator,
        administrator.cursor() as cursor,
        caplog.at_level(logging.WARNING, "headrace.engine"),
        engine.begin() as connection,
    ):
        cursor.execute(f"ALTER ROLE headrace IN DATABASE {place} SET work_mem = '9MB'")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
        give_search_path(connection)
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1, "the transaction goes on"
    engine.dispose()

    (said,) = caplog.messages
    assert said.startswith(
        "unqualified names mean Headrace's own tables in psql, since the role is named like the"
        f' schema; run ALTER ROLE CURRENT_USER IN DATABASE "{place}" SET search_path = public;'
        " (canceling statement due to lock timeout"
    )


def test_unqualified_names_of_a_job_are_not_headraces_tables(
    working: Working, debian: Server, place: str
):
    debian.execute(
        create_role("headrace", f"LOGIN PASSWORD '{PASSWORD}'"),
        f"ALTER DATABASE {place} OWNER TO headrace",
    )
    hand = working(there=debian.url_for(place, "headrace"))

    made = run_sql(hand, "create table ledger (n int)", connection="there")

    assert made["status"] == "completed", made["error"]
    assert query(debian.url, "select 1") == [(1,)]
    seen = query(debian.url_for(place, "headrace"), "select count(*) from public.ledger")
    assert seen == [(0,)]


def test_pgbouncer_in_session_mode_serves_control_database_and_targets(
    working: Working, debian: Server, place: str
):
    with pgbouncer(debian) as port:
        url = f"postgresql://etl:{PASSWORD}@127.0.0.1:{port}/{place}?options=-c%20work_mem%3D9MB"
        upgrade(url)
        hand = working(url, there=url)
        for name in (None, "there"):
            for _ in range(2):
                assert value(run_sql(hand, "show work_mem", connection=name)) == "9MB"
        raw = hand.executor.store.raw
        with raw.plain() as cursor:
            cursor.execute("select pg_backend_pid(), current_setting('application_name')")
            assert cursor.fetchone() == (raw.backend_pid, "headrace:by-hand")


def test_a_pooler_through_which_backslashes_cannot_be_made_plain_says_what_to_reset(
    debian: Server, place: str
):
    debian.execute(f"ALTER DATABASE {place} SET standard_conforming_strings = off")
    with pgbouncer(debian) as port:
        url = f"postgresql://etl:{PASSWORD}@127.0.0.1:{port}/{place}"
        with pytest.raises(ConfigError, match=r"ALTER DATABASE … RESET standard_conforming_s"):
            connect_raw(url, application_name="headrace:test")

    raw = connect_raw(debian.url_for(place, "etl"), application_name="headrace:test")
    with closing(raw), raw.plain() as cursor:
        cursor.execute("SELECT %s", ("a\\b",))
        assert cursor.fetchone() == ("a\\b",)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_shares_sessions_is_refused_with_a_sentence(
    debian: Server, place: str, mode: str
):
    with pgbouncer(debian, mode=mode) as port:
        url = f"postgresql://etl:{PASSWORD}@127.0.0.1:{port}/{place}"
        with pytest.raises(ConfigError, match=r"pool_mode = session|refuses transactions"):
            connect_raw(url, application_name="headrace:test")


def test_a_pool_in_session_mode_that_is_full_is_not_taken_for_another_mode(
    debian: Server, place: str
):
    with pgbouncer(debian, pool_size=1) as port:
        url = f"postgresql://etl:{PASSWORD}@127.0.0.1:{port}/{place}"
        connect_raw(url, application_name="headrace:test").close()


MISTAKES = {
    "an_at": "postgresql://u:s3cr@et@h/db",
    "a_slash": "postgresql://u:s3cr/et@h:5432/db",
    "a_colon": "postgresql://u:s3cret",
    "a_hash": "postgresql://u:s3cret#@h:54x32/db",
    "an_ampersand": "postgresql://h/db?user=u&password=s3cret&et",
    "no_parameter": "postgresql://h/db?password=s3c&ret=1",
    "odd_port": "postgresql://u:s3cret@h:99999/db",
    "no_url": "u:s3cret@h/db",
    "another_kind": "mysql://u:s3cret@h/db",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_url_is_a_sentence_without_a_piece_of_the_password(mistake: str):
    url = MISTAKES[mistake]
    with pytest.raises(ConfigError) as refused:
        dsn.parameters(url)
    for piece in ("s3c", "cret", "et@", "ret"):
        assert piece not in str(refused.value)
    assert "s3c" not in mask_url(url)


def test_a_command_says_a_mistake_in_the_databases_url_and_nothing_of_the_password(tmp_path: Path):
    url = MISTAKES["a_slash"]
    done = Headrace(tmp_path, {"DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0"})("runs")
    assert done.code == 2
    assert "s3c" not in done.out + done.err


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://u:p@h1,h2:5433/d?target_session_attrs=read-write",
         {"host": "h1,h2", "port": ",5433", "target_session_attrs": "read-write"}),
        ("postgresql://u@%2Frun%2Fpg/d", {"host": "/run/pg"}),
        ("postgresql:///d?host=a:1&host=b:2", {"host": "a,b", "port": "1,2"}),
        ("postgresql+psycopg2://u:p%40%2F@[::1]:5/d", {"host": "::1", "password": "p@/"}),
        ("postgres://u:p%zz@h/d?connect_timeout=2", {"password": "p%zz", "connect_timeout": "2"}),
    ],
)  # fmt: skip
def test_a_url_means_what_it_means_to_libpq(url: str, found: dict[str, str]):
    assert found.items() <= dsn.parameters(url).items()


def test_the_first_of_several_hosts_that_answers_is_taken(debian: Server, place: str):
    url = debian.url_for(place, "etl").replace("127.0.0.1", "127.0.0.1:1,127.0.0.1")
    connect_raw(url, application_name="headrace:test").close()


def test_a_worker_of_another_name_is_found_by_its_sign(debian: Server, place: str):
    url = f"{debian.url_for(place, 'etl')}?application_name=nightly"
    engine = target_engine(NamedConnection(url), "w1")
    with engine.connect() as opened:
        raw = opened.connection.dbapi_connection
        assert raw is not None
        assert end_sessions(url, ["w2"]) == 0
        assert end_sessions(url, ["w1"]) == 1
        with pytest.raises(psycopg2.Error):
            raw.cursor().execute("select 1")
    engine.dispose()
