"""Bad input of every kind through `headrace run`: one sentence, and the target as before."""

import bz2
import gzip
import io
import json
import lzma
import os
import re
import resource
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard

from headrace.store.embedded import Servers
from tests.support.cli import Headrace, environment
from tests.support.places import PASSWORD, NotInstalled, debian_programs, second_server
from tests.support.ports import free_port
from tests.support.servers import connect, create_database, database_name, drop_database

GOOD = b"id,name,amount,day\n2,two,2.50,2026-02-03\n3,three,3,2026-02-04\n"
TABLE = (
    "CREATE TABLE {0} (id int PRIMARY KEY, name varchar(5), amount numeric(5,2) CHECK (amount > 0),"
    " day date NOT NULL DEFAULT '2026-01-01'); INSERT INTO {0} VALUES (1, 'one', 1)"
)
LINES = 9_001


@dataclass(frozen=True, slots=True)
class Case:
    """A step whose input is bad. `{t}` is its table; `told` must stand in what it says."""

    told: str
    content: bytes | Callable[[], bytes] | None = None
    file: str = "in.csv"
    job: str = "LoadFile"
    prepare: str = ""
    with_: dict[str, Any] | None = None


def load(
    told: str,
    content: bytes | str | Callable[[], bytes] = GOOD,
    file: str = "in.csv",
    prepare: str = "",
    **with_: Any,
) -> Case:
    raw = content.encode() if isinstance(content, str) else content
    return Case(told, raw, file, "LoadFile", prepare, with_)


def copy(told: str, job: str = "SyncTable", prepare: str = "", **with_: Any) -> Case:
    given = {"source_connection": "other", "source_table": "{t}", "target_table": "{t}"}
    return Case(told, None, "", job, prepare, given | with_)


def parquet() -> bytes:
    whole = io.BytesIO()
    pq.write_table(pa.table({"id": [2], "name": ["two"]}), whole)
    return whole.getvalue()


def zipped(*names: str) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, GOOD * 200)
    return whole.getvalue()


def workbook() -> bytes:
    whole, book = io.BytesIO(), openpyxl.Workbook()
    book.active.append(["id", "name"])
    book.active.append([2, "two"])
    book.save(whole)
    return whole.getvalue()


MANY = GOOD.splitlines()[0] + b"\n" + b"".join(
    b"%d,n,1,2026-02-03\n" % (n + 10) for n in range(LINES - 1)
)  # fmt: skip
FAR = 900_001


def far_rows() -> bytes:
    """Return a file so long that no process makes it but the one that writes it."""
    return b"id\n" + b"".join(b"%d\n" % (n + 10) for n in range(FAR - 1)) + b"x\n"


KEY = {"mode": "merge", "primary_key": "id"}

# Its words tell the disturber what to do while the step waits.
PAUSE = "DO $$BEGIN PERFORM pg_sleep(5); /* {} */ END$$"

CASES: dict[str, Case] = {
    # -- files that are not there, or not whole -------------------------------------------
    "missing_file": Case(
        r"there is no file 'nowhere.csv' beside the pipeline",
        file="",
        with_={"path": "nowhere.csv"},
    ),
    "no_match": Case(r"empty/\*\.tsv: no file matches", file="", with_={"path": "empty/*.tsv"}),
    "outside": Case(
        r'the path "\.\./config\.yaml" leaves the folders',
        file="",
        with_={"path": "../config.yaml"},
    ),
    "a_folder_of_nothing": Case(r"empty: no file matches", file="", with_={"path": "empty"}),
    "truncated_gz": load(
        r"truncated_gz/in\.csv: is truncated: its gzip stream", gzip.compress(MANY)[:-20]
    ),
    "truncated_zst": load(
        r"truncated_zst/in\.csv: is truncated: its zstd stream", zstandard.compress(MANY)[:-20]
    ),
    "truncated_bz2": load(
        r"truncated_bz2/in\.csv: is truncated: its bzip2 stream", bz2.compress(MANY)[:-20]
    ),
    "truncated_xz": load(
        r"truncated_xz/in\.csv: is truncated: its xz stream", lzma.compress(MANY)[:-20]
    ),
    "truncated_zip": load(
        r"truncated_zip/in\.csv: its zip stream is damaged", zipped("a.csv")[:-30]
    ),
    "truncated_parquet": load(
        r"truncated_parquet/in\.parquet: is no whole Parquet file", parquet()[:-20], "in.parquet"
    ),
    "truncated_workbook": load(
        r"truncated_workbook/in\.xlsx: its zip stream is damaged", workbook()[:-200], "in.xlsx"
    ),
    "two_in_a_zip": load(
        r"holds 2 files \(a\.csv, b\.csv\), and one is expected: pack each",
        zipped("a.csv", "b.csv"),
    ),
    "damaged_gz": load(
        r"damaged_gz/in\.csv: its gzip stream is damaged",
        gzip.compress(MANY)[:200] + b"damage" + gzip.compress(MANY)[206:],
    ),
    "an_empty_file": load(r"an_empty_file/in\.csv: the file is empty, a header was expected", b""),
    # -- text that cannot be read ----------------------------------------------------------
    "wrong_encoding": load(
        r"wrong_encoding/in\.csv:3: is not UTF-8: byte 0xf6 at character 5.*set encoding: latin1",
        "id,name\n2,zwei\n3,größe\n".encode("latin1"),
    ),
    "other_encoding": load(
        r"other_encoding/in\.csv: is not utf-16", b"id,name\n2,x\n", encoding="utf-16"
    ),
    "null_byte": load(r"null_byte/in\.csv:2: .*NUL bytes", b"id,name\n2,t\x00o\n"),
    "null_in_json": load(
        r"null_in_json/in\.jsonl:1: .*0x00", '{"id": 2, "name": "t\\u0000o"}\n', "in.jsonl"
    ),
    "half_a_character": load(
        r"half_a_character/in\.jsonl:1: holds half a character",
        '{"id": 2, "name": "\\ud800"}\n',
        "in.jsonl",
    ),
    "not_json": load(
        r"not_json/in\.jsonl:2: no JSON: .*character 1 of the line",
        '{"id": 2}\n{"id": 3,\n',
        "in.jsonl",
    ),
    "truncated_json": load(
        r"truncated_json/in\.json:2: the document ends early", '[{"id": 2},\n{"id": 3}', "in.json"
    ),
    "not_csv_at_all": load(
        r"not_csv_at_all/in\.csv:2: is not UTF-8",
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
        "in.csv",
    ),
    # -- rows and columns of another shape --------------------------------------------------
    "duplicate_header": load(
        r"duplicate_header/in\.csv:1: the column 'name' occurs twice", "id,name,name\n2,a,b\n"
    ),
    "ragged_short": load(
        r'ragged_short/in\.csv:3: missing data for column "amount"',
        "id,name,amount\n2,two,1\n3,three\n",
    ),
    "ragged_long": load(
        r"ragged_long/in\.csv:3: extra data after last expected column",
        "id,name\n2,two\n3,three,x\n",
    ),
    "wrong_delimiter": load(
        r"wrong_delimiter/in\.csv:1: .*with `delimiter: ';'` it is several", "id;name\n2;two\n"
    ),
    "open_quote": load(
        r"open_quote/in\.csv:2: a quoted field begins here and is never closed",
        'id,name\n2,"two\n3,three\n',
    ),
    "new_column": load(
        r"new_column/in\.csv:1: t_new_column has no column 'added'.*on_schema_change",
        "id,name,added\n2,two,x\n",
    ),
    "missing_column": load(r'missing_column/in\.csv:2: null value in column "id"', "name\ntwo\n"),
    "declared_column_missing": load(
        r"declared_column_missing/in\.csv:1: has no column 'day'",
        "id,name\n2,two\n",
        columns={"id": "int", "day": "date"},
    ),
    "generated_column": load(
        r"generated_column/in\.csv:1: t_generated_column has no column 'twice' that takes values",
        "id,name,twice\n2,two,4\n",
        prepare="ALTER TABLE {t} ADD twice int GENERATED ALWAYS AS (id * 2) STORED",
    ),
    "no_such_sheet": load(
        r"no_such_sheet/in\.xlsx: has no sheet 'Data'; its sheets: Sheet",
        workbook(),
        "in.xlsx",
        sheet="Data",
    ),
    # -- values that do not fit -------------------------------------------------------------
    "wrong_type": load(
        r'wrong_type/in\.csv:9002: column id: invalid input syntax for type integer: "x"',
        MANY + b"x,n,1,2026-02-03\n",
    ),
    # The header is a line, too.
    "wrong_type_far_down": load(
        rf"wrong_type_far_down/in\.csv:{FAR + 1}: column id: invalid input syntax for type integer:"
        ' "x"',
        far_rows,
    ),
    "wrong_type_in_json": load(
        r"wrong_type_in_json/in\.jsonl:2: column id: invalid input syntax",
        '{"id": 2}\n{"id": "x"}\n',
        "in.jsonl",
    ),
    "too_long": load(
        r"too_long/in\.csv:3: column name: value too long for type character varying\(5\)",
        "id,name\n2,two\n3,eleven\n",
    ),
    "overflow": load(
        r"overflow/in\.csv:3: column amount: numeric field overflow", "id,amount\n2,1\n3,1000.00\n"
    ),
    "no_such_date": load(
        r'no_such_date/in\.csv:2: column day: .*out of range: "2026-02-30"',
        "id,day\n2,2026-02-30\n",
    ),
    "ambiguous_date": load(
        r"ambiguous_date/in\.csv:2: column day: .*dates are read as year-month-day",
        "id,day\n2,03/04/2026\n",
    ),
    "null": load(
        r'null/in\.jsonl:1: null value in column "day"', '{"id": 2, "day": null}\n', "in.jsonl"
    ),
    "check": load(
        r'check/in\.csv:3: .*violates check constraint "t_check_amount_check"',
        "id,amount\n2,1\n3,-1\n",
    ),
    "foreign_key": load(
        r"foreign_key/in\.csv: .*Key \(ref\)=\(9\) is not present",
        "id,ref\n2,9\n",
        prepare="ALTER TABLE {t} ADD ref int REFERENCES {t} (id)",
    ),
    "key_that_is_there": load(
        r"key_that_is_there/in\.csv:3: .*Key \(id\)=\(1\) already exists", "id,name\n2,two\n1,uno\n"
    ),
    "unknown_value": load(
        r'unknown_value/in\.csv:2: column mood: invalid input value for enum .*"glad"',
        "id,mood\n2,glad\n",
        prepare="CREATE TYPE mood_{t} AS ENUM ('sad');ALTER TABLE {t} ADD mood mood_{t}",
    ),
    "key_without_value": load(
        r'key_without_value/in\.csv:3: null value in column "id"', "id,name\n2,two\n,three\n", **KEY
    ),
    "too_few_rows": load(
        r"2 rows have come for t_too_few_rows, but expect\.rows is '>100'", expect={"rows": ">100"}
    ),
    "too_many_deleted": load(
        r"1 of the 1 rows of t_too_many_deleted would be deleted, but expect\.max_delete is 50%",
        mode="replace",
        expect={"max_delete": "50%"},
    ),
    "check_of_the_table": load(
        r"row_count of t_check_of_the_table: 3, must be 1", checks=[{"row_count": {"must_be": 1}}]
    ),
    # -- targets ------------------------------------------------------------------------------
    "no_table": load(r"there is no table nowhere; `create: true` creates it", table="nowhere"),
    "a_view": load(
        r"v_t_a_view",
        prepare="CREATE VIEW v_{t} AS SELECT 1 AS id",
        content="id\n2\n",
        table="v_{t}",
    ),
    "no_permission": load(
        r'table hers.*the role "etl" of the connection other lacks the right.*GRANT',
        connection="other",
        table="hers",
    ),
    "read_only": load(
        r"read-only transaction", "id,name\n4,x\n", connection="reader", table="long"
    ),
    "no_server": load(
        r"Connection refused.*the connection gone of config\.yaml could not be opened",
        connection="gone",
    ),
    "wrong_password": load(
        r'password authentication failed for user "etl".*the connection stranger of config\.yaml',
        connection="stranger",
    ),
    "locked": load(
        r"lock timeout.*held by process \d+.*t_locked; lock_timeout in the step's",
        lock_timeout="1s",
    ),
    "dropped": load(r"t_dropped", pre_sql=PAUSE.format("drop {t}")),
    "connection_cut": load(
        r"terminating connection due to administrator command", pre_sql=PAUSE.format("cut {t}")
    ),
    "timeout": load(
        r"post_sql.*statement timeout|statement timeout",
        post_sql="SET LOCAL statement_timeout = '10ms'; SELECT pg_sleep(9)",
    ),
    # -- copies ---------------------------------------------------------------------------------
    "no_source": copy(r"there is no table nowhere", source_table="nowhere", primary_key="id"),
    "source_without_right": copy(
        r'the role etl has no right to read hers: GRANT SELECT ON "public"\."hers" TO "etl"',
        source_table="hers",
        primary_key="id",
    ),
    "key_twice": copy(
        r"twice: the key id=2 is null or occurs 2 times", source_table="twice", primary_key="id"
    ),
    "key_is_null": copy(r"nulls: the key id=None is null", source_table="nulls", primary_key="id"),
    "no_such_key": copy(r"twice has no key column 'nr'", source_table="twice", primary_key="nr"),
    "column_that_the_target_lacks": copy(
        r"has no column colour \(text\).*on_schema_change", "MirrorTable", source_table="wide"
    ),
    "type_that_the_target_lacks": copy(
        r"typed\.feeling has the type public\.feeling.*make it there \(CREATE TYPE",
        "MirrorTable",
        source_table="typed",
        target_table="typed",
    ),
    "source_fails_midway": copy(
        r"division by zero(.|\n)*in the query of failing", "MirrorTable", source_table="failing"
    ),
    "value_too_long_for_the_copy": copy(
        r"t_value_too_long_for_the_copy: column name: value too long",
        "MirrorTable",
        source_table="long",
    ),
    # -- exports ----------------------------------------------------------------------------------
    "export_fails_midway": Case(
        r"division by zero",
        job="ExportQuery",
        with_={
            "sql": "SELECT 1 / (900 - n) AS x FROM generate_series(1, 1000) AS n",
            "path": "x.csv",
        },
    ),
    "export_twice_one_name": Case(
        r"the query has 2 columns called 'a': give each a different name",
        job="ExportQuery",
        with_={"sql": "SELECT 1 AS a, 2 AS a", "path": "x.csv"},
    ),
    "export_beyond_the_disk": Case(
        r"x\.csv cannot be written to .*File too large.*nothing of it is kept",
        job="ExportQuery",
        with_={
            "sql": "SELECT repeat(md5(n::text), 1000) AS x FROM generate_series(1, 1000) AS n",
            "path": "x.csv",
        },
    ),
}


@dataclass
class Ran:
    """What became of each case: what its step says, and its table before and afterwards."""

    errors: dict[str, str]
    before: dict[str, Any]
    after: dict[str, Any]
    exports: list[str]


# The tables of the other server's side: sources of copies, and a table of somebody else's.
SOURCES = """
CREATE TABLE twice (id int, name text);
INSERT INTO twice VALUES (2, 'two'), (2, 'deux');
CREATE TABLE nulls (id int, name text);
INSERT INTO nulls VALUES (2, 'two'), (NULL, 'none');
CREATE TABLE wide (id int PRIMARY KEY, name text, colour text);
INSERT INTO wide VALUES (2, 'two', 'red');
CREATE TYPE feeling AS ENUM ('sad');
CREATE TABLE typed (id int PRIMARY KEY, feeling feeling);
INSERT INTO typed VALUES (2, 'sad');
CREATE VIEW failing AS
    SELECT n AS id, (1 / (900 - n))::text AS name FROM generate_series(1, 1000) n;
CREATE TABLE long (id int PRIMARY KEY, name text);
INSERT INTO long VALUES (2, 'two'), (3, 'eleven');
"""


def table_of(name: str) -> str:
    return f"t_{name}"


@pytest.fixture(scope="module")
def ran(
    servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ran]:
    """Run all cases as the steps of one pipeline, once."""
    folder = tmp_path_factory.mktemp("bad")
    with ExitStack() as stack:
        url = create_database(servers.database_url, template=database_name(template_database))
        stack.callback(drop_database, servers.database_url, url)
        try:
            other = stack.enter_context(second_server(debian_programs()))
        except NotInstalled as missing:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(missing))
        other.execute(f"CREATE ROLE etl LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE o OWNER etl")
        other.execute("CREATE TABLE hers (id int, name text, amount numeric, day date);"
                      "REVOKE ALL ON hers FROM PUBLIC", database="o")  # fmt: skip
        away = other.url_for("o", "etl")
        headrace = project(folder, url, servers.redis_url, away)
        look = stack.enter_context(closing(connect(url)))
        look.autocommit = True
        with closing(connect(away)) as source, source.cursor() as cursor:
            cursor.execute(SOURCES)
            source.commit()
        prepare(look, folder / "pipelines")
        before = states(look)
        stack.enter_context(disturbed(url))
        errors = {job["step"]: job["error"] for job in run(headrace, "bad")["jobs"]}
        exports = [one.name for one in (folder / "exports").glob("*")]
        yield Ran(errors, before, states(look), exports)


def project(folder: Path, url: str, redis_url: str, away: str) -> Headrace:
    (folder / "pipelines" / "empty").mkdir(parents=True)
    stranger = re.sub(r":[^:@]+@", ":incorrect@", away)
    config = {
        "retry": {"limit": 0},
        "connections": {
            "other": away,
            "gone": f"postgresql://nobody@127.0.0.1:{free_port()}/nowhere",
            "stranger": stranger,
            "reader": f"{away}?options=-c%20default_transaction_read_only%3Don",
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    environ = {"DATABASE_URL": url, "REDIS_URL": redis_url, "HEADRACE_HOME": str(folder / "home")}
    return Headrace(folder, environ)


def prepare(look: Any, pipelines: Path) -> None:
    """Make each case's table and file, and the pipeline of all of them."""
    steps = []
    with look.cursor() as cursor:
        for name, case in CASES.items():
            table = table_of(name)
            cursor.execute(TABLE.format(table))
            cursor.execute(case.prepare.format(t=table) or "SELECT 1")
            with_ = yaml.safe_load(yaml.safe_dump(case.with_ or {}).replace("{t}", table))
            if case.content is not None:
                (pipelines / name).mkdir()
                content = case.content() if callable(case.content) else case.content
                (pipelines / name / case.file).write_bytes(content)
                with_ = {"path": f"{name}/{case.file}"} | with_
            if case.job == "LoadFile":
                with_ = {"table": table} | with_
            steps.append({"id": name, "job": case.job, "with": with_})
    (pipelines / "bad.yaml").write_text(yaml.safe_dump({"name": "bad", "steps": steps}))


def states(look: Any) -> dict[str, Any]:
    """Return the columns and rows of each case's table."""
    found = {}
    with look.cursor() as cursor:
        for name in CASES:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table_of(name),))
            if cursor.fetchone()[0]:
                cursor.execute(f"SELECT * FROM {table_of(name)}")
                found[name] = ([one.name for one in cursor.description], cursor.fetchall())
    return found


@contextmanager
def disturbed(url: str) -> Iterator[None]:
    """Hold one table's lock; drop another, and cut a connection, while their steps run."""
    stop = threading.Event()

    def disturb() -> None:
        with closing(connect(url)) as own, own.cursor() as cursor:
            own.autocommit = True
            while not stop.wait(0.1):
                cursor.execute(
                    "SELECT pid, query FROM pg_stat_activity WHERE query LIKE"
                    " 'DO $$BEGIN PERFORM pg_sleep(5)%' AND state = 'active'"
                )
                for pid, query in cursor.fetchall():
                    _, _, told = query.partition("/* ")
                    if told.startswith("cut"):
                        cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))
                    else:
                        cursor.execute(f"DROP TABLE IF EXISTS {told.split()[1]}")

    with closing(connect(url)) as holder, holder.cursor() as cursor:
        holder.autocommit = False
        cursor.execute(f"LOCK TABLE {table_of('locked')} IN SHARE ROW EXCLUSIVE MODE")
        thread = threading.Thread(target=disturb, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def run(headrace: Headrace, name: str) -> Any:
    """Run a pipeline in processes that write no file of more than 20 MB: their disk is full then.

    Without the forked interpreter, which has no limit.
    """
    command = [sys.executable, "-m", "headrace", "run", name, "--json"]
    done = subprocess.run(
        command, cwd=headrace.folder, env=environment(headrace.environ), timeout=300,
        capture_output=True, text=True, check=False, preexec_fn=limit_files,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return json.loads(done.stdout)


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, 20_000_000))


# What is gone on purpose; and what PostgreSQL tells in more than a line.
GONE = {"dropped"}
MOST_LINES = 3


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_told_in_a_sentence_and_leaves_the_target_as_it_was(
    ran: Ran, name: str
) -> None:
    error = ran.errors[name] or "it went well"
    assert re.search(CASES[name].told, error, re.DOTALL), error
    assert len(error.splitlines()) <= MOST_LINES, error
    assert name in GONE or ran.after[name] == ran.before[name]


def test_of_exports_that_fail_no_file_is_left(ran: Ran) -> None:
    assert ran.exports == []
