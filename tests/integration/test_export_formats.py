"""ExportQuery in every format, packed, split: LoadFile reads it back equal."""

import csv
import errno
import os
import random
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.copying import binary_copy
from headrace.jobs.export_query import ExportQuery
from headrace.jobs.load_file import LoadFile
from tests.support.attempts import JobRunner
from tests.support.generated import budget

FORMATS = ("csv", "tsv", "json", "jsonl", "parquet", "xlsx")
TABLE = (
    "CREATE TABLE {} (id int, big bigint, num numeric(12,2), any_num numeric, f8 float8, f4 real,"
    " ok bool, note text, code char(3), day date, at timestamp, zoned timestamptz, clock time,"
    " span interval, doc jsonb, tags text[], raw bytea, u uuid)"
)
ROWS = """INSERT INTO t VALUES
 (1, 9223372036854775807, 1.50, 1.500, 0.1, 0.1, true, 'José', 'ab', '2026-02-03',
  '2026-02-03 10:00:00.123456', '2026-02-03 10:00+02', '10:00', '1 mon 2 days', '{"a": [1.10]}',
  '{a,"b,c",NULL}', '\\x00ff', '6f1f0d3e-0000-4000-8000-000000000001'),
 (2, -1, -7, 12345678901234567890.123456789, 'NaN', '-Infinity', false, E'two\nlines "q", ,', 'x',
  'infinity', '0044-03-15 12:00 BC', 'infinity', '24:00', '-1 year', '[null]', '{}', '', NULL),
 (3, 0, 0, 'NaN', 1e300, -0, NULL, '=1+1', NULL, '1800-01-01', '9999-12-31', '1800-01-01 00:00+00',
  '00:00', NULL, NULL, NULL, NULL, NULL),
 (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL)"""

PARTS = [f"000{part}" for part in range(1, 10)]


@pytest.fixture
def run_job(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    return tmp_path / "exports"


def test_a_file_is_on_the_disk_as_a_whole_before_it_appears(run_job, exports, monkeypatch):
    stored: list[tuple[int, list[str]]] = []

    def stores(descriptor: int) -> None:
        there = [path.name for path in exports.iterdir() if not path.name.startswith(".")]
        stored.append((os.fstat(descriptor).st_size, there))

    monkeypatch.setattr("os.fsync", stores)
    run_job(ExportQuery, path="x.csv", sql="SELECT 1 AS a")

    assert stored == [(len(b"a\n1\n"), [])]


def test_what_is_written_in_any_format_is_read_back_equal(run_job, execute, query):
    execute(TABLE.format("t"))
    execute(TABLE.format("copy"))
    execute(ROWS)
    expected = query("SELECT t::text FROM t ORDER BY id")
    for format_ in FORMATS:
        path = f"rows.{format_}"
        done = run_job(ExportQuery, path=path, sql="SELECT * FROM t ORDER BY id")
        assert done == {"row_count": 4, "path": path, "files": 1}
        run_job(LoadFile, path=path, table="copy", mode="replace")
        got = query("SELECT copy::text FROM copy ORDER BY id")
        assert got == expected, format_


def test_every_packing_and_split_is_read_back_equal(run_job, execute, query, exports):
    execute("CREATE TABLE t (n int, k text)")
    execute("INSERT INTO t SELECT g, (array['a','b/c','', NULL])[g % 4 + 1]"
            " FROM generate_series(1, 1000) AS g")  # fmt: skip
    execute("CREATE TABLE copy (n int, k text)")
    expected = query("SELECT n, k FROM t ORDER BY n")
    sql = "SELECT * FROM t ORDER BY n"

    def back(path: str) -> None:
        run_job(LoadFile, path=path, table="copy", mode="replace")
        assert query("SELECT n, k FROM copy ORDER BY n") == expected, path

    for ending in ("csv.gz", "csv.zst", "jsonl.bz2", "json.xz", "tsv.zip", "csv.GZ"):
        run_job(ExportQuery, path=f"x.{ending}", sql=sql)
        back(f"x.{ending}")
    run_job(ExportQuery, path="y", sql=sql, format="parquet", compression="zst")
    assert pq.ParquetFile(exports / "y").metadata.row_group(0).column(0).compression == "ZSTD"
    back("y")
    for split, files in (({"rows": 400}, 3), ({"bytes": "3kB"}, 3), ({"by": "k"}, 4)):
        for format_ in ("csv.gz", "json", "parquet"):
            (key,) = split
            done = run_job(ExportQuery, path=f"{key}/{format_}/x.{format_}", sql=sql, split=split)
            assert done["row_count"] == 1000
            assert done["files"] == files or (key, format_) == ("bytes", "json")
            back(f"{key}/{format_}")
    assert sorted(one.name for one in (exports / "by" / "json").glob("x*")) == [
        "x-a.json", "x-b_c.json", "x-empty.json", "x-null.json",
    ]  # fmt: skip
    assert sorted(one.name for one in (exports / "rows" / "csv.gz").glob("x*")) == [
        "x-0001.csv.gz", "x-0002.csv.gz", "x-0003.csv.gz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("split", "files"),
    [
        ({"rows": 2}, (["x-0001.csv", "x-0002.csv"], PARTS[2:5])),
        ({"bytes": "6B"}, (["x-0001.csv", "x-0002.csv", "x-0003.csv"], PARTS[3:])),
        ({"by": "k"}, (["x-0.csv", "x-1.csv"], ["2", "3", "4"])),
        (None, (["x.csv"], PARTS)),
    ],
)
def test_files_of_a_longer_export_before_do_not_stay(
    run_job, execute, query, exports, caplog, split, files
):
    left, gone = files
    execute("CREATE TABLE copy (n int, k int)")
    exports.mkdir()
    others = ["x-2024.csv", "x.csv.gz", "y-0004.csv"]
    for name in others:
        (exports / name).write_text("n,k\n0,0\n")
    sql = "SELECT n, n % {} AS k FROM generate_series(1, {}) AS n"
    before = split or {"rows": 1}
    caplog.set_level("INFO")

    run_job(ExportQuery, path="x.csv", sql=sql.format(5, 9), split=before)
    run_job(ExportQuery, path="x.csv", sql=sql.format(2, 3), split=split)

    found = sorted(one.name for one in exports.iterdir() if not one.name.startswith("."))
    assert found == sorted([*left, *others])
    first = ", ".join(f"x-{part}.csv" for part in gone[:5])
    more = f" and {len(gone) - 5} more" if len(gone) > 5 else ""
    files = "1 file" if len(gone) == 1 else f"{len(gone)} files"
    (exports / "x-0009.csv").write_text("n,k\n0,0\n")
    run_job(ExportQuery, path="x.csv", sql=sql.format(2, 3), split=split)
    assert (exports / "x-0009.csv").exists(), "it is no export's any more"
    (told,) = (one.getMessage() for one in caplog.records if one.msg.startswith("Removed"))
    assert told == (
        f"Removed {files} of an earlier export to x.csv, which this one has not written: "
        f"{first}{more}"
    )
    for name in left:
        run_job(LoadFile, path=name, table="copy")
    assert query("SELECT n FROM copy ORDER BY n") == [(1,), (2,), (3,)]


def test_no_file_of_an_export_appears_where_the_last_one_cannot_be_written(
    run_job, exports, monkeypatch
):
    """What compression holds back is written as a file ends: a full disk may be met there."""
    run_job(ExportQuery, path="x.csv.gz", sql="SELECT 'old' AS a", split={"rows": 1})
    before = (exports / "x-0001.csv.gz").read_bytes()
    synced = os.fsync
    left = iter((0, 0))

    def full(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JobFailure, match=r"x-000\d\.csv\.gz cannot be written.*No space left"):
        run_job(ExportQuery, path="x.csv.gz", sql="SELECT generate_series(1, 3) AS a",
                split={"rows": 1})  # fmt: skip

    assert (exports / "x-0001.csv.gz").read_bytes() == before
    assert [one.name for one in exports.iterdir() if one.name[0] != "."] == ["x-0001.csv.gz"]


def test_a_value_that_turns_up_late_and_does_not_fit_makes_its_column_text(
    run_job, execute, query, caplog
):
    """Many rows have gone into the file by then, and the server is still sending."""
    sql = (
        "SELECT n, repeat(md5(n::text), 10) AS filler, CASE WHEN n = 14000 THEN 'infinity'"
        " ELSE date '2026-01-01' END AS day FROM generate_series(1, {}) AS n"
    )
    run_job(ExportQuery, path="x.parquet", sql=sql.format(40_000))
    told = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert [one.partition(" text: ")[0] for one in told] == [
        "x.parquet: the column day is written as"
    ]
    execute("CREATE TABLE t (n int, filler text, day date)")
    assert run_job(LoadFile, path="x.parquet", table="t")["row_count"] == 40_000
    assert query("SELECT n FROM t WHERE day = 'infinity'") == [(14_000,)]


def test_names_that_differ_at_their_end_only_are_files_of_their_own(run_job, exports, execute):
    run_job(ExportQuery, path=f"{'ä' * 90}.csv", sql="SELECT generate_series(1, 3) AS a",
            split={"rows": 1})  # fmt: skip
    texts = [one.read_text() for one in sorted(exports.iterdir()) if one.name[0] != "."]
    assert texts == ["a\n1\n", "a\n2\n", "a\n3\n"]


def test_the_null_of_json_is_kept_apart_from_null_or_refused(run_job, execute, query):
    execute("CREATE TYPE pair AS (a int, doc jsonb)")
    execute("CREATE TABLE t (n int, docs jsonb[], p pair, ps pair[])")
    execute("""INSERT INTO t VALUES
        (1, ARRAY['null', NULL, '{"a": null}', '"null"']::jsonb[], (1, 'null'),
         ARRAY[(1, 'null')::pair, (2, NULL)::pair]),
        (2, NULL, (2, NULL), ARRAY[(3, '[null]')::pair, NULL])""")
    execute("CREATE TABLE copy (LIKE t)")
    run_job(ExportQuery, path="x.jsonl", sql="SELECT * FROM t")
    run_job(LoadFile, path="x.jsonl", table="copy")
    assert query("SELECT copy::text FROM copy ORDER BY n") == query("SELECT t::text FROM t")
    for kind in ("json", "jsonb"):
        with pytest.raises(JobFailure, match=r"the column doc .* JSON value null.*nullif\(doc"):
            run_job(ExportQuery, path="x.jsonl", sql=f"SELECT 1 AS n, 'null'::{kind} AS doc")
    run_job(ExportQuery, path="x.jsonl", sql="SELECT 1 AS n, '\"null\"'::jsonb AS doc")


def test_a_spreadsheet_gets_no_formula_and_knows_the_encoding(run_job, exports):
    sql = "SELECT '=1+1' AS a, '-2'::text AS b, -2 AS c, E'\\tx' AS d, 'é' AS e"
    run_job(ExportQuery, path="x.csv", sql=sql, formulas="escape", bom=True)
    raw = (exports / "x.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfa,b,c")
    assert list(csv.reader(raw.decode("utf-8-sig").splitlines()))[1] == [
        "'=1+1", "'-2", "-2", "'\tx", "é",
    ]  # fmt: skip
    run_job(ExportQuery, path="x.xlsx", sql=sql)
    sheet = openpyxl.load_workbook(exports / "x.xlsx").active
    assert [(cell.value, cell.data_type) for cell in sheet[2]][:3] == [
        ("=1+1", "s"), ("-2", "s"), (-2, "n"),
    ]  # fmt: skip


def test_an_export_that_fails_leaves_no_file_and_no_part_of_a_split_one(run_job, exports):
    sql = "SELECT n, 1 / (900 - n) AS x FROM generate_series(1, 1000) AS n"
    for name in ("x.csv", "x.parquet", "x.xlsx", "x.json.zst"):
        for split in (None, {"rows": 100}, {"by": "n"}):
            with pytest.raises(Exception, match=r"division by zero|more than 500"):
                run_job(ExportQuery, path=name, sql=sql, split=split)
    assert list(exports.iterdir()) == []


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({"path": "x.xlsx", "compression": "gz"}, "a spreadsheet is packed by itself"),
        ({"path": "x.parquet.bz2"}, "Parquet is packed inside"),
        ({"path": "x.json", "bom": True}, "bom is for CSV files only"),
        ({"path": "x", "split": {"rows": "many"}}, r"split\.rows is a number of rows"),
        ({"path": "x", "split": {"rows": 1, "by": "a"}}, "takes one of rows, bytes and by"),
    ],
)
def test_forms_that_do_not_go_together_are_refused(with_, told):
    with pytest.raises(InvalidPayload, match=told):
        ExportQuery(sql="SELECT 1", **with_)


def test_a_column_that_is_not_there_cannot_split(run_job):
    with pytest.raises(JobFailure, match=r"split\.by: the query has no column 'c'; it has: a"):
        run_job(ExportQuery, path="x.csv", sql="SELECT 1 AS a", split={"by": "c"})


VALUES = st.tuples(
    st.one_of(st.none(), st.text(st.characters(exclude_characters="\x00", codec="utf-8"))),
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.floats()),
    st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False, places=3,
                                     min_value=-(10**12), max_value=10**12)),
    st.one_of(st.none(), st.datetimes()),
)  # fmt: skip


@budget(25)
@given(values=st.lists(VALUES, max_size=20), format_=st.sampled_from(FORMATS[:5]))
def test_generated_values_come_back_equal(run_job, target, values, format_):
    columns = "(n int, a text, b bigint, c float8, d numeric(20,3), e timestamp)"
    with target.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS t, copy"))
        connection.execute(text(f"CREATE TABLE t {columns}"))
        connection.execute(text(f"CREATE TABLE copy {columns}"))
        for n, (a, b, c, d, e) in enumerate(values):
            row: dict[str, Any] = {"n": n, "a": a, "b": b, "c": c, "d": d, "e": e}
            connection.execute(text("INSERT INTO t VALUES (:n, :a, :b, :c, :d, :e)"), row)
    name = f"x{random.randrange(10**9)}.{format_}"
    run_job(ExportQuery, path=name, sql="SELECT * FROM t")
    run_job(LoadFile, path=name, table="copy")
    with target.connect() as connection:
        found = [
            connection.execute(text(f"SELECT {one}::text FROM {one} ORDER BY n")).all()
            for one in ("t", "copy")
        ]
    assert found[0] == found[1]


@pytest.mark.parametrize("format_", ["csv", "tsv", "json", "jsonl"])
def test_an_export_of_text_does_not_wait_for_the_import_of_pyarrow(run_job, monkeypatch, format_):
    def imported(module: str, *_: object) -> None:
        raise AssertionError(f"{module} was imported")

    monkeypatch.setattr(binary_copy, "library", imported)

    done = run_job(ExportQuery, path=f"one.{format_}", sql="SELECT 1 AS n")

    assert done["row_count"] == 1
