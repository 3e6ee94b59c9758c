"""What a job's session is: what URL, role and database say, and what must hold besides."""

import threading
from contextlib import closing
from typing import Any

import pytest

from headrace.model.connection import NamedConnection
from tests.connections.conftest import Working, query, run_sql, value
from tests.support.places import Server
from tests.support.processes import wait_until
from tests.support.roles import create_role
from tests.support.servers import connect

BERLIN = "select current_setting('timezone')"


def test_a_session_has_the_zone_of_its_database(working: Working, debian: Server, place: str):
    debian.execute(f"ALTER DATABASE {place} SET timezone = 'Europe/Berlin'")
    hand = working(there=debian.url_for(place, "etl"))

    assert value(run_sql(hand, BERLIN, connection="there")) == "Europe/Berlin"
    made = "create table t as select timestamptz '2026-07-01 00:30' as at"
    assert run_sql(hand, made, connection="there")["status"] == "completed"
    seen = query(debian.url_for(place, "etl"), "select at::text from t")
    assert seen == [("2026-07-01 00:30:00+02",)]


def test_the_control_database_has_its_own_zone_for_jobs(working: Working, database: str):
    name = query(database, "select current_database()")[0][0]
    query(database, f"alter database \"{name}\" set timezone = 'Asia/Tokyo'")
    hand = working()

    row = run_sql(hand, BERLIN)

    assert value(row) == "Asia/Tokyo"
    assert str(row["finished_at"].tzinfo) == "UTC"


def test_a_connection_may_have_a_zone_of_its_own(working: Working, debian: Server, place: str):
    url = debian.url_for(place, "etl")
    hand = working(there=NamedConnection(url, timezone="America/New_York"))

    for _ in range(2):
        assert value(run_sql(hand, BERLIN, connection="there")) == "America/New_York"


def test_what_a_url_says_is_respected(working: Working, debian: Server, place: str):
    options = "-c%20lock_timeout%3D2s%20-c%20search_path%3Dx,public%20-c%20work_mem%3D9MB"
    url = f"{debian.url_for(place, 'etl')}?options={options}&application_name=nightly"
    hand = working(there=url)
    names = ("lock_timeout", "search_path", "work_mem", "application_name")
    sql = "select " + ", ".join(f"current_setting('{name}') {name}" for name in names)

    for _ in range(2):
        row = run_sql(hand, sql, connection="there")["result"]["rows"][0]
        assert [row[name] for name in names] == ["2s", "x, public", "9MB", "nightly"]


def test_what_holds_for_one_connection_does_not_hold_for_the_next(
    working: Working, debian: Server, place: str
):
    of_there = f"{debian.url_for(place, 'etl')}?options=-c%20search_path%3Dx,public"
    of_other = NamedConnection(debian.url_for(place, "etl"), lock_timeout_s=9)
    hand = working(there=of_there, other=of_other)
    asked = "select current_setting('search_path') || ' ' || current_setting('lock_timeout')"
    alone = "create index concurrently if not exists i on t (n); " + asked
    debian.execute("CREATE TABLE public.t (n int); ALTER TABLE public.t OWNER TO etl",
                   database=place)  # fmt: skip

    def said(sql: str, connection: str | None = None, **with_: Any) -> str:
        named = {"connection": connection} if connection else {}
        return str(value(run_sql(hand, sql, **named, **with_)))

    for _ in range(2):
        assert said(asked).endswith(" 5s")
        assert said(asked, "there") == "x, public 5s"
        assert said(asked, "other").endswith("public 9s")
        # What waits for others by itself waits for as long as that takes, unless it is told.
        assert said(alone, "there", transaction=False) == "x, public 0"
        assert said(alone, "other", transaction=False).endswith("public 9s")


def test_floats_keep_their_digits_whatever_a_role_says(
    working: Working, debian: Server, place: str
):
    debian.execute(f"ALTER DATABASE {place} SET extra_float_digits = -3")
    hand = working(there=debian.url_for(place, "etl"))

    assert value(run_sql(hand, "select (0.1::float8 + 0.2)::text", connection="there")) == str(
        0.1 + 0.2
    )


def test_dates_and_spans_are_read_whatever_style_a_role_has(
    working: Working, debian: Server, place: str
):
    debian.execute(
        f"ALTER DATABASE {place} SET datestyle = 'German'",
        f"ALTER DATABASE {place} SET intervalstyle = 'iso_8601'",
    )
    hand = working(there=debian.url_for(place, "etl"))

    for _ in range(2):
        row = run_sql(hand, "select date '2026-02-01' d, interval '90 s' s", connection="there")
        assert row["result"]["rows"] == [{"d": "2026-02-01", "s": 90.0}]


@pytest.mark.parametrize("name", [None, "there"])
def test_a_wait_for_a_lock_ends_and_says_who_holds_it(
    working: Working, debian: Server, place: str, database: str, name: str | None
):
    url = debian.url_for(place, "etl")
    hand = working(there=url)
    query(url if name else database, "create table waited_for ()")
    with closing(connect(url if name else database)) as reader, reader.cursor() as cursor:
        cursor.execute("set application_name = 'a report'")
        cursor.execute("begin; select * from waited_for")
        row = run_sql(hand, "truncate waited_for", connection=name, lock_timeout="0.3s")

    assert row["status"] == "failed"
    assert "a report" in row["error"]
    assert "public.waited_for" in row["error"]
    assert "lock_timeout in the step's `with`" in row["error"]


@pytest.mark.parametrize(
    ("given", "limit"),
    [(None, "5s"), (NamedConnection("", lock_timeout_s=7), "7s"), (NamedConnection("", 0), "0")],
)
def test_how_long_a_lock_is_waited_for_is_said_by_the_connection(
    working: Working, debian: Server, place: str, given: NamedConnection | None, limit: str
):
    url = debian.url_for(place, "etl")
    hand = working(there=NamedConnection(url, given.lock_timeout_s if given else None))
    asked = "select current_setting('lock_timeout')"

    assert value(run_sql(hand, asked, connection="there")) == limit
    assert value(run_sql(hand, asked, connection="there", lock_timeout="1m")) == "1min"
    assert value(run_sql(hand, asked, connection="there")) == limit
    assert value(run_sql(hand, asked)) == "5s"


LEFT = {
    "role": "set role other",
    "local_role": "set local role other",
    "search_path": "set search_path = hostile, pg_catalog",
    "local_path": "set local search_path = ''",
    "timeouts": "set statement_timeout = 100",
    "zone": "set timezone = 'Asia/Tokyo'",
    "function": "select public.leave_a_role()",
}


@pytest.mark.parametrize("name", [None, "there"])
@pytest.mark.parametrize("left", LEFT)
def test_what_a_job_leaves_in_its_session_does_not_reach_the_bookkeeping(
    working: Working, debian: Server, place: str, database: str, name: str | None, left: str
):
    admin = debian.url.replace("/postgres?", f"/{place}?") if name else database
    query(admin, create_role("other"))
    query(admin, "grant other to current_user" if name is None else "grant other to etl")
    query(
        admin,
        "create schema hostile; grant usage on schema hostile to public;"
        "create function hostile.clock_timestamp() returns timestamptz immutable language sql"
        " as $$ select timestamptz '1999-01-01' $$;"
        "create function hostile.pg_current_xact_id_if_assigned() returns xid8 language sql"
        " as $$ select null::xid8 $$;"
        "create function public.leave_a_role() returns text language sql"
        " as $$ select pg_catalog.set_config('role', 'other', true) $$",
    )
    hand = working(there=debian.url_for(place, "etl"))

    first = run_sql(hand, LEFT[left], connection=name)
    second = run_sql(
        hand, "select current_user::text, current_setting('search_path')", connection=name
    )

    assert first["status"] == "completed", first["error"]
    assert first["finished_at"].year > 2000
    assert second["result"]["rows"][0]["current_user"] != "other"
    assert "hostile" not in str(second["result"])
    query(admin, "drop schema hostile cascade; drop function public.leave_a_role()")


def test_a_hostile_search_path_of_the_role_does_not_reach_the_bookkeeping(
    working: Working, database: str
):
    name = query(database, "select current_database()")[0][0]
    query(
        database,
        "create schema hostile;"
        "create function hostile.clock_timestamp() returns timestamptz immutable language sql"
        " as $$ select timestamptz '1999-01-01' $$;"
        "create function hostile.same(uuid, uuid) returns boolean language sql"
        " as $$ select false $$;"
        "create operator hostile.= (leftarg = uuid, rightarg = uuid, function = hostile.same);"
        "create table hostile.pg_stat_activity ();"
        f'alter role current_user in database "{name}"'
        " set search_path = hostile, public, pg_catalog",
    )
    hand = working()

    row = run_sql(hand, "select current_setting('search_path')")

    assert value(row) == "hostile, public, pg_catalog"
    assert row["finished_at"].year > 2000


def test_a_limit_of_the_role_on_idle_transactions_does_not_end_a_job(
    working: Working, debian: Server, place: str
):
    debian.execute(f"ALTER DATABASE {place} SET idle_in_transaction_session_timeout = '200ms'")
    hand = working(there=debian.url_for(place, "etl"))
    job = hand.headrace.dispatcher.dispatch(
        "tests.support.jobs_effects.IdleJob", {"seconds": 0.6, "connection": "there"}, retry=0
    )

    hand.work()

    row = hand.headrace.database.row("job", id=job)
    assert row is not None
    assert row["status"] == "completed", row["error"]


def test_a_session_that_a_job_has_lost_is_told_with_the_servers_reason(
    working: Working, debian: Server, place: str
):
    url = debian.url_for(place, "etl")
    hand = working(there=url)
    ends = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'headrace:by-hand' and state = 'active'"
        " and datname = current_database() and now() - query_start > interval '1 s'"
    )
    killer = threading.Thread(target=wait_until, args=(lambda: query(url, ends),))
    killer.start()

    row = run_sql(hand, "select pg_sleep(20)", connection="there")
    killer.join()

    assert row["status"] == "failed"
    assert "terminating connection due to administrator command" in row["error"]


def test_a_character_that_a_target_lacks_is_named(working: Working, debian: Server, place: str):
    clauses = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0 OWNER etl"
    debian.execute(f"CREATE DATABASE {place}_l1 {clauses}")
    hand = working(there=debian.url_for(f"{place}_l1", "etl"))

    right = run_sql(hand, "create table t as select 'José' as n", connection="there")
    wrong = run_sql(hand, "insert into t values ('5 €')", connection="there")

    assert right["status"] == "completed", right["error"]
    octets = query(
        debian.url_for(f"{place}_l1", "etl"), "select encode(convert_to(n, 'LATIN1'), 'hex') from t"
    )
    assert octets == [("4a6f73e9",)]
    assert "the character € (U+20AC) does not exist in LATIN1" in wrong["error"]


@pytest.mark.parametrize(
    ("sql", "limit"),
    [("select 1; select current_setting('lock_timeout')", "5s"),
     ("drop index concurrently if exists nothing; select current_setting('lock_timeout')", "0")],
)  # fmt: skip
def test_what_runs_concurrently_waits_as_long_as_it_takes(
    working: Working, debian: Server, place: str, sql: str, limit: str
):
    hand = working(there=debian.url_for(place, "etl"))

    assert value(run_sql(hand, sql, connection="there", transaction=False)) == limit
    row = run_sql(hand, sql, connection="there", transaction=False, lock_timeout="3s")
    assert value(row) == "3s"


@pytest.mark.parametrize(
    ("of_url", "of_role", "limit"),
    [("2s", None, "2s"), (None, "4s", "4s"), ("2s", "4s", "2s"), ("0", "4s", "0")],
)  # fmt: skip
def test_what_runs_concurrently_waits_as_long_as_a_url_or_a_role_says(
    working: Working,
    debian: Server,
    place: str,
    of_url: str | None,
    of_role: str | None,
    limit: str,
):
    url = debian.url_for(place, "etl")
    if of_url is not None:
        url += f"?options=-c%20lock_timeout%3D{of_url}"
    if of_role is not None:
        debian.execute(f"ALTER ROLE etl IN DATABASE {place} SET lock_timeout = '{of_role}'")
    hand = working(there=url)
    sql = "drop index concurrently if exists nothing; select current_setting('lock_timeout')"

    for _ in range(2):
        assert value(run_sql(hand, sql, connection="there", transaction=False)) == limit


def test_what_runs_concurrently_waits_as_long_as_the_control_database_says(
    working: Working, database: str
):
    name = query(database, "select current_database()")[0][0]
    query(database, f"alter database \"{name}\" set lock_timeout = '4s'")
    sql = "drop index concurrently if exists nothing; select current_setting('lock_timeout')"

    assert value(run_sql(working(), sql, transaction=False)) == "4s"


def test_an_autocommit_job_leaves_nothing_to_the_bookkeeping(working: Working):
    hand = working()

    row = run_sql(hand, "set search_path = ''; set statement_timeout = 100", transaction=False)

    assert row["status"] == "completed", row["error"]
    assert value(run_sql(hand, "select current_setting('statement_timeout')")) == "0"


def test_a_connection_may_say_role_search_path_and_statement_timeout(
    working: Working, debian: Server, place: str
):
    debian.execute(
        "DROP ROLE IF EXISTS owner_of_data",
        "CREATE ROLE owner_of_data NOLOGIN",
        "GRANT owner_of_data TO etl",
        f"GRANT CREATE ON DATABASE {place} TO owner_of_data",
    )
    debian.execute('CREATE SCHEMA "Data" AUTHORIZATION owner_of_data', database=place)
    url = debian.url_for(place, "etl")
    hand = working(
        there=NamedConnection(
            url, role="owner_of_data", search_path=("Data", "public"), statement_timeout_s=90
        )
    )
    asked = "select current_user::text a, current_setting('statement_timeout') b"

    for number in range(2):
        row = run_sql(hand, f"create table t{number} (n int); {asked}", connection="there")
        assert row["result"]["rows"] == [{"a": "owner_of_data", "b": "90s"}], row["error"]
    alone = run_sql(hand, "create table t2 (n int)", connection="there", transaction=False)
    assert alone["status"] == "completed", alone["error"]

    owners = "select tablename::text, tableowner::text from pg_tables"
    where = " where schemaname = 'Data' order by 1"
    assert query(url, owners + where) == [(f"t{n}", "owner_of_data") for n in range(3)]
    (owner,) = query(url, "select tableowner::text from pg_tables where tablename = 'ledger'")
    assert owner == ("etl",)
    debian.execute("REASSIGN OWNED BY owner_of_data TO etl", database=place)
