"""Spreadsheets: each value comes back as it went, and what a cell shows is what is loaded."""

import datetime
from pathlib import Path

import openpyxl
import pytest
from sqlalchemy import Engine

from headrace.errors import JobFailure
from headrace.jobs.export_query import ExportQuery
from headrace.jobs.load_file import LoadFile
from tests.support.attempts import JobRunner

ODD = (
    ("bigint", "9007199254740991", "1234567890123456", "-1000000000000000", "9223372036854775807"),
    ("float8", "0.30000000000000004", "1.7976931348623157e308", "5e-324", "-0",
     "123456789012345680"),
    ("real", "0.1", "16777216", "-0", "3.4028235e38"),
    ("numeric(38,20)", "0.00000000000000000001", "1.5", "123456789012345678"),
    ("text", "a\r\nb\rc", " ", "\t", "\n ", "\u3000", "  x ", "_x000D_", "_x0020_", "true", "00123",
     "1.50", "#N/A", "=1+1", "\ufffe"),
    ("date", "1900-01-01", "1900-02-28", "1900-03-01", "1899-12-31", "9999-12-31"),
    ("timestamp", "1900-01-01 00:00", "1900-02-28 23:59:59.999", "2026-02-03 00:00",
     "9999-12-31 23:59:59.999", "2026-02-03 10:00:00.123456"),
    ("time", "00:00", "23:59:59.999999", "24:00"),
)  # fmt: skip


@pytest.fixture
def run_job(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


def test_odd_values_of_each_type_come_back_equal(run_job, execute, query):
    columns = ", ".join(f"c{at} {type_}" for at, (type_, *_) in enumerate(ODD))
    execute(f"CREATE TABLE t (n int, {columns}); CREATE TABLE copy (LIKE t)")
    for at, (_, *values) in enumerate(ODD):
        for n, value in enumerate(values):
            quoted = value.replace("'", "''")
            execute(f"INSERT INTO t (n, c{at}) VALUES ({n}, '{quoted}')")

    run_job(ExportQuery, path="x.xlsx", sql="SELECT * FROM t")
    run_job(LoadFile, path="x.xlsx", table="copy")

    order = "ORDER BY n, " + ", ".join(f"c{at} IS NULL" for at in range(len(ODD)))
    for one in ("n", *(f"c{at}" for at in range(len(ODD)))):
        went, came = (query(f"SELECT {one}::text FROM {table} {order}") for table in ("t", "copy"))
        assert came == went


def test_a_number_has_its_digits_in_the_sheet(run_job, tmp_path):
    run_job(ExportQuery, path="x.xlsx", sql="SELECT 0.1::real AS a, 0.1::float8 + 0.2 AS b")

    sheet = openpyxl.load_workbook(tmp_path / "exports" / "x.xlsx").active
    assert [cell.value for cell in sheet[2]] == [0.1, 0.30000000000000004]


def test_an_export_tells_which_rows_a_sheet_does_not_have(run_job, execute, query, caplog):
    execute("CREATE TABLE t (a int, b text)")
    sql = "VALUES (NULL, NULL), (1, 'x'), (NULL, NULL), (NULL, '')"

    run_job(ExportQuery, path="x.xlsx", sql=f"SELECT * FROM ({sql}) AS v (a, b)")
    run_job(LoadFile, path="x.xlsx", table="t")

    told = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert told == ["No value in 2 rows at the end: a spreadsheet ends before them"]
    assert query("SELECT * FROM t ORDER BY a") == [(1, "x"), (None, None)]


def sheet_with(path: Path, cells: dict[str, object], title: str = "Data & more") -> None:
    book = openpyxl.Workbook()
    book.active.title = "Other"
    sheet = book.create_sheet(title)
    for place, value in cells.items():
        sheet[place] = value
        if isinstance(value, str) and value.startswith("#"):
            sheet[place].data_type = "e"
    book.save(path)


def test_an_error_in_a_cell_is_no_missing_value(run_job, execute, query, tmp_path):
    cells = {"B3": "a", "C3": "b", "B4": 1, "C4": "#N/A", "B5": "#DIV/0!", "C5": "x",
             "B6": "#REF!"}  # fmt: skip
    sheet_with(tmp_path / "x.xlsx", cells)
    execute("CREATE TABLE t (a text, b text); CREATE TABLE n (a int, b text)")
    with_ = {"path": "x.xlsx", "sheet": 2, "skip_lines": 2}

    run_job(LoadFile, table="t", **with_)
    with pytest.raises(JobFailure, match=r'x\.xlsx:5: column a: .*integer: "#DIV/0!"'):
        run_job(LoadFile, table="n", **with_)
    run_job(LoadFile, table="n", **with_, on_error={"reject_table": "rejected", "limit": 2})

    assert query("SELECT * FROM t ORDER BY a") == [
        ("#DIV/0!", "x"), ("#REF!", None), ("1", "#N/A")
    ]  # fmt: skip
    assert query("SELECT * FROM n") == [(1, "#N/A")]
    assert query("SELECT line FROM rejected ORDER BY line") == [(5,), (6,)]


@pytest.mark.parametrize("place", ["C4", "B6"])
def test_a_formula_that_nobody_has_computed_is_refused(run_job, execute, tmp_path, place):
    cells = {"A1": "=1+1", "B3": "a", "C3": "b", "B4": 1, "B5": datetime.time(1), place: "=2+2"}
    sheet_with(tmp_path / "x.xlsx", cells)
    execute("CREATE TABLE t (a text, b text)")

    with pytest.raises(JobFailure, match=rf"x\.xlsx: the formula in the cell {place} has no value"):
        run_job(LoadFile, path="x.xlsx", table="t", sheet="Data & more", skip_lines=2)
