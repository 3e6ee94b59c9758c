"""ExportQuery at the limits of a format, with no rows, and where a file cannot appear."""

import io
import sys
from pathlib import Path
from typing import Any, cast

import openpyxl
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from headrace.errors import JobFailure
from headrace.jobs.base import BaseJob
from headrace.jobs.export_query import ExportQuery
from headrace.jobs.files.atomic_files import written_whole
from headrace.jobs.files.copy_streams import copy_out
from headrace.jobs.load_file import LoadFile
from headrace.template import RenderedSql
from tests.support.attempts import JobRunner


@pytest.fixture
def run_job(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


def failed(run_job: JobRunner, **with_: Any) -> str:
    """Run an export that has to fail and to leave no file, and return what it says."""
    with pytest.raises(JobFailure) as failure:
        run_job(ExportQuery, **with_)
    assert [one for one in run_job.project.rglob("*") if one.is_file()] == []
    return str(failure.value)


@pytest.mark.parametrize("split", [None, {"rows": 2}, {"bytes": "1kB"}])
@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet", "xlsx"])
def test_a_query_without_rows_makes_one_file_with_its_columns(
    run_job, tmp_path, form: str, split: dict[str, Any] | None
):
    result = run_job(
        ExportQuery, path=f"x.{form}", sql="SELECT 1 AS id, 'a' AS name WHERE false", split=split
    )

    assert (result["row_count"], result["files"]) == (0, 1)
    (path,) = (tmp_path / "exports").glob("x*")
    assert path.name == (f"x-0001.{form}" if split else f"x.{form}")
    if form == "parquet":
        found = pq.read_table(path)
        assert (found.column_names, found.num_rows) == (["id", "name"], 0)
    elif form == "xlsx":
        sheet = openpyxl.load_workbook(path).active
        assert [[cell.value for cell in row] for row in sheet.rows] == [["id", "name"]]
    else:
        assert path.read_text() == {"csv": "id,name\n", "json": "[]\n", "jsonl": ""}[form]


def test_a_sheet_takes_so_many_rows_and_no_more(run_job, monkeypatch):
    monkeypatch.setattr("headrace.jobs.files.row_outputs._SHEET_ROWS", 3)
    sql = "SELECT generate_series(1, {}) AS n"

    told = failed(run_job, path="x.xlsx", sql=sql.format(3))

    assert told == "a sheet has at most 3 rows: split the export, or write CSV or Parquet"
    # The header is one of them.
    assert run_job(ExportQuery, path="x.xlsx", sql=sql.format(2))["row_count"] == 2


def test_a_cell_takes_so_many_characters_and_no_control_character(run_job, tmp_path):
    sql = "SELECT repeat('é', {}) AS t"
    told = failed(run_job, path="x.xlsx", sql=sql.format(32_768))
    assert told == f"a cell holds at most 32767 characters: {'é' * 59 + '…'!r}"

    # As it is written it has six more, and the library would cut them.
    told = failed(run_job, path="x.xlsx", sql="SELECT '_x0041_' || repeat('b', 32760) AS t")
    assert told == f"a cell holds at most 32767 characters: {'_x0041_' + 'b' * 52 + '…'!r}"

    told = failed(run_job, path="x.xlsx", sql="SELECT 'a' || chr(7) || repeat('b', 60) AS t")
    assert told == (
        f"a spreadsheet cannot hold the control character in {'a' + chr(7) + 'b' * 57 + '…'!r}"
    )

    run_job(ExportQuery, path="x.xlsx", sql=sql.format(32_767))
    sheet = openpyxl.load_workbook(tmp_path / "exports" / "x.xlsx").active
    assert sheet["A2"].value == "é" * 32_767


def test_a_sheet_holds_times_to_the_millisecond_and_others_as_texts(
    run_job, execute, query, tmp_path
):
    moments = ["1900-01-15 00:00:00", "2026-02-03 10:00:00.123", "2026-02-03 10:00:00.123456"]
    rows = ", ".join(f"({n}, timestamp '{one}')" for n, one in enumerate(moments))
    execute("CREATE TABLE copy (n int, at timestamp)")

    run_job(ExportQuery, path="x.xlsx", sql=f"SELECT * FROM (VALUES {rows}) AS v(n, at)")
    run_job(LoadFile, path="x.xlsx", table="copy")

    sheet = openpyxl.load_workbook(tmp_path / "exports" / "x.xlsx").active
    assert [row[1].data_type for row in sheet] == ["s", "d", "d", "s"]
    assert query("SELECT at::text FROM copy ORDER BY n") == [(one,) for one in moments]


def test_times_of_a_zone_that_counts_seconds_are_times_in_a_typed_file(
    run_job, tmp_path, target, execute, query, caplog
):
    name = query("SELECT current_database()")[0][0]
    execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Africa/Monrovia'")
    target.dispose()
    sql = "SELECT '1950-01-01 00:00+00'::timestamptz AS at"
    assert run_job(ExportQuery, path="x.csv", sql=sql)["row_count"] == 1
    assert (tmp_path / "exports" / "x.csv").read_text() == "at\n1949-12-31 23:15:30-00:44:30\n"

    run_job(ExportQuery, path="x.parquet", sql=sql)

    column = pq.read_table(tmp_path / "exports" / "x.parquet").column("at")
    assert str(column.type) == "timestamp[us, tz=UTC]"
    assert [one.isoformat() for one in column.to_pylist()] == ["1950-01-01T00:00:00+00:00"]
    assert "is written as text" not in caplog.text


def test_a_text_in_a_sheet_that_looks_like_a_character_s_number_stays_one(run_job, execute, query):
    texts = ["x_x0041_", "_x000D_", "_x005F_x0041_", "_x41_ _x0041"]
    execute("CREATE TABLE copy (_x0041_ text)")

    values = ", ".join(f"('{one}')" for one in texts)
    run_job(ExportQuery, path="x.xlsx", sql=f"SELECT * FROM (VALUES {values}) AS v(_x0041_)")
    run_job(LoadFile, path="x.xlsx", table="copy")

    assert query("SELECT * FROM copy") == [(one,) for one in texts]


def test_two_values_that_would_be_one_file_are_refused(run_job):
    told = failed(
        run_job,
        path="x.csv",
        sql="SELECT * FROM (VALUES ('a/b'), ('a_b')) AS v (kind)",
        split={"by": "kind"},
    )
    assert told == "split.by: 'a_b' and 'a/b' would be the same file, a_b"


def test_a_file_that_a_folder_gets_in_the_way_of_leaves_nothing_hidden(run_job, tmp_path):
    class Written(BaseJob):
        def handle(self) -> None:
            path = tmp_path / "x.csv"
            with written_whole(path):
                path.mkdir()

    with pytest.raises(IsADirectoryError):
        run_job(Written)

    assert list(tmp_path.iterdir()) == [tmp_path / "x.csv"]


def test_what_the_disk_says_beside_that_it_is_full_stays_what_it_is(run_job, tmp_path, monkeypatch):
    def stale(_number: int) -> None:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr("headrace.jobs.files.atomic_files.os.fsync", stale)

    with pytest.raises(OSError, match="Stale file handle"):
        run_job(ExportQuery, path="x.csv", sql="SELECT 1 AS n")

    assert list((tmp_path / "exports").iterdir()) == []


def test_a_format_whose_library_is_missing_says_how_it_is_installed(run_job, monkeypatch):
    for name in ("pyarrow", "pyarrow.csv", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)

    for form in ("parquet", "xlsx"):
        told = failed(run_job, path=f"x.{form}", sql="SELECT 1 AS n, 'a' AS t")
        assert told == (
            "the format needs the library pyarrow, which is not installed: pip install"
            " 'headrace[files]'"
        )


@pytest.mark.parametrize("by_row", [False, True])
def test_what_the_file_says_about_the_last_row_is_raised_as_it_is(target, by_row):
    """The server has ended the COPY by then: it has nothing to stop any more."""

    class Full(io.RawIOBase):
        def write(self, _rows: Any) -> int:
            raise OSError(28, "No space left on device")

    with Session(target) as session:
        copied = RenderedSql("COPY (SELECT 1) TO STDOUT", {})
        with pytest.raises(OSError, match="No space left on device"):
            copy_out(session, copied, cast("Any", Full()), by_row=by_row)
