"""What ExportQuery writes LoadFile reads back equal, for every type, here and on another major."""

import gzip
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.export_query import ExportQuery
from headrace.jobs.load_file import LoadFile
from tests.support.attempts import JobRunner, engine_for
from tests.support.generated import Seeds
from tests.support.places import NotInstalled, debian_programs, second_server

ROWS = 100
TYPES = (
    "CREATE EXTENSION IF NOT EXISTS hstore",
    "CREATE TYPE mood AS ENUM ('good', 'so, so', 'b\"ad', '')",
    "CREATE DOMAIN posint AS int CHECK (value > 0)",
    "CREATE DOMAIN labels AS text[]",
    "CREATE TYPE place AS (name text, xy int[], at timestamptz, info jsonb)",
    "CREATE TYPE visit AS (who place, moods mood[])",
)
NASTY = ["", " ", "NULL", "null", "\\N", "\\.", "a\nb", "a\r\nb", 'q"q', "'", ",", "\t", "{}", "()",
         "\\", '\\"', "ä€𝄞", "\u2028", "[1]", '{"a":1}', "x" * 3000, "\x01\x02\x7f"]  # fmt: skip

Make = Callable[[random.Random], str | None]


def words(r: random.Random) -> str:
    if r.random() < 0.5:
        return r.choice(NASTY)
    return "".join(r.choice('ab"\\,{}() \n\täß€') for _ in range(r.randrange(12)))


def integer(bits: int) -> Make:
    most = 2 ** (bits - 1)
    return lambda r: str(r.choice([0, -most, most - 1, r.randrange(-most, most)]))


def numeric(r: random.Random) -> str:
    special = ["NaN", "Infinity", "-Infinity", "0.10", "1e-20", "9" * 60, "-0.000"]
    return r.choice([*special, f"{r.randrange(10**18)}.{r.randrange(10**9):09}"])


def floating(r: random.Random) -> str:
    special = ["NaN", "Infinity", "-Infinity", "-0", "1e300", "5e-324", "0.1"]
    return r.choice([*special, repr(r.uniform(-1e6, 1e6))])


def single(r: random.Random) -> str:
    return r.choice(["NaN", "-Infinity", "1e30", "0.1", repr(r.uniform(-1e6, 1e6))])


def day(r: random.Random) -> str:
    ordinary = f"{r.randrange(1, 9999):04}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"
    return r.choice([ordinary, "infinity", "-infinity", "0044-03-15 BC", "20000-01-01"])


def clock(r: random.Random) -> str:
    fraction = r.choice(["", ".5", ".000001", ".123456"])
    return f"{r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02}{fraction}"


def moment(r: random.Random) -> str:
    special = ["infinity", "-infinity", "0044-03-15 12:00:00 BC"]
    return r.choice([f"{r.randrange(1, 9999):04}-03-04 {clock(r)}", *special])


def zoned(r: random.Random) -> str:
    plain = moment(r)
    return plain if not plain[0].isdigit() or "BC" in plain else plain + r.choice(["+00", "-05:30"])


def span(r: random.Random) -> str:
    return f"{r.randrange(-20, 20)} mons {r.randrange(-40, 40)} days {r.choice('+-')}{clock(r)}"


def document(r: random.Random, depth: int = 0) -> str:
    kinds = ["1.10", "12345678901234567.890", "true", '"s"', "1e3", '"\\u00e9\\n"', "[]", "{}"]
    if depth < 2 and r.random() < 0.6:
        inner = [document(r, depth + 1) for _ in range(3)]
        return r.choice([f"[{', '.join(inner)}, null]", f'{{"a b": {inner[0]}, "b": {inner[1]}}}'])
    return r.choice(kinds)


def quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def array(make: Make) -> Make:
    def made(r: random.Random) -> str:
        items = [make(r) if r.random() < 0.8 else None for _ in range(r.randrange(4))]
        flat = "{" + ",".join(map(quoted, items)) + "}"
        if not items:
            return flat
        bounds = f"[3:{2 + len(items)}]=" if r.random() < 0.2 else ""
        return bounds + flat if r.random() < 0.7 else f"{{{flat},{flat}}}"

    return made


def place(r: random.Random) -> str:
    fields: list[Make] = [words, array(integer(32)), zoned, document]
    return "(" + ",".join(quoted(f(r)) if r.random() < 0.8 else "" for f in fields) + ")"


def visit(r: random.Random) -> str:
    return f"({quoted(place(r))},{quoted(array(mood)(r))})"


def mood(r: random.Random) -> str:
    return r.choice(["good", "so, so", 'b"ad', ""])


def pairs(r: random.Random) -> str:
    return ",".join(
        f"{quoted(f'k{n}{words(r)}')}=>{r.choice([quoted(words(r)), 'NULL'])}"
        for n in range(r.randrange(4))
    )


def bounded(make: Callable[[random.Random], Any]) -> Make:
    def made(r: random.Random) -> str:
        low, high = sorted((make(r), make(r)))
        return r.choice(["empty", f"[{low},{high}]", f"({low},)", "(,)"])

    return made


def plain_day(r: random.Random) -> str:
    return f"2026-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"


COLUMNS: dict[str, tuple[str, Make]] = {
    "i2": ("smallint", integer(16)),
    "i4": ("integer", integer(32)),
    "i8": ("bigint", integer(64)),
    "num": ("numeric", numeric),
    "num2": ("numeric(12, 2)", lambda r: f"{r.randrange(10**9)}.{r.randrange(100):02}"),
    "f4": ("real", single),
    "f8": ("double precision", floating),
    "cash": ("money", lambda r: f"{r.randrange(-(10**9), 10**9)}.{r.randrange(100):02}"),
    "b": ("boolean", lambda r: r.choice("tf")),
    "t": ("text", words),
    "v": ("varchar(4000)", words),
    "c": ("char(5)", lambda r: r.choice(["a", " b", "äöü", ""])),
    "y": ("bytea", lambda r: "\\x" + r.randbytes(r.randrange(9)).hex()),
    "d": ("date", day),
    "tm": ("time", clock),
    "tmz": ("timetz", lambda r: clock(r) + "+02"),
    "ts": ("timestamp", moment),
    "tsz": ("timestamptz", zoned),
    "iv": ("interval", span),
    "u": ("uuid", lambda r: f"{r.getrandbits(128):032x}"),
    "j": ("json", document),
    "jb": ("jsonb", document),
    "ip": ("inet", lambda r: r.choice(["10.0.0.1/8", "::1", "192.168.0.7"])),
    "net": ("cidr", lambda r: r.choice(["10.0.0.0/8", "2001:db8::/32"])),
    "mac": ("macaddr", lambda r: "08:00:2b:01:02:03"),  # noqa: ARG005
    "bits": ("bit varying", lambda r: r.choice(["", "0", "1010"])),
    "pt": ("point", lambda r: f"({r.uniform(-9, 9)},{r.uniform(-9, 9)})"),
    "bx": ("box", lambda r: f"({r.randrange(9)},2),(0,{r.randrange(9)})"),
    "tsv": ("tsvector", lambda r: r.choice(["", "'a':1 'b c':2A", "'it''s'"])),
    "ir": ("int4range", bounded(lambda r: r.randrange(-99, 99))),
    "dr": ("daterange", bounded(plain_day)),
    "mr": ("int4multirange", lambda r: r.choice(["{}", "{[1,3),[7,9)}"])),
    "e": ("mood", mood),
    "p": ("posint", lambda r: str(r.randrange(1, 99))),
    "h": ("hstore", pairs),
    "pl": ("place", place),
    "vi": ("visit", visit),
    "ia": ("int[]", array(integer(32))),
    "ta": ("text[]", array(words)),
    "na": ("numeric[]", array(numeric)),
    "tza": ("timestamptz[]", array(zoned)),
    "ja": ("jsonb[]", array(document)),
    "ea": ("mood[]", array(mood)),
    "pla": ("place[]", array(place)),
    "ba": ("box[]", lambda r: f"{{({r.randrange(9)},2),(0,0);(1,1),(0,0)}}"),
    "la": ("labels", array(words)),
    "ra": ("int4range[]", array(bounded(lambda r: r.randrange(-99, 99)))),
}  # fmt: skip


def escaped(value: str | None) -> str:
    if value is None:
        return "\\N"
    return value.translate({92: "\\\\", 9: "\\t", 10: "\\n", 13: "\\r"})


def prepare(engine: Engine, table: str) -> None:
    declared = ", ".join(f"{name} {type_}" for name, (type_, _) in COLUMNS.items())
    with engine.begin() as connection:
        anew = "DROP SCHEMA public CASCADE", "CREATE SCHEMA public"
        for statement in (*anew, *TYPES, f"CREATE TABLE {table} (id int, {declared})"):
            connection.execute(text(statement.replace(":", "\\:")))


def fill(engine: Engine, seed: int) -> None:
    r = random.Random(seed)
    lines = [
        "\t".join(
            [str(n)] + [escaped(m(r) if r.random() < 0.9 else None) for _, m in COLUMNS.values()]
        )
        for n in range(ROWS)
    ]
    with closing(engine.raw_connection()) as raw, closing(raw.cursor()) as cursor:
        cursor.execute("SET datestyle = 'ISO, YMD'")
        cursor.copy_expert("COPY source FROM STDIN", StringIO("\n".join(lines) + "\n"))
        raw.commit()


def texts(engine: Engine, table: str) -> dict[str, list[str | None]]:
    """Return each column's values as texts; NULL and an empty text differ."""
    selected = ", ".join(f"{name}\\:\\:text" for name in COLUMNS)
    with engine.connect() as connection:
        rows = connection.execute(text(f"SELECT {selected} FROM {table} ORDER BY id")).all()
    return {name: [row[at] for row in rows] for at, name in enumerate(COLUMNS)}


@pytest.fixture(scope="module")
def other_major() -> Iterator[Engine]:
    try:
        with second_server(debian_programs()) as server:
            server.execute("CREATE DATABASE far")
            engine = engine_for(server.url.replace("/postgres?", "/far?"))
            yield engine
            engine.dispose()
    except NotInstalled as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture
def run_job(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


@pytest.mark.timeout(300)
@pytest.mark.slow
@pytest.mark.generated
def test_generated_rows_of_every_type_come_back_equal(
    run_job: JobRunner, target: Engine, other_major: Engine, seeds: Seeds
) -> None:
    (seed,) = seeds(1)
    run_job.engines["far"] = other_major
    prepare(target, "source")
    prepare(other_major, "source_csv")
    with target.begin() as one, other_major.begin() as far:
        one.execute(text("CREATE TABLE source_csv (LIKE source)"))
        one.execute(text("CREATE TABLE source_jsonl (LIKE source)"))
        far.execute(text("CREATE TABLE source_jsonl (LIKE source_csv)"))
        far.execute(text("CREATE TABLE source (LIKE source_csv)"))
    fill(target, seed)
    expected = texts(target, "source")
    places: dict[str | None, Engine] = {None: target, "far": other_major}
    for format_ in ("csv", "jsonl"):
        path = f"x.{format_}.gz"
        result = run_job(ExportQuery, path=path, sql="SELECT * FROM source", format=format_)
        assert result["row_count"] == ROWS
        for connection, engine in places.items():
            table = f"source_{format_}"
            run_job(LoadFile, path=path, table=table, format=format_, connection=connection)
            found = texts(engine, table)
            for column in COLUMNS:
                assert found[column] == expected[column], (seed, format_, connection, column)


def test_an_older_server_takes_end_marks_and_missing_keys_as_the_newest_does(
    run_job: JobRunner, other_major: Engine, tmp_path: Path
) -> None:
    run_job.engines["far"] = other_major
    with other_major.begin() as far:
        far.execute(text("CREATE TABLE marks (a text)"))
        far.execute(text("CREATE TABLE gaps (id serial, a text DEFAULT 'none', b text)"))
    (tmp_path / "marks.csv").write_text("a\nx\n\\.\ny\n")
    (tmp_path / "gaps.jsonl").write_text('{"b": "1"}\n{"id": 7, "a": null, "b": "2"}\n{"a": "3"}\n')
    far_away = {"connection": "far"}

    assert run_job(LoadFile, path="marks.csv", table="marks", **far_away)["row_count"] == 3
    run_job(LoadFile, path="gaps.jsonl", table="gaps", format="jsonl", **far_away)

    with other_major.connect() as far:
        assert far.execute(text("SELECT a FROM marks")).all() == [("x",), ("\\.",), ("y",)]
        gaps = far.execute(text("SELECT id, a, b FROM gaps ORDER BY id")).all()
    assert gaps == [(1, "none", "1"), (2, "3", None), (7, None, "2")]


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_an_export_of_no_rows_is_read_back_as_none(run_job, execute, query, format_):
    execute("CREATE TABLE t (a int, b text)")
    run_job(ExportQuery, path="x", sql="SELECT * FROM t", format=format_)
    assert run_job(LoadFile, path="x", table="t", format=format_)["row_count"] == 0


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_no_value_and_an_empty_text_stay_apart_in_one_column_too(run_job, execute, query, format_):
    execute("CREATE TABLE t (a text)")
    sql = "SELECT a FROM (VALUES (NULL), (''), ('\\.'), ('x'), (NULL)) AS v (a)"
    run_job(ExportQuery, path="x", sql=sql, format=format_)
    run_job(LoadFile, path="x", table="t", format=format_)
    assert query("SELECT a FROM t") == [(None,), ("",), ("\\.",), ("x",), (None,)]


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_two_columns_of_one_name_are_refused(run_job, tmp_path, format_):
    with pytest.raises(JobFailure, match="2 columns called 'a'"):
        run_job(ExportQuery, path="x", sql="SELECT 1 AS a, 2 AS a", format=format_)
    assert list(tmp_path.glob("exports/*")) == []


def test_a_name_that_ends_in_gz_is_packed(run_job, tmp_path):
    for name in ("x.csv.gz", "y.GZ"):
        run_job(ExportQuery, path=name, sql="SELECT 1 AS a")
        assert gzip.decompress((tmp_path / "exports" / name).read_bytes()) == b"a\n1\n"


def test_an_export_has_the_rights_that_the_umask_leaves(run_job, tmp_path):
    before = os.umask(0o027)
    try:
        run_job(ExportQuery, path="x.csv", sql="SELECT 1 AS a")
    finally:
        os.umask(before)
    assert (tmp_path / "exports" / "x.csv").stat().st_mode & 0o777 == 0o640


def test_an_export_only_reads_on_the_control_database_too(run_job, execute, query, tmp_path):
    execute("CREATE TABLE t (a int)")
    execute(
        "CREATE FUNCTION put() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING a'"
    )
    for sql in ("SELECT put() AS a", "WITH d AS (DELETE FROM t RETURNING a) SELECT a FROM d"):
        with pytest.raises(Exception, match=r"read-only transaction|data-modifying"):
            run_job(ExportQuery, path="x", sql=sql)
    assert query("SELECT count(*) FROM t") == [(0,)]
    result = run_job(ExportQuery, path="x", sql="WITH w AS (SELECT 7 AS a) SELECT a FROM w -- end")
    assert result["row_count"] == 1


def test_a_line_break_between_the_parts_of_a_json_value_does_not_cut_the_line(run_job, tmp_path):
    run_job(ExportQuery, path="x", sql="SELECT E'{\\n\"a\": 1.10}'::json AS j", format="jsonl")
    (line,) = (tmp_path / "exports" / "x").read_text().splitlines()
    assert json.loads(line, parse_float=str) == {"j": {"a": "1.10"}}


def test_a_delimiter_that_cannot_be_one_is_refused():
    for delimiter in ("", ";;", '"', "\n", "ä"):
        with pytest.raises(InvalidPayload, match="delimiter must be one character"):
            ExportQuery(path="x", sql="SELECT 1", delimiter=delimiter)


def test_a_hidden_file_of_an_earlier_attempt_is_removed_by_the_next(tmp_path):
    from headrace import jobapi
    from headrace.jobapi.folders import Folders
    from headrace.jobs.files.atomic_files import partial_name, written_whole

    exports, job = tmp_path / "exports", "6f1f0d3e-0000-4000-8000-000000000001"
    exports.mkdir()
    other = exports / partial_name("x.csv", "6f1f0d3e-0000-4000-8000-000000000002", 1)
    other.touch()
    folders = Folders(tmp_path, tmp_path, (exports,))

    def attempt(number: int) -> None:
        jobapi.enter(jobapi.Attempt(job, number, tmp_path, folders, sessions=None))  # type: ignore[arg-type]

    def overtaken() -> None:
        attempt(1)
        with written_whole(exports / "x") as one:
            attempt(2)
            with written_whole(exports / "x") as two:
                two.write(b"second")
            one.write(b"first, woken late")

    try:
        with pytest.raises(JobFailure, match="newer attempt"):
            overtaken()
    finally:
        jobapi.enter(None)
    assert (exports / "x").read_bytes() == b"second"
    assert sorted(exports.iterdir()) == sorted([other, exports / "x"])
