"""What a query's rows become as a job's result, and as a value in the next step."""

from decimal import Decimal
from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.check_data import CheckData
from headrace.jobs.data_aggregation import DataAggregation
from headrace.jobs.run_sql import RunSql
from headrace.jobs.sync_table import SyncTable
from headrace.model import exact_json


def rows(result: Any) -> Any:
    """The rows as a reader of the stored JSON has them."""
    return exact_json.loads(exact_json.dumps(result))["rows"]


def test_a_numeric_keeps_every_digit(run_job):
    result = run_job(RunSql, sql="select 1234567890123.4567 as a, 12345678901234567890 as b, 1.5 c")

    assert exact_json.dumps(result["rows"]) == (
        '[{"a": 1234567890123.4567, "b": 12345678901234567890, "c": 1.5}]'
    )


def test_a_number_of_more_digits_than_python_reads_survives(run_job):
    result = run_job(RunSql, sql="select ('1' || repeat('0', 5000))::numeric as big")

    assert str(rows(result)[0]["big"]) in ("1E+5000", "1" + "0" * 5000)


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("'1 month'::interval", "1 mon"),
        ("'1 year 2 days'::interval", "1 year 2 days"),
        ("'36 hours'::interval", 129600.0),
        ("'24:00'::interval", 86400.0),
        ("'100000000 days 00:00:00.000001'::interval", Decimal("8640000000000.000001")),
        ("'24:00'::time", "24:00:00"),
        ("'24:00+02'::timetz", "24:00:00+02"),
        ("array['24:00'::time, '23:59:59.5']", ["24:00:00", "23:59:59.500000"]),
        ("'12:00+02:30'::timetz", "12:00:00+02:30"),
        ("'infinity'::date", "infinity"),
        ("'infinity'::timestamp", "infinity"),
        ("'-infinity'::timestamp", "-infinity"),
        ("'-infinity'::timestamptz", "-infinity"),
        ("'0044-03-15 BC'::date", "0044-03-15 BC"),
        ("'12026-01-01'::timestamp", "12026-01-01 00:00:00"),
        ("'2026-07-01 00:30'::timestamp", "2026-07-01T00:30:00"),
        ("array['0044-03-15 BC'::date, '2026-01-02']", ["0044-03-15 BC", "2026-01-02"]),
        ("'NaN'::float8", "NaN"),
        ("'-Infinity'::float8", "-Infinity"),
        ("'NaN'::numeric", "NaN"),
        ("'Infinity'::numeric", "Infinity"),
        ("array['NaN'::float8, 1]", ["NaN", 1.0]),
        ("int4range(1, 5)", "[1,5)"),
        ("tstzrange(null, 'infinity')", "(,infinity)"),
        ("array[numrange(null, 1.50), null]", ["(,1.50)", None]),
        (
            """'{"a": 12345678901234567890.123, "b": 1.5}'::json""",
            {"a": Decimal("12345678901234567890.123"), "b": 1.5},
        ),
        (
            """array['[1.2345678901234567891, null]'::jsonb]""",
            [[Decimal("1.2345678901234567891"), None]],
        ),
    ],
)
def test_what_python_has_no_value_for_is_postgresqls_text(run_job, sql, value):
    result = run_job(RunSql, sql=f"select {sql} as v")

    assert rows(result) == [{"v": value}]
    exact_json.dumps(result, allow_nan=False)


def test_two_columns_of_one_name_are_both_kept(run_job):
    result = run_job(RunSql, sql="select 1 a, 2 a, 3 a_2")

    assert result["columns"] == ["a", "a_3", "a_2"]
    assert result["rows"] == [{"a": 1, "a_3": 2, "a_2": 3}]


def test_a_result_is_bounded_in_bytes_and_says_what_it_left_out(run_job, caplog):
    result = run_job(
        RunSql, sql="select repeat('x', 300000) as t from generate_series(1, 20)", keep_rows=20
    )

    assert result["row_count"] == 20
    assert result["truncated"] is True
    assert len(result["rows"]) == 3
    assert "The result keeps 3 of 20 rows: more do not fit into 1 MB" in caplog.text
    caplog.clear()
    assert "truncated" not in run_job(RunSql, sql="select 1 as one")
    assert not caplog.records


def test_a_value_larger_than_the_bound_is_counted_and_left_out(run_job):
    result = run_job(RunSql, sql="select repeat('x', 2000000) as t")

    assert result == {"row_count": 1, "columns": ["t"], "rows": [], "truncated": True}


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("'infinity'::date", "infinity"),
        ("'0044-03-15 BC'::date", "0044-03-15 BC"),
        ("'24:00'::time", "24:00:00"),
        ("'1 mon'::interval", "1 mon"),
    ],
)
def test_every_job_that_tells_values_tells_them_as_they_are(run_job, execute, sql, value):
    execute(f"CREATE TABLE source AS SELECT 1 AS id, {sql} AS v FROM generate_series(1, 2)")
    of_table = {"table": "source", "group_by": "id", "aggregates": {"v": "max(v)"}}
    with_ = {"source_table": "source", "target_table": "target", "key": "v"}

    assert run_job(DataAggregation, **of_table)["rows"] == [{"id": 1, "v": value}]
    with pytest.raises(JobFailure, match=f"v='{value}'"):
        run_job(CheckData, table="source", unique=["v"])
    with pytest.raises(JobFailure, match=f"the key v={value} is null or occurs 2 times"):
        run_job(SyncTable, **with_)
