"""LoadFile stores the value that a file means: instants in any form, what only Parquet has."""

import csv
import datetime
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from headrace.errors import JobFailure
from headrace.jobs.load_file import LoadFile
from tests.support.attempts import JobRunner

NOON = datetime.datetime(2026, 2, 3, 12, tzinfo=datetime.UTC)
SPAN = -datetime.timedelta(days=1, seconds=5, microseconds=1)


@pytest.fixture
def run_job(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        *((("interval", datetime.timedelta(seconds=5), pa.duration(unit)), "00:00:05")
          for unit in ("s", "ms", "us", "ns")),
        (("interval", SPAN, pa.duration("us")), "-24:00:05.000001"),
        (("interval[]", [SPAN, None], pa.list_(pa.duration("us"))), "{-24:00:05.000001,NULL}"),
        (("date[]", [NOON.date()], pa.list_(pa.date32())), "{2026-02-03}"),
        (("time[]", [NOON.time()], pa.list_(pa.time64("us"))), "{12:00:00}"),
        (("timestamp[]", [NOON], pa.list_(pa.timestamp("us"))), '{"2026-02-03 12:00:00"}'),
        (("jsonb", {"at": NOON, "no": None},
          pa.struct({"at": pa.timestamp("us", "UTC"), "no": pa.date32()})),
         '{"at": "2026-02-03T12:00:00+00:00", "no": null}'),
        (("bytea[]", [b"\x00\xff"], pa.list_(pa.binary())), '{"\\\\x00ff"}'),
        (("bytea", b"\x00\xff", pa.large_binary()), "\\x00ff"),
        (("bytea", b"\x00\xff", pa.binary(2)), "\\x00ff"),
        (("bytea", b"\x00\xff", pa.binary_view()), "\\x00ff"),
        (("bytea", b"\\x00\xff", pa.dictionary(pa.int32(), pa.binary())), "\\x5c783030ff"),
        (("float8[]", [math.nan, -math.inf, 1e300], pa.list_(pa.float64())),
         "{NaN,-Infinity,1e+300}"),
    ],
)  # fmt: skip
def test_spans_moments_and_bytes_of_parquet_are_stored_alone_and_in_lists(
    run_job, execute, query, tmp_path, given, stored
):
    type_, value, kind = given
    execute(f"CREATE TABLE t (x {type_})")
    pq.write_table(pa.table({"x": pa.array([value, None], kind)}), tmp_path / "x.parquet")

    run_job(LoadFile, path="x.parquet", table="t")

    assert query("SELECT x::text FROM t ORDER BY x IS NULL") == [(stored,), (None,)]


@pytest.mark.parametrize(
    ("format_", "written", "instant"),
    [
        ("MM/DD/YYYY HH12:MI AM TZ", "02/03/2026 10:00 PM -05", "2026-02-04 03:00"),
        ("MM/DD/YYYY HH12:MI AMTZH", "2/3/2026 10:00 p.m.+02", "2026-02-03 20:00"),
        ("MM/DD/YYYY HH12:MI PM", "02/03/2026 9:05 A.M.", "2026-02-03 09:05"),
        ("YYYYMMDD HH24MI TZ", "20260203 0905 Europe/Rome", "2026-02-03 08:05"),
        ("YYYYMMDDTZ", "20260203-05:30", "2026-02-03 05:30"),
        ('YYYY-MM-DD"T"HH24:MI:SS.USTZ', "2026-02-03T09:05:06.5Z", "2026-02-03 09:05:06.5"),
    ],
)
def test_an_instant_in_any_form_is_the_one_that_is_meant(
    run_job, execute, query, tmp_path, format_, written, instant
):
    execute("CREATE TABLE t (id int, at timestamptz)")
    (tmp_path / "x.csv").write_text(f"id,at\n1,{written}\n")
    (tmp_path / "x.jsonl").write_text(json.dumps({"id": 2, "at": written}))
    columns = {"id": "int", "at": {"type": "timestamptz", "format": format_}}

    for name in ("x.csv", "x.jsonl"):
        run_job(LoadFile, path=name, table="t", columns=columns)

    assert query(f"SELECT id FROM t WHERE at = '{instant}+00' ORDER BY id") == [(1,), (2,)]


CUT = (
    ("numeric(10,2)", "1.50", "1.239", "more than 2 digits after the point"),
    ("numeric(10,2)", "1.5e1", "1.239e0", "more than 2 digits after the point"),
    ("numeric(5,-2)", "1200", "1250", "more than -2 digits after the point"),
    ("date", "2026-02-03 00:00:00", "2026-02-03 10:00:00", "a time of day"),
    ("timestamp", "2026-02-03T10:00:00Z", "2026-02-03T10:00:00+02:00", "a time zone other"),
    ("timestamp", "2026-02-03 10:00:00.1234560", "2026-02-03 10:00:00.123456789", "more than 6"),
    ("timestamptz(3)", "2026-02-03 10:00:00.123-05", "2026-02-03 10:00:00.1234-05", "more than 3"),
    ("time", "10:00:00", "2026-02-03 10:00:00", "a day"),
    ("time", "10:00:00", "10:00:00-03", "a time zone other"),
)


@pytest.mark.parametrize("case", CUT)
def test_a_value_of_which_a_column_would_keep_a_part_is_refused(
    run_job, execute, query, tmp_path, case
):
    type_, kept, cut, told = case
    execute(f"CREATE TABLE t (note uuid, x {type_}, b text)")
    rows = [(None, kept, 'a "b",\nc'), (None, cut, "d")]
    with (tmp_path / "x.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("note", "x", "b"), *rows])
    records = [{"x": x, "b": b} for _, x, b in rows]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, records)))
    pq.write_table(pa.table({"x": [kept, cut], "b": ["a", "d"]}), tmp_path / "x.parquet")

    for name, line in (("x.csv", 4), ("x.jsonl", 2), ("x.parquet", 2)):
        with pytest.raises(JobFailure) as refused:
            run_job(LoadFile, path=name, table="t")
        said = str(refused.value)
        assert f"{name}:{line}: column x: {cut!r} has {told}" in said
        assert "give it a type that does, such as text" in said
        run_job(LoadFile, path=name, table="t", on_error={"reject_table": "rejected", "limit": 1})

    assert query("SELECT count(*) FROM t") == [(3,)]
    assert query(f"SELECT DISTINCT x FROM t WHERE x = '{kept}'") == query(
        "SELECT DISTINCT x FROM t"
    )


def test_columns_of_parquet_that_hold_more_than_the_table_are_refused(
    run_job, execute, query, tmp_path
):
    nanoseconds = 1_700_000_000_123_456_789
    for type_, value, kind, told in (
        ("timestamp", nanoseconds, pa.timestamp("ns"), "more than 6 digits of a second"),
        ("timestamp", NOON, pa.timestamp("us", "Europe/Rome"), "a time zone other than UTC"),
        ("date", NOON, pa.timestamp("us", "UTC"), "a time of day"),
        ("numeric(10,2)", 1.239, pa.float64(), "more than 2 digits"),
        ("timestamp[]", [nanoseconds], pa.list_(pa.timestamp("ns")), "column x: Nanosecond"),
        ("jsonb", {"at": nanoseconds}, pa.struct({"at": pa.timestamp("ns")}), "column x: Nanosec"),
    ):
        execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t (x {type_})")
        pq.write_table(pa.table({"x": pa.array([value], kind)}), tmp_path / "x.parquet")
        with pytest.raises(JobFailure, match=rf"x\.parquet.*{told}"):
            run_job(LoadFile, path="x.parquet", table="t")


def test_a_number_of_json_is_read_in_the_form_of_its_column(run_job, execute, query, tmp_path):
    execute("CREATE TABLE t (day date)")
    (tmp_path / "x.jsonl").write_text('{"day": 20260302}\n{"day": "20260402"}')
    columns = {"day": {"type": "date", "format": "YYYYDDMM"}}

    run_job(LoadFile, path="x.jsonl", table="t", columns=columns)

    assert query("SELECT day::text FROM t ORDER BY day") == [("2026-02-03",), ("2026-02-04",)]


def test_an_escape_character_that_escapes_nothing_is_no_character_less(
    run_job, execute, query, tmp_path
):
    execute("CREATE TABLE t (id int, name text)")
    rows = ["id,name", '1,"C:\\\\new \\"x\\""', "2,a\\,b", "3,C:\\new", '4,"\\\\\\q"']
    (tmp_path / "x.csv").write_text("\n".join(rows))
    with_ = {"path": "x.csv", "table": "t", "escape": "\\"}

    with pytest.raises(JobFailure, match=r"x\.csv:4: the character that `escape` names .* be lost"):
        run_job(LoadFile, **with_)
    run_job(LoadFile, **with_, on_error={"reject_table": "rejected", "limit": 2})

    assert query("SELECT * FROM t ORDER BY id") == [(1, 'C:\\new "x"'), (2, "a,b")]
    assert query("SELECT line, raw FROM rejected ORDER BY line") == [(4, rows[3]), (5, rows[4])]
