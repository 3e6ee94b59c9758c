"""The embedded PostgreSQL hands out an ordinary role, in new homes and in those of before."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from headrace.errors import EmbeddedError
from headrace.store import embedded
from headrace.store.embedded import role
from tests.support.cli import Headrace
from tests.support.old_home import make_old_home, psql
from tests.support.servers import connect

OPENING = [
    "COPY (SELECT 1) TO PROGRAM 'touch {proof}'",
    "COPY pg_temp.x FROM PROGRAM 'touch {proof}; echo 1'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '{proof}')",
    "COPY (SELECT 1) TO '{proof}'",
    "CREATE EXTENSION file_fdw",
    "CREATE FUNCTION public.c() RETURNS int LANGUAGE c AS 'libc.so.6', 'system'",
    "CREATE ROLE superman SUPERUSER",
    "ALTER ROLE headrace SUPERUSER",
    "ALTER ROLE headrace_bootstrap PASSWORD 'x'",
    "GRANT pg_execute_server_program TO headrace",
    "SET ROLE headrace_bootstrap",
    "SET SESSION AUTHORIZATION headrace_bootstrap",
    "ALTER SYSTEM SET archive_command = 'touch {proof}'",
    "UPDATE pg_catalog.pg_authid SET rolsuper = true",
]


@pytest.fixture(scope="module")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("new")
    embedded.start(home)
    yield home
    embedded.stop(home)


@pytest.fixture(scope="module")
def old_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped home of before, to be copied."""
    home = tmp_path_factory.mktemp("old")
    make_old_home(home, tmp_path_factory.mktemp("code"))
    return home


@pytest.fixture
def home(old_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the home of before; nothing has been started in it."""
    copied = tmp_path / "home"
    shutil.copytree(old_home, copied, symlinks=True, ignore=shutil.ignore_patterns("run"))
    for path in [*copied.rglob("*"), copied]:
        of_then = old_home / path.relative_to(copied)
        os.chown(path, of_then.stat().st_uid, of_then.stat().st_gid)
    yield copied
    embedded.stop(copied)


def url_of(home: Path, database: str = "headrace", user: str = "headrace") -> str:
    url = embedded.urls(home).database_url
    return url.replace("headrace@/headrace", f"{user}@/{database}")


def refused(url: str, statement: str) -> str:
    """Return why a statement is refused."""
    with closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE x (x int)")
        with pytest.raises(psycopg2.Error) as caught:
            cursor.execute(statement)
    return str(caught.value)


@pytest.mark.parametrize("statement", OPENING)
def test_the_role_starts_no_program_reads_no_file_and_becomes_nobody_else(
    new_home: Path, tmp_path: Path, statement: str
) -> None:
    proof = tmp_path / "proof"

    refused(url_of(new_home), statement.format(proof=proof))

    assert not proof.exists()


def test_nobody_logs_in_as_the_bootstrap_superuser(new_home: Path) -> None:
    for database in ("headrace", "postgres", "template1"):
        with pytest.raises(psycopg2.OperationalError, match="rejects connection"):
            psycopg2.connect(url_of(new_home, database, "headrace_bootstrap"))
    supers = psql(url_of(new_home), "SELECT rolname FROM pg_roles WHERE rolsuper").splitlines()
    assert supers == ["headrace_bootstrap"]


def test_the_role_is_the_ordinary_one_that_the_docs_describe(new_home: Path) -> None:
    row = psql(
        url_of(new_home),
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
        "  FROM pg_roles WHERE rolname = 'headrace'",
        "SELECT string_agg(r.rolname, ',' ORDER BY r.rolname) FROM pg_auth_members m"
        "  JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = 'headrace'::regrole",
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'headrace'",
        "SHOW search_path",
    )

    assert row.splitlines() == [
        "f|t|t|f|f", "pg_checkpoint,pg_maintain,pg_monitor", "headrace", "public",
    ]  # fmt: skip


def test_it_makes_databases_roles_and_trusted_extensions(new_home: Path) -> None:
    psql(
        url_of(new_home),
        "CREATE DATABASE made",
        "CREATE ROLE analyst LOGIN",
        "CREATE SCHEMA lab AUTHORIZATION analyst",
        "CREATE EXTENSION hstore",
        "CREATE EXTENSION pg_trgm",
        "CHECKPOINT",
        "VACUUM",
        "DROP DATABASE made WITH (FORCE)",
        "DROP OWNED BY analyst",
        "DROP ROLE analyst",
        "DROP EXTENSION hstore",
    )


def test_a_job_cannot_run_a_program_through_sql(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    pipelines = tmp_path / "pipelines"
    pipelines.mkdir()
    (pipelines / "attack.yaml").write_text(
        "name: attack\n"
        "steps:\n"
        "  - id: a\n"
        "    job: RunSql\n"
        f"    with: {{sql: \"copy (select 1) to program 'touch {proof}'\"}}\n"
    )
    headrace = Headrace(tmp_path, {"JOB_MAX_RETRIES": "0"})

    ended = headrace("run", "attack")

    assert ended.code == 1
    assert "permission denied" in ended.out
    assert not proof.exists()


def test_a_home_of_before_is_handed_over_to_the_ordinary_role(home: Path) -> None:
    embedded.start(home)

    _check_handed_over(home)


def _check_handed_over(home: Path) -> None:
    url = url_of(home)
    for statement in OPENING:
        if "file_fdw" not in statement:
            refused(url, statement.format(proof=home / "proof"))
    assert not (home / "proof").exists()
    left = psql(
        url,
        "SELECT 'super ' || rolname FROM pg_roles WHERE rolsuper AND oid <> 10",
        "SELECT 'member ' || member::regrole FROM pg_auth_members WHERE roleid = 10",
        "SELECT c.oid::regclass FROM pg_class c WHERE relowner = 10 AND oid >= 16384"
        "   AND relnamespace <> 'pg_toast'::regnamespace"
        "   AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')",
        "SELECT p.oid::regprocedure FROM pg_proc p WHERE proowner = 10 AND oid >= 16384"
        "   AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')",
        "SELECT t.oid::regtype FROM pg_type t WHERE typowner = 10 AND oid >= 16384"
        "   AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = t.oid AND deptype = 'e')"
        "   AND NOT EXISTS (SELECT FROM pg_type e JOIN pg_depend d ON d.objid = e.oid"
        "                    WHERE e.typarray = t.oid AND d.deptype = 'e')",
        "SELECT nspname FROM pg_namespace WHERE nspowner = 10 AND oid >= 16384"
        "   AND nspname !~ '^pg_'",
        "SELECT datname FROM pg_database WHERE datdba = 10 AND datname !~ '^template'",
        "SELECT oprname FROM pg_operator o WHERE oprowner = 10 AND oid >= 16384"
        "   AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = o.oid AND deptype = 'e')",
        "SELECT oid FROM pg_largeobject_metadata WHERE lomowner = 10",
        "SELECT oid FROM pg_default_acl WHERE defaclrole = 10",
        "SELECT collname FROM pg_collation WHERE collowner = 10 AND oid >= 16384",
        "SELECT stxname FROM pg_statistic_ext WHERE stxowner = 10",
        "SELECT cfgname FROM pg_ts_config WHERE cfgowner = 10 AND oid >= 16384",
        "SELECT polname FROM pg_policy WHERE 10 = ANY (polroles)",
    )
    assert left == ""
    assert psql(
        url,
        "SELECT total FROM mart.totals",
        "CALL mart.refresh()",
        'SELECT count(*) FROM mart."Kept totals"',
        "SELECT mart.twice(21), mart.secret()",
        "SELECT convert_from(lo_get(4711), 'UTF8')",
        "SHOW work_mem",
        "SELECT has_table_privilege('reporting', 'mart.orders', 'SELECT')",
    ).splitlines() == ["5050.00", "1", "42|100", "large", "5MB", "t"]
    # It may change what was its own, and what it makes has the rights that were asked for.
    psql(
        url,
        "ALTER TABLE mart.orders ADD COLUMN note text",
        "INSERT INTO mart.orders (region, amount) VALUES ('us', 1)",
        "INSERT INTO public.serial DEFAULT VALUES",
        "CREATE TABLE mart.newer (id int)",
        "CREATE FUNCTION mart.newest() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE mart.theirs ADD COLUMN more int",
        "INSERT INTO mart.labelled VALUES (1, 'a=>1')",
        "DROP DATABASE closed",
        "CREATE TABLE mart.parted_2027 PARTITION OF mart.parted"
        " FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
        "DROP TYPE mart.span",
        "DROP EXTENSION hstore CASCADE",
    )
    assert psql(
        url,
        "SELECT has_table_privilege('reporting', 'mart.newer', 'SELECT')",
        "SELECT has_function_privilege('reporting', 'mart.newest()', 'EXECUTE')",
    ).splitlines() == ["t", "f"]
    # Members of it still are, and are none of the superuser.
    member = url_of(home, user="member")
    psql(member, "SELECT count(*) FROM mart.orders")
    refused(member, "SET ROLE headrace_bootstrap")
    refused(url, "SET ROLE opens")
    other = url_of(home, "other")
    psql(other, "ALTER TABLE public.kept ADD COLUMN two int", "CREATE TABLE public.more (id int)")


def test_a_home_of_before_goes_on_working_as_an_installation(home: Path, tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "plain.yaml").write_text(
        "name: plain\n"
        "steps:\n"
        "  - {id: a, job: RunSql, with: {sql: 'update mart.orders set amount = amount'}}\n"
        "  - {id: b, job: VacuumTable, with: {table: mart.orders}, depends_on: [a]}\n"
        "  - {id: c, job: TruncateTable, with: {table: mart.orders}, depends_on: [b]}\n"
    )
    headrace = Headrace(tmp_path, {"HEADRACE_HOME": str(home)})

    ended = headrace("run", "plain")

    assert ended.code == 0, ended.out + ended.err


def test_a_hand_over_that_fails_is_told_and_begun_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = role._sql
    for broken in ("role.sql", "handover.sql"):
        monkeypatch.setattr(
            role, "_sql", lambda name, b=broken: sql(name) + ("SELECT 1 / 0;\n\n" * (name == b))
        )
        with pytest.raises(EmbeddedError, match="cannot be created"):
            embedded.start(home)
        assert not role.is_ordinary(home / "postgres")
    monkeypatch.undo()

    embedded.start(home)

    _check_handed_over(home)


_START = "import sys; from pathlib import Path; from headrace.store import embedded;"
_START += "embedded.start(Path(sys.argv[1]))"


def _kill_with_all_below(starting: subprocess.Popen[bytes]) -> None:
    """Kill a process and return once its children are gone: they die after it, one by one."""
    children = Path(f"/proc/{starting.pid}/task/{starting.pid}/children").read_text().split()
    handles = [os.pidfd_open(int(child)) for child in children]
    starting.send_signal(signal.SIGKILL)
    starting.wait()
    for handle in handles:
        assert select.select([handle], [], [], 30)[0], "a child has outlived its namespace"
        os.close(handle)


@pytest.mark.parametrize("after_s", [0.3, 0.5, 0.7, 1.0, 1.4])
def test_a_hand_over_that_is_killed_at_any_point_is_gone_on_with(
    home: Path, after_s: float
) -> None:
    """Everything dies at once, PostgreSQL's session too, as when the machine loses power."""
    together = ["unshare", "--pid", "--fork", "--kill-child"] if os.geteuid() == 0 else []
    starting = subprocess.Popen(
        [*together, sys.executable, "-c", _START, str(home)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after_s)  # Not for an event: any moment will do.
    _kill_with_all_below(starting)

    embedded.start(home)

    _check_handed_over(home)
