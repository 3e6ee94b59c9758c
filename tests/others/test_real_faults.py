"""Failures in three databases as users meet them: YAML, `headrace up`, and what is left there."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.matrix.conftest import wait_ready
from tests.others.conftest import NAMES, Place, place_in
from tests.others.test_waits import duckdb_held
from tests.support.cli import Headrace
from tests.support.mariadb import MariaDb
from tests.support.ports import free_port
from tests.support.processes import wait_until
from tests.support.servers import embedded_servers
from tests.support.up import Up, jobs_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TABLES = (
    "create table t (id int primary key, n int)",
    "insert into t values (1, 0), (2, 0), (3, 0)",
    "create table kept (id int primary key)",
    "create table much (id int primary key)",
    "insert into kept values (1), (2), (3), (4)",
)
IN_SQLITE = (
    "create table long (n text)",
    "create table pair (id integer, b integer, primary key (id, b))",
    "create table parent (id int primary key)",
    "create table child (id int references parent deferrable initially deferred)",
)
# What works until its job is stopped, row 30 inserted and locked before it.
ENDLESS = {
    "sqlite": "insert into t with recursive c(n) as (select 40 union all select n + 1 from c"
    " where n < 9000000000) select n, 0 from c where n < 0",
    "mysql": "update t set n = (select count(*) from seq_1_to_100000000 a, seq_1_to_100000000 b"
    " where a.seq > b.seq) where id = 30",
    "duckdb": "select count(*) from range(100000000000) a where a.range % 7 = sin(a.range)",
}
TWICE = {
    "sqlite": "sqlite (SQLite): UNIQUE constraint failed: t.id",
    "mysql": "mysql (MySQL): Duplicate entry '10' for key 'PRIMARY' (1062)",
    "duckdb": "duckdb (DuckDB): Constraint Error: PRIMARY KEY or UNIQUE constraint violation:"
    ' duplicate key "10"',
}
STOPPED = "timed out: the job ran longer than 1 s and was stopped"
WAITED = {
    "sqlite": "sqlite (SQLite): database is locked; another program writes there: lock_timeout says"
    " how long a job waits",
    "mysql": "mysql (MySQL): Lock wait timeout exceeded; try restarting transaction (1205);"
    " lock_timeout says how long a job waits for a lock",
    "duckdb": "duckdb (DuckDB): IO Error: Could not set lock on file ",
}
_OF_SCHEMA = "select count(*) from information_schema.tables where table_name = 'headrace_ledger'"
LEDGERS = {
    "sqlite": "select count(*) from sqlite_master where name = 'headrace_ledger'",
    "mysql": f"{_OF_SCHEMA} and table_schema = database()",
    "duckdb": _OF_SCHEMA,
}


def sql(step: str, where: str, text: str, limit: int = 0, **with_: Any) -> dict[str, Any]:
    """A step of RunSql that may fail; DuckDB's come one at a time."""
    return {
        "id": step, "job": "RunSql", "with": {"sql": text, "connection": where, **with_},
        "retry": {"limit": limit, "delay": "0.3s", "factor": 1}, "allow_failure": True,
    } | ({"pool": "one"} if where == "duckdb" else {})  # fmt: skip


def failing() -> Iterator[dict[str, Any]]:
    """Yield the steps of the first pipeline; those of one database one after the other."""
    fixed: dict[str, Any] = {"into": "kept"}
    for kind in NAMES:
        steps = [
            sql("twice", kind, "insert into t values (10, 0); insert into t values (10, 0)"),
            sql("alone", kind, "insert into t values (20, 0); select * from nothing",
                transaction=False),
            sql("expects", kind, "select 5 as id", **fixed, expect={"rows": ">1"}),
            sql("keeps", kind, "select 5 as id", **fixed, expect={"max_delete": "50%"}),
            sql("judged", kind, "insert into t values (40, 0)",
                checks=[{"failed_rows": {"query": "select id from t where id = 40"}}]),
            sql("stopped", kind, f"insert into t values (30, 0); {ENDLESS[kind]}")
            | {"timeout": "1s"},
            sql("after", kind, "insert into t values (30, 1)"),
        ]  # fmt: skip
        if kind == "sqlite":
            steps.insert(0, sql("late", kind, "insert into child values (1)"))
        for at, step in enumerate(steps):
            if at:
                step |= {"depends_on": [steps[at - 1]["id"]], "trigger_rule": "all_done"}
            step["id"] = f"{kind}_{step['id']}"
        yield from steps


def waiting() -> Iterator[dict[str, Any]]:
    """Yield the steps of the second one, each of which meets a lock."""
    for kind in NAMES:
        short: dict[str, Any] = {"lock_timeout": "1s" if kind == "mysql" else "0.2s"}
        yield sql(f"{kind}_short", kind, "update t set n = 5 where id = 2", **short)
        yield sql(f"{kind}_tried", kind, "update t set n = n + 7 where id = 2", 99, **short)
    for kind in ("sqlite", "mysql"):
        yield sql(f"{kind}_patient", f"patient_{kind}", "update t set n = n + 10 where id = 2")
    yield sql("first_there", "fresh", "insert into t values (1)", lock_timeout="0.2s")
    both = (1, 3)
    yield sql("deadlock", "mysql", "; ".join(f"update t set n = 9 where id = {n}" for n in both), 9)


# What others of them once stored otherwise, or not at all.
ODD = (
    "create table public.odd (id int primary key, at time, n numeric)",
    "insert into public.odd values (1, '00:30:15.25', -9223372036854775808)",
)
MORE_DIGITS = 123456789012345678901


def values() -> Iterator[dict[str, Any]]:
    """Yield the steps of the third one, each of which writes one of these values."""
    from_here = {"source_table": "public.odd", "primary_key": "id"}
    copies = {
        "midnight": from_here | {"target_connection": "mysql", "target_table": "odd"},
        "least": from_here | {"target_connection": "sqlite", "target_table": "odd"},
        # `b` of its key does not number itself.
        "pairs": from_here
        | {"target_connection": "sqlite", "target_table": "pair", "select": ["id"]},
        "era": {"source_connection": "duckdb", "source_table": "word", "primary_key": "id",
                "target_table": "public.word"},
    }  # fmt: skip
    for step, with_ in copies.items():
        yield {"id": step, "job": "SyncTable", "with": with_, "retry": {"limit": 0},
               "allow_failure": True}  # fmt: skip
    insert = "insert into long values ({{ params.n }})"
    yield sql("digits", "sqlite", insert, params={"n": MORE_DIGITS})


@dataclass
class Stand:
    """A running `headrace up` with its three places; `fresh` is a file without a ledger."""

    up: Up
    places: dict[str, Place]
    folder: Path
    mariadb: MariaDb

    def told(self, run: dict[str, Any]) -> dict[str, tuple[str, int, str]]:
        """Return status, attempts and error of each step."""
        jobs = {step: self.up.http.ask(f"/jobs/{job['id']}") for step, job in jobs_of(run).items()}
        return {
            step: (job["status"], job["attempt"], job["error"] or "") for step, job in jobs.items()
        }

    def first_error(self, run: dict[str, Any], step: str) -> str:
        job = jobs_of(run)[step]["id"]
        return str(self.up.http.ask(f"/jobs/{job}/attempts")["items"][0]["error"])

    def session(self) -> "pymysql.Connection[Any]":
        """Open a session of someone else's in MariaDB."""
        return self.mariadb.session(self.places["mysql"].url.rpartition("/")[2])


@pytest.fixture(scope="module")
def stand(mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("faults")
    places = {kind: place_in(folder, kind, lambda: mariadb, "real faults") for kind in NAMES}
    for kind, place in places.items():
        place.query(*TABLES, *(IN_SQLITE if kind == "sqlite" else ()))
    places["duckdb"].query(
        "create table word (id int primary key, said text)", "insert into word values (1, 'x (BC)')"
    )
    with closing(sqlite3.connect(folder / "fresh.sqlite")) as fresh:
        fresh.execute("create table t (id int)")
    # More than the databases count.
    patient = {"lock_timeout": "400d", "statement_timeout": "400d"}
    urls: dict[str, Any] = {kind: place.url for kind, place in places.items()}
    urls |= {f"patient_{kind}": {"url": urls[kind], **patient} for kind in ("sqlite", "mysql")}
    urls["fresh"] = "sqlite:///fresh.sqlite"
    config = {"connections": urls, "pools": {"one": 1}, "kill_after": "3s"}
    (folder / "config.yaml").write_text(json.dumps(config))
    (folder / "pipelines").mkdir()
    for name, steps in (("fails", failing()), ("waits", waiting()), ("values", values())):
        text = json.dumps({"name": name, "steps": list(steps)})
        (folder / "pipelines" / f"{name}.yaml").write_text(text)
    environ = {"HEADRACE_HOME": str(folder / "home"), "HEADRACE_PORT": str(free_port())}
    with ExitStack() as stack:
        own = stack.enter_context(embedded_servers(folder / "home"))
        headrace = Headrace(folder, environ)
        up = Up(headrace, own.database_url)
        for statement in ODD:
            up.query(statement)
        running = stack.enter_context(headrace.started("up", "--workers", "4"))
        wait_ready(up.http, running)
        yield Stand(up, places, folder, mariadb)
        running.stop()


def entries(stand: Stand) -> dict[str, int]:
    """Return how many effects each place has noted; it may have no ledger yet."""
    counted = dict.fromkeys(stand.places, 0)
    for kind, place in stand.places.items():
        if place.query(LEDGERS[kind]) != [(0,)]:
            counted[kind] = place.query("select count(*) from headrace_ledger")[0][0]
    return counted


def test_what_fails_says_why_and_leaves_nothing_there(stand: Stand) -> None:
    before = entries(stand)
    told = stand.told(stand.up.run("fails"))

    late = "sqlite (SQLite): FOREIGN KEY constraint failed"
    assert told.pop("sqlite_late") == ("failed", 1, late)
    assert stand.places["sqlite"].query("select count(*) from child") == [(0,)]
    for kind, place in stand.places.items():
        assert told[f"{kind}_twice"] == ("failed", 1, TWICE[kind])
        assert "nothing" in told[f"{kind}_alone"][2]
        assert told[f"{kind}_expects"][2] == (
            "1 rows have come for kept, but expect.rows is '>1': nothing is saved"
        )
        assert told[f"{kind}_keeps"][2] == (
            "3 of the 4 rows of kept would be deleted, but expect.max_delete is 50%: nothing is"
            " saved"
        )
        assert told[f"{kind}_judged"][2] == "failed_rows: 1, must be 0: 1 row (id=40)"
        assert told[f"{kind}_stopped"] == ("failed", 1, STOPPED)
        # Its lock ends with the job, also where the server is still at its statement.
        assert told[f"{kind}_after"] == ("completed", 1, "")
        # Without a transaction each statement is committed.
        assert place.query("select id, n from t where id > 3 order by id") == [(20, 0), (30, 1)]
        assert place.query("select count(*) from kept") == [(4,)]
    assert entries(stand) == {kind: count + 1 for kind, count in before.items()}


@contextmanager
def locked(stand: Stand) -> Iterator["pymysql.cursors.Cursor"]:
    """Hold a lock in each place, and yield who has changed row 3 in MariaDB, and much else."""
    with ExitStack() as held:
        for name in ("shop.sqlite", "fresh.sqlite"):
            opened = sqlite3.connect(stand.folder / name, isolation_level=None)
            held.enter_context(closing(opened)).execute("begin immediate")
        other = held.enter_context(closing(stand.session()))
        other.cursor().execute("select * from t where id = 2 for update")
        partner = held.enter_context(closing(stand.session())).cursor()
        # Of two who wait for each other the one that has done more lives on.
        partner.execute("insert into much select seq from seq_100_to_400")
        partner.execute("update t set n = 1000 where id = 3")
        held.enter_context(duckdb_held(stand.folder / "shop.duckdb"))
        yield partner


def test_who_meets_a_lock_waits_fails_and_is_tried_again(stand: Stand) -> None:
    before = entries(stand)
    with locked(stand) as partner:
        run_id = stand.up.start("waits")
        wait_until(lambda: _waits_for(stand.mariadb, "id = 3"), limit_s=60)
        partner.execute("update t set n = 1000 where id = 1")
        partner.connection.commit()
        wait_until(lambda: _all_met(stand, run_id), limit_s=60)
    run = stand.up.wait(run_id)

    told = stand.told(run)
    for kind, place in stand.places.items():
        status, attempts, error = told[f"{kind}_short"]
        assert (status, attempts, error.startswith(WAITED[kind])) == ("failed", 1, True), error
        assert told[f"{kind}_tried"][::2] == ("completed", "")
        assert stand.first_error(run, f"{kind}_tried").startswith(WAITED[kind])
        patient = 0 if kind == "duckdb" else 1
        assert place.query("select n from t where id = 2") == [(7 + 10 * patient,)]
        completed = 1 + patient + (kind == "mysql")
        assert entries(stand)[kind] == before[kind] + completed
    assert told["sqlite_patient"] == told["mysql_patient"] == ("completed", 1, "")
    # Nobody has to make a table because a file was locked.
    assert told["first_there"] == ("failed", 1, WAITED["sqlite"].replace("sqlite (", "fresh ("))
    status, attempts, error = told["deadlock"]
    # More where it meets its partner once more.
    assert (status, attempts > 1, error) == ("completed", True, "")
    assert stand.first_error(run, "deadlock") == (
        "mysql (MySQL): Deadlock found when trying to get lock; try restarting transaction (1213)"
    )
    assert stand.places["mysql"].query("select n from t where id in (1, 3)") == [(9,), (9,)]


def test_values_that_were_lost_arrive(stand: Stand) -> None:
    told = stand.told(stand.up.run("values"))

    status, _, error = told.pop("pairs")
    assert (status, error.startswith("pair.b needs a value")) == ("failed", True), error
    assert {step: one for step, one in told.items() if one != ("completed", 1, "")} == {}
    sqlite = stand.places["sqlite"]
    assert stand.places["mysql"].query("select cast(at as char) from odd") == [("00:30:15.250000",)]
    assert sqlite.query("select typeof(n), n from odd") == [("integer", -(2**63))]
    assert sqlite.query("select n from long") == [(str(MORE_DIGITS),)]
    assert stand.up.query("select said from public.word") == [("x (BC)",)]
    assert sqlite.query("select * from pair") == []


def _waits_for(mariadb: MariaDb, text: str) -> bool:
    asked = "select count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT'"
    return bool(mariadb.execute(f"{asked} and trx_query like '%{text}'")[0][0])


def _all_met(stand: Stand, run_id: str) -> bool:
    """Return whether each step has met its lock: one attempt is over, or it is still waiting."""
    told = stand.told(stand.up.http.ask(f"/runs/{run_id}"))
    over = [step for step in told if step.endswith(("_short", "_there"))]
    return (
        all(told[step][0] == "failed" for step in over)
        and all(told[f"{kind}_tried"][2] for kind in NAMES)
        and all(told[f"{kind}_patient"][0] == "started" for kind in ("sqlite", "mysql"))
    )
