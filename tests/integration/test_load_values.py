"""LoadFile stores the value that a file means: instants in any form, what only Parquet has."""

import datetime
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

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
