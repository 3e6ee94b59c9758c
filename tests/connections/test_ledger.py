"""The ledger in targets: what it asks of a role, and what can be done without it."""

from uuid import uuid4

import pytest
from psycopg2.errors import InsufficientPrivilege

from headrace.errors import JobFailure
from tests.connections.conftest import Working, query, run_sql, run_step, value
from tests.support.by_hand import ByHand
from tests.support.places import PASSWORD, Server
from tests.support.roles import create_role


def two_roles(working: Working, debian: Server, place: str) -> ByHand:
    """Return a worker with the connections `first` and `second`, whose roles may fill one table."""
    debian.execute(create_role("second", f"LOGIN PASSWORD '{PASSWORD}'"))
    debian.execute("CREATE TABLE t (n int)", "GRANT INSERT ON t TO etl, second", database=place)
    return working(first=debian.url_for(place, "etl"), second=debian.url_for(place, "second"))


def test_two_roles_work_in_one_database(working: Working, debian: Server, place: str):
    hand = two_roles(working, debian, place)

    rows = [run_sql(hand, "insert into t values (1)", connection=c) for c in ("first", "second")]

    assert [row["status"] for row in rows] == ["completed"] * 2, rows
    assert len(query(debian.url_for(place, "etl"), "select * from headrace.ledger")) == 2


def test_a_ledger_that_is_closed_to_a_role_under_a_worker_is_opened_again(
    working: Working, debian: Server, place: str
):
    hand = two_roles(working, debian, place)
    rows = [run_sql(hand, "insert into t values (1)", connection=c) for c in ("first", "second")]
    debian.execute("REVOKE ALL ON headrace.ledger FROM second", database=place)

    rows.append(run_sql(hand, "insert into t values (2)", connection="second"))

    assert [row["status"] for row in rows] == ["completed"] * 3, rows[-1]["error"]


@pytest.mark.parametrize("other", ["second", "elsewhere", "locked out"])
def test_a_ledger_that_no_other_connection_can_open_stays_closed(
    working: Working, debian: Server, place: str, other: str
):
    two_roles(working, debian, place)
    debian.execute(
        "CREATE SCHEMA headrace AUTHORIZATION postgres",
        "CREATE TABLE headrace.ledger (job_id uuid PRIMARY KEY, attempt int NOT NULL,"
        " applied_at timestamptz NOT NULL DEFAULT now())",
        database=place,
    )
    first = debian.url_for(place, "etl")
    beside = {
        "second": debian.url_for(place, "second"),
        "elsewhere": debian.url_for("postgres", "etl"),
        "locked out": first.replace(PASSWORD, "another"),
    }
    hand = working(first=first, beside=beside[other])

    row = run_sql(hand, "insert into t values (1)", connection="first")

    assert row["status"] == "failed"
    assert 'the role "etl" may not make, or not use, Headrace\'s table' in row["error"]
    assert "GRANT SELECT, INSERT ON headrace.ledger TO" in row["error"]
    debian.execute("DROP SCHEMA headrace CASCADE", database=place)
    again = run_sql(hand, "insert into t values (1)", connection="first")
    assert again["status"] == "completed", "it makes one of its own"


def test_a_ledger_that_is_gone_and_may_not_be_made_anew_is_told_with_the_remedy(
    working: Working, debian: Server, place: str
):
    hand = working(there=debian.url_for(place, "etl"))
    made = run_sql(hand, "create table t (n int)", connection="there")
    debian.execute(f"ALTER DATABASE {place} OWNER TO postgres")
    debian.execute("DROP SCHEMA headrace CASCADE", database=place)

    rows = [run_sql(hand, "insert into t values (1)", connection="there") for _ in range(2)]

    assert made["status"] == "completed"
    assert rows[0]["error"].startswith('in the connection there: the role "etl" may not make')
    for row in rows:
        assert row["status"] == "failed"
        assert "its administrator runs in that database: CREATE SCHEMA" in row["error"], row
    assert query(debian.url_for(place, "etl"), "select * from t") == []


def test_a_part_of_a_job_needs_the_ledger_too(working: Working, debian: Server, place: str):
    debian.execute(f"ALTER DATABASE {place} OWNER TO postgres")
    sessions = working(there=debian.url_for(place, "etl")).executor.sessions
    sessions.begin(uuid4(), 1)

    refusal = "its administrator runs in that database: CREATE SCHEMA"
    with pytest.raises(JobFailure, match=refusal):
        sessions.batch("first", "there").__enter__()


def test_jobs_that_write_need_one_connection_to_their_database(
    working: Working, debian: Server, place: str
):
    hand = working(there=debian.url_for(place, "etl"))

    assert run_sql(hand, "create table t (n int)", connection="there")["status"] == "completed"

    sessions = f"select count(*) from pg_stat_activity where datname = '{place}' and pid <> "
    assert query(debian.url_for(place, "etl"), f"{sessions}pg_backend_pid()") == [(1,)]


def test_a_role_that_no_connection_names_cannot_have_a_job_counted_as_done(
    working: Working, debian: Server, place: str
):
    debian.execute(create_role("outsider", f"LOGIN PASSWORD '{PASSWORD}'"))
    hand = working(there=debian.url_for(place, "etl"))
    assert run_sql(hand, "create table t (n int)", connection="there")["status"] == "completed"
    job = hand.headrace.dispatcher.dispatch(
        "RunSql", {"sql": "insert into t values (1)", "connection": "there"}, retry=0
    )

    with pytest.raises(InsufficientPrivilege):
        query(debian.url_for(place, "outsider"), f"insert into headrace.ledger values ('{job}', 1)")
    hand.work()

    assert query(debian.url_for(place, "etl"), "select n from t") == [(1,)]


def test_the_control_databases_ledger_is_not_open_to_everybody(database: str):
    granted = query(
        database,
        "select grantee from information_schema.role_table_grants"
        " where table_schema = 'headrace' and table_name = 'ledger' and grantee = 'PUBLIC'",
    )
    assert granted == []


def test_a_role_that_may_make_nothing_can_read(working: Working, debian: Server, place: str):
    debian.execute(
        f"REVOKE CREATE ON DATABASE {place} FROM PUBLIC",
        f"ALTER DATABASE {place} OWNER TO postgres",
    )
    debian.execute("CREATE TABLE t (n int)", "GRANT ALL ON t TO etl", database=place)
    hand = working(there=debian.url_for(place, "etl"))

    assert value(run_sql(hand, "select 1", connection="there")) == 1
    refused = run_sql(hand, "insert into t values (1)", connection="there")
    assert refused["status"] == "failed"
    assert 'GRANT SELECT, INSERT ON headrace.ledger TO "etl"' in refused["error"]
    assert "CREATE SCHEMA headrace" in refused["error"]

    made = refused["error"].partition("runs in that database: ")[2].rstrip(";").split("; ")
    debian.execute(*made, database=place)
    again = run_sql(hand, "insert into t values (1)", connection="there")
    assert again["status"] == "completed", again["error"]
    only_reads = "select set_config('transaction_read_only', 'on', true); insert into t values (1)"
    refused = run_sql(hand, only_reads, connection="there")
    assert "in a read-only transaction" in refused["error"]
    assert "headrace.ledger" not in refused["error"], "that was the reason before"


def test_a_schema_that_an_administrator_has_made_is_used(
    working: Working, debian: Server, place: str
):
    debian.execute(f"ALTER DATABASE {place} OWNER TO postgres")
    debian.execute("CREATE SCHEMA headrace AUTHORIZATION etl", "CREATE TABLE t ()", database=place)
    debian.execute("GRANT ALL ON t TO etl", database=place)
    hand = working(there=debian.url_for(place, "etl"))

    row = run_sql(hand, "insert into t default values", connection="there")

    assert row["status"] == "completed", row["error"]


def test_a_database_that_takes_no_writes_can_be_read(working: Working, debian: Server, place: str):
    debian.execute(f"ALTER DATABASE {place} SET default_transaction_read_only = on")
    hand = working(there=debian.url_for(place, "etl"))

    assert value(run_sql(hand, "select 1", connection="there")) == 1
    refused = run_sql(hand, "create table t ()", connection="there")
    assert "takes no writes" in refused["error"]


def test_a_target_that_is_emptied_under_a_worker_gets_its_ledger_again(
    working: Working, debian: Server, place: str
):
    hand = working(there=debian.url_for(place, "etl"))
    first = run_sql(hand, "create table t (n int)", connection="there")
    debian.execute("DROP SCHEMA headrace CASCADE", database=place)

    second = run_sql(hand, "insert into t values (1)", connection="there")

    assert [first["status"], second["status"]] == ["completed", "completed"], second["error"]
    assert len(query(debian.url_for(place, "etl"), "select * from headrace.ledger")) == 1


def test_another_role_may_work_in_the_control_database(working: Working, database: str):
    query(database, create_role("beside", "LOGIN"))
    query(database, "grant beside to current_user with inherit true")
    query(database, "create schema own; grant all on schema own to beside")
    hand = working(beside=database.replace("//headrace@", "//beside@"))

    row = run_sql(hand, "create table own.t ()", connection="beside")

    assert row["status"] == "completed", row["error"]


def test_sql_that_only_reads_leaves_no_row_in_the_ledger(
    working: Working, debian: Server, place: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    url = debian.url_for(place, "etl")
    hand = working(there=url)
    made = run_sql(
        hand,
        "create table t (n int); create function add() returns int language sql as"
        " 'insert into t values (1) returning n'; create view calls as select add() as n",
        connection="there",
    )
    assert made["status"] == "completed", made["error"]

    def signed() -> int:
        return len(query(url, "select * from headrace.ledger"))

    before = signed()
    assert value(run_sql(hand, "select 7; select count(*) from t", connection="there")) == 0
    assert signed() == before

    # What a function does is done, and entered: called by name, or by a view.
    assert "writes after all" not in caplog.text
    assert value(run_sql(hand, "select add()", connection="there")) == 1
    assert value(run_sql(hand, "select n from calls", connection="there")) == 1
    assert (query(url, "select count(*) from t"), signed()) == ([(2,)], before + 2)
    assert "The SQL writes after all: it runs again in a transaction that does" in caplog.text


def test_a_step_works_as_its_role_and_the_ledger_as_the_one_that_logs_in(
    working: Working, debian: Server, place: str, database: str
):
    debian.execute(
        create_role("maker"),
        "GRANT maker TO etl",
    )
    debian.execute("CREATE SCHEMA s AUTHORIZATION maker", database=place)
    url = debian.url_for(place, "etl")
    query(database, create_role("runs_steps"))
    query(database, "grant runs_steps to current_user with set true")
    hand = working(there=url)

    made = run_sql(hand, "create table s.t ()", role="maker", connection="there")
    there = run_sql(hand, "select current_user", role="maker", connection="there")
    outside = run_sql(
        hand, "select current_user", role="maker", connection="there", transaction=False
    )
    here = run_sql(hand, "select current_user", role="runs_steps")
    then = [value(run_sql(hand, "select current_user", **c)) for c in ({"connection": "there"}, {})]

    assert made["status"] == "completed", made["error"]
    assert query(url, "select tableowner from pg_tables where schemaname = 's'") == [("maker",)]
    assert [value(one) for one in (there, outside, here)] == ["maker", "maker", "runs_steps"]
    assert then[0] == "etl"
    assert then[1] != "runs_steps"
    maker = {"role": "maker", "connection": "there"}
    run_sql(hand, "create table s.n (n int); insert into s.n values (1)", **maker)
    steps = [
        ("SyncTable", {"source_table": "s.n", "target_table": "s.copy", "primary_key": "n"}),
        ("DataAggregation", {"table": "s.n", "group_by": "n", "into": "s.totals"}),
        ("AnalyzeTable", {"table": "s.n"}),
        ("DropTable", {"table": "s.n"}),
    ]
    for job, with_ in steps:
        ended = run_step(hand, job, **with_, **maker)
        assert ended["status"] == "completed", (job, ended["error"])
    tables = "select tablename, tableowner from pg_tables where schemaname = 's' order by 1"
    assert query(url, tables) == [(one, "maker") for one in ("copy", "t", "totals")]
    assert value(run_sql(hand, "select current_user", connection="there")) == "etl"
    refused = run_sql(hand, "select 1", role="postgres", connection="there")
    assert 'permission denied to set role "postgres"' in refused["error"]
