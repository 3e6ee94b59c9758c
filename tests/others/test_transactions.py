"""An attempt's transaction in another database: who ends it, who opens it, what it may do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from headrace.errors import JobFailure, RefusedSql, TransactionEnded
from headrace.jobs.run_sql import RunSql
from headrace.model.connection import NamedConnection
from headrace.store.attempt_transaction import EffectApplied
from headrace.store.attempts import AttemptStore
from headrace.store.others.line import Line
from headrace.store.sessions import JobSessions
from headrace.template import RenderedSql
from headrace.template.guard import JobGuard
from tests.others.conftest import Place, Places, Runs
from tests.support.mariadb import MariaDb

ENDED = (
    "its SQL ended the transaction on the connection there; what it did before may be committed"
    " there"
)
LEDGER = "select attempt from headrace_ledger"


@contextmanager
def attempt_at(place: Place, database: str) -> Iterator[JobSessions]:
    """The sessions of an attempt that may name the place `there`."""
    store = AttemptStore(database, "tests")
    sessions = JobSessions(store, {"there": NamedConnection(place.url)}, JobGuard(), "tests")
    sessions.begin(uuid4(), 1)
    try:
        yield sessions
    finally:
        sessions.roll_back()
        store.drop()


@pytest.fixture
def sessions(place: Place, database: str) -> Iterator[JobSessions]:
    place.query("create table t (id int primary key)")
    with attempt_at(place, database) as made:
        yield made


@pytest.fixture
def in_mysql(places: Places, database: str) -> Iterator[tuple[Place, JobSessions]]:
    place = places("mysql")
    place.query("create table t (id int primary key)")
    with attempt_at(place, database) as made:
        yield place, made


@pytest.fixture
def in_sqlite(places: Places, database: str) -> Iterator[tuple[Place, JobSessions]]:
    place = places("sqlite")
    place.query("create table t (id int primary key)")
    with attempt_at(place, database) as made:
        yield place, made


def run(line: Line, sql: str) -> Any:
    return line.run(RenderedSql(sql, {}))


def test_a_transaction_that_a_statement_has_rolled_back_is_not_completed(
    in_sqlite: tuple[Place, JobSessions],
) -> None:
    place, sessions = in_sqlite
    place.query("insert into t values (1)")
    with sessions.other("there") as line:
        run(line, "insert into t values (2)")
        # The job swallows the error. What it does from now on is committed at once.
        with pytest.raises(JobFailure, match=r"^there \(SQLite\): UNIQUE constraint failed: t.id$"):
            run(line, "insert or rollback into t values (1)")
        run(line, "insert into t values (3)")

    with pytest.raises(TransactionEnded):
        sessions.commit_targets()

    line.close()  # Who ended it is known by now.
    sessions.roll_back()
    assert sessions.verdict() == ENDED
    assert place.query("select id from t order by id") == [(1,), (3,)]
    assert place.query(LEDGER) == []
    sessions.begin(uuid4(), 1)
    assert sessions.verdict() is None, "that was the attempt before"


def test_what_a_job_is_told_whose_statement_has_ended_the_transaction(
    run: Runs, places: Places
) -> None:
    place = places("sqlite")
    run.connections["there"] = place.url
    place.query("create table t (id int primary key)", "insert into t values (1)")

    error = run.failed(
        RunSql,
        sql="insert into t values (2); insert or rollback into t values (1)",
        connection="there",
    )

    assert error == f"{ENDED}\nthere (SQLite): UNIQUE constraint failed: t.id"


def test_a_procedure_that_commits_ends_the_transaction_in_mysql(
    run: Runs, places: Places, mariadb: MariaDb
) -> None:
    place = places("mysql")
    run.connections["there"] = place.url
    database = place.url.rpartition("/")[2]
    mariadb.execute(
        "create table t (id int)",
        "create procedure committing() begin insert into t values (1); commit; end",
        database=database,
    )

    error = run.failed(RunSql, sql="call committing()", connection="there")

    assert error.partition("\n")[0] == ENDED
    assert place.query("select id from t") == [(1,)]
    assert place.query(LEDGER) == []


@pytest.mark.parametrize("kind", ["sqlite", "mysql"])
def test_an_error_that_a_job_swallows_does_not_end_its_transaction(
    places: Places, database: str, kind: str
) -> None:
    place = places(kind)
    place.query("create table t (id int primary key)")
    with attempt_at(place, database) as sessions:
        with sessions.other("there") as line:
            run(line, "insert into t values (1)")
            with pytest.raises(JobFailure):
                run(line, "insert into t values (1)")
        sessions.commit_targets()
        assert sessions.verdict() is None

    assert place.query("select id from t") == [(1,)]
    assert place.query(LEDGER) == [(1,)]


def test_after_an_error_duckdb_commits_nothing_and_says_so(places: Places, database: str) -> None:
    place = places("duckdb")
    place.query("create table t (id int primary key)")
    with attempt_at(place, database) as sessions:
        with sessions.other("there") as line:
            run(line, "insert into t values (1)")
            with pytest.raises(JobFailure):
                run(line, "insert into t values (1)")

        with pytest.raises(JobFailure, match=r"^there \(DuckDB\): .*transaction is aborted"):
            sessions.commit_targets()

        sessions.roll_back()
        assert sessions.verdict() is None
    assert place.query("select id from t") == []


def test_a_constraint_that_is_checked_at_the_end_fails_the_job(run: Runs, places: Places) -> None:
    place = places("sqlite")
    run.connections["there"] = place.url
    place.query(
        "create table parent (id int primary key)",
        "create table child (id int references parent deferrable initially deferred)",
    )

    error = run.failed(RunSql, sql="insert into child values (1)", connection="there")

    assert error == "there (SQLite): FOREIGN KEY constraint failed"
    assert place.query("select * from child") == []


def test_who_comes_second_with_an_effect_undoes_it(in_mysql: tuple[Place, JobSessions]) -> None:
    place, sessions = in_mysql
    job = uuid4()
    sessions.begin(job, 2)
    with sessions.other("there") as line:
        run(line, "insert into t values (2)")
    # The attempt before had only been paused.
    place.query(
        "insert into t values (1)",
        f"insert into headrace_ledger (job_id, attempt) values ('{job}', 1)",
    )

    with pytest.raises(EffectApplied):
        sessions.commit_targets()

    sessions.roll_back()
    assert sessions.verdict() is None
    assert place.query("select id from t") == [(1,)]
    assert place.query(LEDGER) == [(1,)]


def test_that_an_effect_is_there_already_is_told_whenever_the_database_is_opened(
    in_sqlite: tuple[Place, JobSessions],
) -> None:
    place, sessions = in_sqlite
    job = uuid4()
    sessions.begin(job, 1)
    with sessions.other("there") as line:
        run(line, "insert into t values (1)")
    sessions.commit_targets()

    sessions.begin(job, 2)
    for _ in range(2):
        with pytest.raises(EffectApplied):
            sessions.other("there").__enter__()
    sessions.commit_targets()

    assert place.query(LEDGER) == [(1,)]


def test_a_connection_that_is_lost_before_the_commit_is_told_with_its_name(
    in_mysql: tuple[Place, JobSessions], mariadb: MariaDb
) -> None:
    place, sessions = in_mysql
    with sessions.other("there") as line:
        run(line, "insert into t values (1)")
        ((number,),) = list(run(line, "select connection_id()"))
    mariadb.execute(f"kill {number}")

    with pytest.raises(JobFailure, match=r"^there \(MySQL\): "):
        sessions.commit_targets()

    sessions.roll_back()
    assert sessions.verdict() is None
    assert place.query("select id from t") == []


def test_what_else_goes_wrong_with_the_mark_is_no_ended_transaction(
    in_sqlite: tuple[Place, JobSessions],
) -> None:
    place, sessions = in_sqlite
    with sessions.other("there") as line:
        run(line, "insert into t values (1)")
        raw = line._raw  # An interruption cannot be had otherwise.
        raw.set_progress_handler(lambda: 1, 1)

        with pytest.raises(JobFailure, match=r"^there \(SQLite\): interrupted$"):
            sessions.commit_targets()

        raw.set_progress_handler(None, 1)
    sessions.roll_back()
    assert sessions.verdict() is None
    assert place.query("select id from t") == []


def test_who_reads_first_may_write_afterwards_but_not_meanwhile(
    place: Place, sessions: JobSessions
) -> None:
    with sessions.other("there", read_only=True) as line:
        assert list(run(line, "select count(*) from t")) == [(0,)]
        refusal = "there is being read: a job that writes there opens it first"
        with pytest.raises(JobFailure, match=f"^{refusal}$"), sessions.other("there"):
            pass
        with sessions.other("there", read_only=True) as again:
            assert again is line

    with sessions.other("there") as line:
        run(line, "insert into t values (1)")
        with sessions.other("there", read_only=True) as again:
            assert again is line
    sessions.commit_targets()

    assert place.query("select id from t") == [(1,)]
    assert place.query(LEDGER) == [(1,)]


def test_a_statement_of_its_own_needs_a_step_of_its_own(
    place: Place, sessions: JobSessions
) -> None:
    with sessions.other("there") as line:
        run(line, "insert into t values (1)")

    refusal = "the job's transaction on there is open: use a step of its own"
    with pytest.raises(JobFailure, match=f"^{refusal}$"), sessions.other_alone("there"):
        pass

    sessions.roll_back()
    assert place.query("select id from t") == []
    with sessions.other_alone("there") as line:
        run(line, "insert into t values (2)")
    assert place.query("select id from t") == [(2,)]


def test_one_statement_is_sent_at_a_time(place: Place, sessions: JobSessions) -> None:
    with sessions.other("there") as line:
        with pytest.raises(RefusedSql, match=r"^one statement is wanted here, not several$"):
            run(line, "delete from t; delete from t")
        if place.kind == "duckdb":
            # What PostgreSQL's rules take for a body that has not ended.
            hidden = 'create function f() as table select t.begin atomic from (select 1 as "begin")'
            with pytest.raises(RefusedSql, match=r"^one statement is wanted here, not 2$"):
                run(line, f"{hidden} t; insert into t values (1)")
    sessions.commit_targets()
    assert place.query("select id from t") == []


def test_a_role_is_refused_where_there_are_none(place: Place, sessions: JobSessions) -> None:
    product = {"sqlite": "SQLite", "mysql": "MySQL", "duckdb": "DuckDB"}[place.kind]
    with pytest.raises(JobFailure, match=f"^role does not work in {product}, only in PostgreSQL$"):
        sessions.work_as(("there", "somebody"))
