"""What the jobs refuse before they touch a database."""

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.archive_rows import ArchiveRows
from headrace.jobs.check_data import CheckData
from headrace.jobs.copying.query_export import ExportForm
from headrace.jobs.data_aggregation import Aggregate, DataAggregation, parse_aggregate
from headrace.jobs.export_query import ExportQuery
from headrace.jobs.failed_job import FailedJob, MyException
from headrace.jobs.fibonacci import Fibonacci
from headrace.jobs.files.column_shapes import Shape
from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.json_records import Field, JsonRecords, Keys
from headrace.jobs.files.split_files import UNSPLIT
from headrace.jobs.load_file import LoadFile
from headrace.jobs.rebuild_index import RebuildIndex
from headrace.jobs.run_sql import RunSql
from headrace.jobs.slow_query import SlowQuery
from headrace.jobs.sql.query_result import as_json
from headrace.jobs.sync_table import SyncTable


@pytest.mark.parametrize(
    ("n", "number"), [(0, 0), (1, 1), (2, 1), (10, 55), (90, 2880067194370816120)]
)
def test_fibonacci(n, number):
    assert Fibonacci(n=n).handle() == number


def test_failed_job_fails_with_the_seeds_message():
    with pytest.raises(MyException, match=r"^This is a custom exception$"):
        FailedJob().handle()


@pytest.mark.parametrize(
    ("expression", "aggregate"),
    [
        ("sum(amount)", Aggregate("x", "sum", "amount", distinct=False)),
        ("COUNT( * )", Aggregate("x", "count", None, distinct=False)),
        ("count(DISTINCT customer)", Aggregate("x", "count", "customer", distinct=True)),
    ],
)
def test_an_aggregate_is_a_function_of_a_column(expression, aggregate):
    assert parse_aggregate("x", expression) == aggregate


@pytest.mark.parametrize(
    "expression",
    ["sum(*)", "pg_sleep(1)", "sum(a)); DROP TABLE x; --", "sum(a + b)", "count(distinct *)", ""],
)
def test_any_other_aggregate_is_refused(expression):
    with pytest.raises(InvalidPayload, match="is none of sum"):
        parse_aggregate("x", expression)


@pytest.mark.parametrize(
    ("given", "aliases"),
    [
        ({}, ["row_count"]),
        ({"sort_by": "total_sales"}, ["row_count", "total_sales"]),
        ({"group_by": ["total_sales"], "sort_by": "total_sales"}, ["row_count"]),
        ({"sort_by": "n", "aggregates": {"n": "count(*)"}}, ["n"]),
    ],
)
def test_a_total_to_sort_by_is_calculated_unless_it_is_a_column(given, aliases):
    job = DataAggregation(table="t", **{"group_by": "a"} | given)

    assert [one.alias for one in job.aggregates] == aliases


@pytest.mark.parametrize(
    ("job", "with_", "told"),
    [
        (Fibonacci, {"n": -1}, "between 0 and"),
        (SlowQuery, {"duration": -1}, "between 0 and"),
        (RunSql, {}, "either sql or sql_path"),
        (RunSql, {"sql": "SELECT 1", "sql_path": "x.sql"}, "either sql or sql_path"),
        (RunSql, {"sql": "SELECT 1", "into": "t", "transaction": False}, "into needs"),
        (
            DataAggregation,
            {"table": "t", "group_by": "a", "sort_by": "b"},
            "not a column of the result",
        ),
        (DataAggregation, {"table": "t", "group_by": "a", "aggregates": {}}, "empty"),
        (LoadFile, {"path": "x", "table": "t", "delimiter": "::"}, "one character"),
        (LoadFile, {"path": "x", "table": "t", "header": False}, "needs columns"),
        (ExportQuery, {"path": "x"}, "either sql or sql_path"),
        (RebuildIndex, {}, "one of index, table and schema"),
        (ArchiveRows, {"table": "t", "into": "u", "column": "c"}, "either older_than or before"),
        (
            ArchiveRows,
            {"table": "t", "into": "u", "column": "c", "older_than": "soon"},
            "not an age",
        ),
        (
            SyncTable,
            {"source_table": "a", "target_table": "b", "key": "id", "columns": ["x"]},
            "key",
        ),
        (CheckData, {"table": "t"}, "nothing to check"),
        (CheckData, {"unique": ["a"]}, "needs the table"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(job, with_, told):
    with pytest.raises(InvalidPayload, match=told):
        job(**with_)


@pytest.mark.parametrize(
    ("path", "given", "form"),
    [
        ("rows", {}, ExportForm()),
        ("rows.dat.gz", {}, ExportForm("csv", "gz")),
        ("rows.tsv", {}, ExportForm("tsv", "none", "\t")),
        ("rows.tsv", {"delimiter": ";"}, ExportForm("tsv", "none", ";")),
        ("rows.csv", {"format": "tsv"}, ExportForm("tsv", "none", "\t")),
        ("rows.jsonl.zst", {"compression": "none"}, ExportForm("jsonl", "none")),
        ("rows.parquet", {}, ExportForm("parquet")),
        (
            "rows.csv",
            {"header": False, "null": "-", "formulas": "escape", "bom": True, "compression": "gz"},
            ExportForm("csv", "gz", ",", False, "-", UNSPLIT, "escape", True),
        ),
    ],
)
def test_an_export_has_the_form_of_its_name_unless_it_is_given(path, given, form):
    assert ExportQuery(path, sql="SELECT 1", **given)._form == form


def records(*lines: str) -> JsonRecords:
    fields = [Field("a"), Field("b", Shape("json"))]
    return JsonRecords(enumerate(lines, 1), "f", fields, Keys("f", ["a", "b"], "t"), place=Lines())


def test_json_lines_become_rows_a_piece_at_a_time():
    source = records('{"a": "x\\ty", "b": null}\n', '{"b": {"c": [1]}, "a": true}\n')

    pieces = iter(lambda: source.read(4), "")

    assert "".join(pieces) == 'x\\ty\t\\N\ntrue\t{"c": [1]}\n'


@pytest.mark.parametrize(
    ("line", "told"),
    [("nonsense", "f:2: no JSON"), ("[1]", "f:2: no JSON object"), ('{"z": 1}', "f:2: no column")],
)
def test_a_bad_json_line_is_named(line, told):
    source = records('{"a": 1}', line)

    with pytest.raises(JobFailure, match=told):
        source.read()


@pytest.mark.parametrize(
    ("value", "json"),
    [(b"\x00\xff", "\\x00ff"), (float("inf"), "Infinity"), ((1, None), [1, None])],
)
def test_values_that_json_lacks_become_texts(value, json):
    assert as_json(value) == json
