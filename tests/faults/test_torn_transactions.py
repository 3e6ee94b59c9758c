"""No text of a job's ends the transaction that its completion belongs to (I16)."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis

from headrace.store.embedded import Servers
from tests.support.cluster import Cluster, cluster_on
from tests.support.servers import create_database, database_name, drop_database

_TABLES = """
CREATE TABLE public.torn (tag text UNIQUE);
CREATE TYPE public.atomic AS ENUM ('a');
CREATE TABLE public.parent (id integer PRIMARY KEY);
CREATE TABLE public.child (
    id integer REFERENCES public.parent DEFERRABLE INITIALLY DEFERRED
);
CREATE PROCEDURE public.committing() LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.torn VALUES ('procedure'); COMMIT; END $$;
"""
_TAGS = count(1)
STANDS = "its SQL ended the transaction; its earlier changes are committed"


@pytest.fixture(scope="module")
def target(servers: Servers) -> Iterator[str]:
    url = create_database(servers.database_url)
    _prepare(url)
    yield url
    drop_database(servers.database_url, url)


@pytest.fixture(scope="module")
def cluster(
    servers: Servers,
    template_database: str,
    target: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """One worker for all of these tests."""
    with redis.Redis.from_url(servers.redis_url) as client:
        client.flushdb()
    url = create_database(servers.database_url, template=database_name(template_database))
    _prepare(url)
    folder: Path = tmp_path_factory.mktemp("torn")
    config = {"connections": {"target": target}}
    with cluster_on(Servers(url, servers.redis_url), folder, config=config) as made:
        made.daemon()
        made.worker()
        yield made
        made.check()
    drop_database(servers.database_url, url)


def _prepare(url: str) -> None:
    opened = psycopg2.connect(url)
    with opened, opened.cursor() as cursor:
        cursor.execute(_TABLES)
    opened.close()


@pytest.fixture
def tag() -> str:
    return f"tag {next(_TAGS)}"


class Places:
    """Runs a job on one of the two databases and looks there."""

    def __init__(self, cluster: Cluster, connection: str | None, url: str) -> None:
        self.cluster = cluster
        self.url = url
        self._with = {"connection": connection} if connection else {}

    def run(self, job: str, retry: int = 2, **with_: Any) -> dict[str, Any]:
        return self.wait(self.start(job, retry, **with_))

    def in_each_way(self, sql: str) -> list[dict[str, Any]]:
        """Hand one text over in each way that there is, and return the jobs' rows."""
        started = [self.start("RunSql", sql=sql)]
        started += [self.start("TextJob", sql=sql, way=way) for way in ("text", "driver", "cursor")]
        return [self.wait(one) for one in started]

    def start(self, job: str, retry: int = 2, **with_: Any) -> str:
        name = job if "." in job or job == "RunSql" else f"tests.support.jobs_tearing.{job}"
        retry_policy = {"limit": retry, "delay": 0.1}
        return self.cluster.headrace.dispatcher.dispatch(
            name, {**self._with, **with_}, retry=retry_policy
        )

    def wait(self, job: str) -> dict[str, Any]:
        return self.cluster.wait_for_status(job, "completed", "failed", limit_s=30)

    def tags(self, like: str) -> list[str]:
        opened = psycopg2.connect(self.url)
        with opened, opened.cursor() as cursor:
            cursor.execute("SELECT tag FROM public.torn WHERE tag LIKE %s ORDER BY 1", (like,))
            found = [row[0] for row in cursor.fetchall()]
        opened.close()
        return found


@pytest.fixture(params=["control", "target"])
def place(request: pytest.FixtureRequest, cluster: Cluster, target: str) -> Places:
    if request.param == "control":
        return Places(cluster, None, cluster.servers.database_url)
    return Places(cluster, "target", target)


def _insert(tag: str) -> str:
    return f"INSERT INTO public.torn VALUES ('{tag}')"


# What hides a COMMIT from whoever reads the text with other rules than the server's.
HIDING = {
    "label_case": "CREATE FUNCTION f1() RETURNS int BEGIN ATOMIC SELECT 1 AS case; END;"
    " {i}; COMMIT; SELECT 1 AS case",
    "label_end": "CREATE FUNCTION f2() RETURNS int BEGIN ATOMIC SELECT 1 AS end; SELECT 2; END;"
    " {i}; COMMIT",
    "parameter": "CREATE FUNCTION f3(begin public.atomic) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    " {i}; COMMIT; SELECT 1",
    "parameter_atomic": "SET LOCAL search_path = public;"
    " CREATE FUNCTION f4(begin atomic) RETURNS int LANGUAGE sql AS 'SELECT 1';"
    " {i}; COMMIT; SELECT 1 AS end",
    "nested_comment": "SELECT 1 /* /* */ ' */; {i}; COMMIT; SELECT '*/ '",
    "escape": r"{i}; SELECT E'\'; COMMIT; --'; COMMIT; SELECT '--'",
    "plain_backslash": r"{i}; SELECT '\'; COMMIT; SELECT '\'",
    "continued": "{i}; SELECT E'a'\n'\\''; COMMIT; SELECT '''",
    "unicode": r"{i}; SELECT U&'\0027'; COMMIT; SELECT U&'\0027'",
    "dollar": "{i}; SELECT $a$ $b$ $a$; COMMIT; SELECT $b$ $a$ $b$",
    "dollar_in_name": "{i}; SELECT 1 AS a$b$; COMMIT; SELECT 1 AS a$b$",
    "psql_semicolon": "{i} \\; COMMIT \\; SELECT 1",
    "quoted_name": '{i}; SELECT 1 AS "a""; "; COMMIT; SELECT 1 AS """"',
    "line_comment": "{i}; SELECT 1 --'\r; COMMIT; --'",
    "plain": "{i}; COMMIT",
    "chain": "{i}; ROLLBACK AND CHAIN; {i}",
    "end": "{i}; /**/ end /* */ work",
    "prepare": "{i}; PREPARE TRANSACTION 'x'",
    "rule": "CREATE RULE r AS ON DELETE TO public.child DO ALSO (SELECT 1; SELECT 2); {i}; COMMIT",
    "strings_off": r"{i}; DO $$ BEGIN"
    r" EXECUTE 'set standard_conforming' || '_strings = off'; END $$; SELECT '\'; COMMIT; --'",
    "strings_off_config": r"{i}; SELECT set_config('standard_' || 'conforming_strings', 'off',"
    r" false); SELECT '\'; COMMIT; --'",
    "strings_off_local": r"{i}; SELECT set_config('standard_conforming_strings', 'off', true);"
    r" SELECT '\'; COMMIT; --'",
    "gbk": "{i}; SET client_encoding = 'GBK'; SELECT 1; COMMIT",
    "sjis": "{i}; SELECT set_config('client_encoding', 'SJIS', false); SELECT '\u8868'; COMMIT",
    "names": "{i}; SET NAMES 'GBK'; SELECT 1",
}


@pytest.mark.parametrize("hidden", HIDING)
def test_no_text_commits_anything_however_the_end_of_the_transaction_is_hidden(
    place: Places, tag: str, hidden: str
) -> None:
    sql = HIDING[hidden].replace("{i}", _insert(tag))

    rows = place.in_each_way(sql)

    assert {row["status"] for row in rows} == {"failed"}, rows
    assert place.tags(f"{tag}%") == []


@pytest.mark.parametrize(
    ("way", "sql"),
    [
        ("values", "SELECT 1 %s"),
        ("many", "INSERT INTO public.torn VALUES ('{tag}' || %s); COMMIT"),
        ("copy", "COPY public.torn FROM STDIN; INSERT INTO public.torn VALUES ('{tag}'); COMMIT"),
        ("named", "SELECT 1; INSERT INTO public.torn VALUES ('{tag}'); COMMIT"),
        ("commit", "INSERT INTO public.torn VALUES ('{tag}')"),
        ("rollback", "INSERT INTO public.torn VALUES ('{tag}')"),
        ("text", "DO $$ BEGIN INSERT INTO public.torn VALUES ('{tag}'); COMMIT; END $$"),
        ("text", "CALL public.committing()"),
        ("driver", "DO $$ BEGIN EXECUTE 'COMMIT'; END $$"),
    ],
)
def test_no_way_of_the_driver_commits_anything(place: Places, tag: str, way: str, sql: str) -> None:
    row = place.run("TextJob", sql=sql.replace("{tag}", tag), way=way, retry=0)

    assert row["status"] == "failed", row
    assert place.tags(f"{tag}%") == place.tags("procedure") == []


BEHIND = {
    "committed": "{i}; COMMIT",
    "committed_and_begun": "{i}; COMMIT; BEGIN; SAVEPOINT sa_savepoint_1; SELECT 1",
    "an_error_after": "{i}; COMMIT; SELECT 1/0",
    "an_error_in_a_new_one": "{i}; COMMIT; BEGIN; SELECT 1/0",
    "reset": "{i}; COMMIT; RESET ALL",
}


@pytest.mark.parametrize("how", BEHIND)
@pytest.mark.parametrize("then", ["returns", "fails", "deaf"])
def test_a_job_whose_transaction_was_ended_is_never_completed_and_never_tried_again(
    place: Places, tag: str, how: str, then: str
) -> None:
    """Past every guard, by a cursor that they do not know: the mark finds it out."""
    sql = BEHIND[how].replace("{i}", _insert(tag))

    row = place.run("TextJob", sql=sql, way="behind", fail=then == "fails", deaf=then == "deaf")

    assert (row["status"], row["attempt"], row["retry_count"]) == ("failed", 1, 0), row
    assert row["error"].startswith(STANDS)
    assert place.tags(f"{tag}%") == [tag]


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_that_rolled_back_and_went_on_outside_is_not_tried_again(
    place: Places, tag: str, fails: bool
) -> None:
    sql = f"ROLLBACK; BEGIN; {_insert(tag)}; COMMIT; BEGIN; SELECT 1/0"

    row = place.run("TextJob", sql=sql, way="behind", deaf=not fails)

    assert (row["status"], row["attempt"]) == ("failed", 1)
    assert row["error"].startswith("its SQL ended the transaction; what it did before is undone")


def test_a_cut_connection_is_asked_for_what_the_transaction_became(place: Places, tag: str) -> None:
    """Its SQL commits and then ends its own backend: nobody but the server knows."""
    sql = f"{_insert(tag)}; COMMIT; SELECT pg_terminate_backend(pg_backend_pid())"

    row = place.run("TextJob", sql=sql, way="behind")

    assert (row["status"], row["attempt"]) == ("failed", 1), row
    assert row["error"].startswith(STANDS)
    assert place.tags(f"{tag}%") == [tag]


def test_a_failure_inside_the_transaction_is_tried_again(place: Places, tag: str) -> None:
    raises = "DO $$ BEGIN RAISE EXCEPTION 'not today'; END $$"
    row = place.run("TextJob", sql=f"{_insert(tag)}; {raises}", way="text")

    assert (row["status"], row["attempt"], row["retry_count"]) == ("failed", 3, 2)
    assert place.tags(f"{tag}%") == []


HONEST = {
    "labels": "SELECT 1 AS end, 2 AS begin, 3 AS commit, 4 AS case, 5 AS atomic, 6 AS rollback",
    "columns": 'CREATE TABLE public.h ("end" int, begin int, commit int, atomic int);'
    " INSERT INTO public.h (begin, commit, atomic) VALUES (1, 2, 3);"
    " SELECT begin, commit, atomic FROM public.h; DROP TABLE public.h",
    "routine": "CREATE FUNCTION public.h(begin int, commit int) RETURNS int LANGUAGE sql"
    " BEGIN ATOMIC SELECT 1 AS end; SELECT CASE WHEN begin > 1 THEN 1 ELSE commit END AS case; END;"
    " SELECT public.h(1, 2); DROP FUNCTION public.h",
    "procedure": "CREATE PROCEDURE public.h() LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END; $$;"
    " CALL public.h(); DROP PROCEDURE public.h",
    "procedure_atomic": "CREATE PROCEDURE public.h(a int) BEGIN ATOMIC"
    " INSERT INTO public.parent VALUES (a); DELETE FROM public.parent WHERE id = a; END;"
    " CALL public.h(1000); DROP PROCEDURE public.h",
    "type": "SET LOCAL search_path = public;"
    " CREATE FUNCTION public.h(begin atomic) RETURNS int LANGUAGE sql AS 'SELECT 1 AS end';"
    " DROP FUNCTION public.h",
    "do": "DO $$ BEGIN IF true THEN PERFORM 1; END IF; END $$",
    "texts": "SELECT 'COMMIT; ROLLBACK', $$ ; COMMIT $$, E'\\'; COMMIT'",
    "rule": "CREATE TABLE public.h (a int); CREATE RULE r AS ON DELETE TO public.h"
    " DO ALSO (SELECT 1; SELECT 2); DROP TABLE public.h",
    "savepoints": "SAVEPOINT a; SELECT 1; ROLLBACK TO SAVEPOINT a; RELEASE SAVEPOINT a",
    "dump": "SET standard_conforming_strings = on; SET client_encoding = 'UTF8'; SELECT ';'",
    "question": "SELECT setting FROM pg_settings WHERE name = 'standard_conforming_strings'",
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_text_is_not_refused(place: Places, name: str) -> None:
    rows = place.in_each_way(HONEST[name])

    assert {row["status"] for row in rows} == {"completed"}, rows


def test_a_role_with_other_rules_for_strings_changes_nothing(
    cluster: Cluster, target: str, tag: str
) -> None:
    for url in (target, cluster.servers.database_url):
        opened = psycopg2.connect(url)
        opened.autocommit = True
        with opened.cursor() as cursor:
            cursor.execute(
                f'ALTER DATABASE "{database_name(url)}" SET standard_conforming_strings = off'
            )
            cursor.execute(f"ALTER DATABASE \"{database_name(url)}\" SET client_encoding = 'GBK'")
        opened.close()
    cluster.worker()
    cluster.started[1].kill()
    try:
        for place in (Places(cluster, None, ""), Places(cluster, "target", target)):
            row = place.run("RunSql", sql=rf"SELECT '\' AS a, 'ä;' AS b; {_insert(tag)}; COMMIT")
            honest = place.run("RunSql", sql=r"SELECT '\' AS a, '表;' AS b")

            assert row["status"] == "failed"
            assert honest["status"] == "completed", honest["error"]
            assert honest["result"]["rows"] == [{"a": "\\", "b": "表;"}]
    finally:
        for url in (target, cluster.servers.database_url):
            opened = psycopg2.connect(url)
            opened.autocommit = True
            with opened.cursor() as cursor:
                cursor.execute(f'ALTER DATABASE "{database_name(url)}" RESET ALL')
            opened.close()


def test_a_job_keeps_the_effects_around_the_session_that_failed(
    place: Places, cluster: Cluster
) -> None:
    row = place.run("RecoveringJob")

    assert row["status"] == "completed"
    assert place.tags(f"%{row['id']}") == [f"first {row['id']}", f"third {row['id']}"]


def test_a_commit_that_fails_is_a_failure_of_the_job_with_its_reason(place: Places) -> None:
    row = place.run("RunSql", sql="INSERT INTO public.child VALUES (77)", retry=1)
    after = place.run("RunSql", sql="SELECT 1")

    assert row["status"] == "failed"
    assert row["error"].startswith('insert or update on table "child" violates foreign key')
    assert after["status"] == "completed"
    # A constraint may hold the next time, as it may where it is not deferred.
    attempts = place.cluster.attempts(row["id"])
    assert [one["outcome"] for one in attempts] == ["failed", "failed"]


@pytest.mark.parametrize(
    "statements",
    [
        ["{i}"],
        ["SELECT 1", "{i}"],
        ["SET TRANSACTION READ WRITE", "{i}"],
        ["SET transaction_read_only = off", "{i}"],
        ["SELECT set_config('transaction_read_only', 'off', false)", "{i}"],
        ["SELECT set_config('transaction_read_only', 'off', true)", "{i}"],
        ["DO $$ BEGIN EXECUTE 'set transaction' || ' read write'; END $$", "{i}"],
        ["DO $$ BEGIN EXECUTE 'set local transaction' || '_read_only = off'; {i}; END $$"],
        ["RESET ALL", "{i}"],
        ["RELEASE SAVEPOINT sa_savepoint_1", "{i}"],
        ["ROLLBACK TO SAVEPOINT sa_savepoint_1", "{i}"],
        ["BEGIN READ WRITE", "{i}"],
    ],
)
def test_a_session_that_only_reads_writes_nothing(
    place: Places, tag: str, statements: list[str]
) -> None:
    sql = [one.replace("{i}", _insert(tag)) for one in statements]

    alone = place.run("ReadOnlyJob", sql=sql, retry=0)
    after = place.run("ReadOnlyJob", sql=sql, first=_insert(f"{tag} first"), retry=0)

    assert alone["status"] == after["status"] == "failed"
    assert place.tags(f"{tag}%") == []


def test_a_job_may_write_before_and_after_it_only_reads(place: Places, tag: str) -> None:
    row = place.run(
        "ReadOnlyJob",
        sql=["SELECT 1"],
        first=_insert(f"{tag} first"),
        then=_insert(f"{tag} then"),
    )
    again = place.run("ReadOnlyJob", sql=["SELECT 1"], then=_insert(tag))

    assert row["status"] == again["status"] == "completed", (row["error"], again["error"])
    assert place.tags(f"{tag}%") == [tag, f"{tag} first", f"{tag} then"]


def test_an_export_writes_nothing_on_the_control_database(cluster: Cluster, tag: str) -> None:
    place = Places(cluster, None, cluster.servers.database_url)
    cluster.sql(
        "CREATE OR REPLACE FUNCTION public.sly(tag text) RETURNS int LANGUAGE sql AS"
        " 'INSERT INTO public.torn VALUES (tag) RETURNING 1'"
    )
    made = cluster.headrace.dispatcher.dispatch(
        "ExportQuery", {"path": "x.csv", "sql": f"SELECT public.sly('{tag}')"}, retry=0
    )

    row = cluster.wait_for_status(made, "failed", "completed")

    assert row["status"] == "failed"
    assert "read-only transaction" in row["error"]
    assert place.tags(tag) == []
