"""Checks: each kind finds what it is for, says value and bound, and passes where all is well."""

import pytest

from headrace import testing
from headrace.errors import InvalidPayload, JobFailure, RefusedSql
from headrace.jobs.check_data import CheckData
from headrace.jobs.data_aggregation import DataAggregation
from headrace.jobs.run_sql import RunSql
from headrace.testing import database


@pytest.fixture
def orders(execute):
    execute("CREATE TABLE customer (id int PRIMARY KEY)")
    execute("INSERT INTO customer VALUES (1), (2)")
    execute(
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, status text, amount numeric(12,2),"
        " day date, loaded_at timestamptz)"
    )
    execute(
        "INSERT INTO orders VALUES (1, 1, 'new', 10.50, '2026-01-30', now() - interval '2 hours'),"
        " (2, 2, 'paid', -3, '2026-01-31', now() - interval '3 hours'),"
        " (3, 9, 'lost', NULL, '2026-01-31', now() - interval '30 hours'),"
        " (4, NULL, NULL, 2, NULL, NULL)"
    )


CASES = {
    "row_count": (
        {"must_be_between": [1, 3]}, {"must_be_between": [1, 4]},
        "row_count of orders: 4, must be between 1 and 3",
    ),
    "freshness": (
        {"column": "loaded_at", "unit": "hour", "must_be_less_than": 1},
        {"column": "loaded_at", "unit": "hour", "must_be_less_than": 24},
        r"freshness loaded_at of orders: 2\.?\d* hours, must be less than 1 hours \(the newest is",
    ),
    "missing": (
        {"column": "amount"}, {"column": "amount", "metric": "percent", "must_be_less_than": "30%"},
        r"missing amount of orders: 1, must be 0: 1 row \(id=3, .*amount=None",
    ),
    "duplicate": (
        {"columns": ["day"]}, {"columns": ["id", "day"]},
        r"duplicate day of orders: 1, must be 0: 1 row \(day='2026-01-31', times=2\)",
    ),
    "invalid": (
        {"column": "status", "valid_values": ["new", "paid"]},
        {"column": "status", "valid_values": ["new", "paid", "lost"]},
        r"invalid status of orders: 1, must be 0: 1 row \(id=3",
    ),
    "aggregate": (
        {"column": "amount", "function": "sum", "must_be_greater_than": 9.5},
        {"column": "amount", "function": "sum", "must_be": 9.5},
        r"sum of amount of orders: 9\.5, must be greater than 9\.5",
    ),
    "schema": (
        {"columns": {"id": "bigint", "amount": "numeric", "gone": "text"}},
        {"columns": {"id": "int", "amount": "numeric(12,2)", "status": "text"},
         "allow_extra_columns": True},
        r"id is integer, not bigint; gone is missing; not expected: customer, status",
    ),
    "failed_rows": (
        {"query": "SELECT id FROM orders WHERE amount < 0"},
        {"expression": "amount < -100"},
        r"failed_rows: 1, must be 0: 1 row \(id=2\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_a_check_fails_with_value_and_bound_and_passes_where_it_holds(run_job, orders, kind):
    broken, held, told = CASES[kind]

    with pytest.raises(JobFailure, match=told):
        run_job(CheckData, table="orders", checks=[{kind: broken}])

    result = run_job(CheckData, table="orders", checks=[{kind: held}])
    assert result["checks"] == 1
    assert [one["verdict"] for one in result["check_results"]] == ["passed"]


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ({"column": "amount", "valid_min": 0}, 2),
        ({"column": "amount", "valid_max": 10}, 1),
        ({"column": "day", "valid_min": "2026-01-31"}, 1),
        ({"column": "status", "valid_regex": "^(new|paid)$"}, 3),
        ({"column": "status", "valid_max_length": 3}, 2),
        ({"column": "customer", "valid_values": [1, 2]}, 3),
        ({"column": "customer", "valid_reference_data": "customer.id"}, 3),
    ],
)
def test_each_rule_of_validity_finds_its_row_and_passes_over_null(run_job, orders, rule, bad):
    with pytest.raises(JobFailure, match=f"must be 0: . rows? .id={bad}|; id={bad}"):
        run_job(CheckData, table="orders", checks=[{"invalid": rule}])


def test_a_filter_holds_for_each_check_and_a_comment_in_it_hides_nothing(run_job, orders):
    result = run_job(
        CheckData,
        table="orders",
        filter="id < 3 -- the first two",
        checks=[
            {"row_count": {"must_be": 2}},
            {"missing": {"column": "amount"}},
            {"invalid": {"column": "customer", "valid_reference_data": "customer.id"}},
            {"duplicate": {"columns": ["status"]}},
            {"row_count": {"filter": "id > 3", "must_be": 1}},
        ],
        min_rows=2,
        max_rows=2,
    )

    assert result["checks"] == 7


def test_a_warning_is_told_and_fails_nothing(run_job, orders):
    result = run_job(
        CheckData,
        table="orders",
        checks=[{"missing": {"column": "amount", "level": "warn"}}, {"row_count": None}],
    )

    assert (result["checks"], result["warnings"]) == (2, 1)
    assert result["check_results"][0] == {
        "check": "missing amount of orders",
        "value": 1,
        "bound": "must be 0",
        "level": "warn",
        "verdict": "warned",
    }


def test_a_sum_over_no_rows_is_not_greater_than_nothing(run_job, orders):
    check = {"aggregate": {"column": "amount", "function": "sum", "must_be_greater_than": 0}}

    with pytest.raises(JobFailure, match="sum of amount of orders: no value, must be greater"):
        run_job(CheckData, table="orders", filter="id > 100", checks=[check])


def test_failing_keys_are_kept_though_the_job_fails(run_job, orders, query, execute):
    with_ = {
        "table": "orders",
        "checks": [{"missing": {"column": "amount"}}, {"row_count": {"must_be": 3}}],
        "store_failures": {"table": "dq.failure", "limit": 5},
    }

    with pytest.raises(JobFailure, match=r"missing amount of orders"):
        run_job(CheckData, **with_)

    missing = "missing amount of orders"
    stored = "SELECT check_name, level, reason, key::text, attempt FROM dq.failure ORDER BY 1"
    assert query(stored) == [
        (missing, "error", f"{missing}: must be 0", '{"id": 3}', 1),
        ("row_count of orders", "error", "row_count of orders: 4, must be 3", None, 1),
    ]


def test_a_metric_is_compared_with_the_median_of_completed_jobs():
    check = {
        "name": "revenue",
        "expression": "sum(amount)",
        "must_be_less_than": 1000,
        "deviation": {"runs": 3, "must_be_less_than": "30%"},
    }
    with_ = {"table": "orders", "checks": [{"metric": check}]}
    with database() as db:
        db.execute("CREATE TABLE orders (amount numeric); INSERT INTO orders VALUES (9.5)")
        first = testing.run_job(CheckData, with_, database=db)
        assert first.result["check_results"][0]["detail"] == "no earlier runs to compare it with"

        db.execute("UPDATE orders SET amount = 10")
        second = testing.run_job(CheckData, with_, database=db)
        assert second.result["check_results"][0]["base"] == 9.5

        db.execute("UPDATE orders SET amount = 100")
        third = testing.run_job(CheckData, with_, database=db)
        assert third.status == "failed"
        assert "differs by 925.641% from 9.75, the median of 2 earlier runs" in str(third.error)
        kept = db.rows("SELECT value FROM headrace.metric_value ORDER BY measured_at")
        assert [row["value"] for row in kept] == [9.5, 10]


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        ([{"row_cont": {}}], r'no check "row_cont"; did you mean "row_count"'),
        ([{"missing": {"colum": "a"}}], r'missing has no key "colum"; did you mean "column"'),
        ([{"missing": {}}], 'missing needs the key "column"'),
        ([{"freshness": {"column": "a"}}], "freshness needs a bound, such as"),
        ([{"row_count": {"must_be": "many"}}], "must_be takes a number, not 'many'"),
        ([{"row_count": {"must_be_between": [3, 1]}}], "greater number first"),
        ([{"row_count": {"level": "fatal"}}], "level of row_count is error or warn"),
        ([{"invalid": {"column": "a"}}], "needs one of valid_values"),
        ([{"row_count": {}, "missing": {}}], r"checks\[0\] is one check"),
        ([{"failed_rows": {}}], "either a query or an expression"),
    ],
)
def test_a_check_that_cannot_be_understood_is_refused_with_its_place(run_job, checks, told):
    with pytest.raises(InvalidPayload, match=told):
        run_job(CheckData, table="orders", checks=checks)


def test_a_query_of_a_check_is_one_that_only_reads(run_job, orders):
    with pytest.raises(RefusedSql, match="one query"):
        run_job(CheckData, checks=[{"failed_rows": {"query": "select 1; select 2"}}])


@pytest.mark.parametrize("bound", [2, 3])
def test_a_write_is_judged_in_its_transaction_and_stays_only_if_it_passes(
    run_job, orders, query, execute, bound
):
    execute("CREATE TABLE picked (id int); INSERT INTO picked VALUES (100)")
    with_ = {
        "sql": "SELECT id FROM orders WHERE id < 3",
        "into": "picked",
        "checks": [{"row_count": {"must_be": bound}}],
        "store_failures": {"table": "failure"},
    }

    if bound == 2:
        assert run_job(RunSql, **with_)["check_results"][0]["value"] == 2
        assert query("SELECT array_agg(id ORDER BY id) FROM picked") == [([1, 2],)]
        return
    with pytest.raises(JobFailure, match="row_count of picked: 2, must be 3"):
        run_job(RunSql, **with_)
    assert query("SELECT id FROM picked") == [(100,)]
    assert query("SELECT reason FROM failure") == [("row_count of picked: 2, must be 3",)]


def test_what_a_script_has_written_is_judged_by_the_tables_that_checks_name(run_job, orders, query):
    checks = [{"missing": {"table": "orders", "column": "amount"}}]

    with pytest.raises(JobFailure, match="missing amount of orders: 2, must be 0"):
        run_job(RunSql, sql="UPDATE orders SET amount = NULL WHERE id = 1", checks=checks)

    assert query("SELECT amount FROM orders WHERE id = 1") == [(10.5,)]


def test_totals_are_judged_before_they_are_seen(run_job, orders, query):
    with_ = {"table": "orders", "group_by": "day", "into": "totals"}

    with pytest.raises(JobFailure, match="missing day of totals: 1, must be 0"):
        run_job(DataAggregation, **with_, checks=[{"missing": {"column": "day"}}])

    assert query("SELECT to_regclass('totals')") == [(None,)]
    assert run_job(DataAggregation, **with_, checks=[{"row_count": None}])["checks"] == 1


@pytest.mark.parametrize(
    ("job", "with_", "told"),
    [
        (RunSql, {"sql": "select 1", "checks": [{"row_count": None}]}, "row_count needs a table"),
        (
            RunSql,
            {"sql": "vacuum t", "transaction": False, "checks": [{"row_count": {"table": "t"}}]},
            "checks need the transaction",
        ),
        (
            DataAggregation,
            {"table": "t", "group_by": "a", "checks": [{"row_count": None}]},
            "needs into",
        ),
        (
            RunSql,
            {"sql": "select 1", "store_failures": {"table": "f"}},
            "needs checks",
        ),
    ],
)
def test_checks_without_anything_to_judge_are_refused(run_job, job, with_, told):
    with pytest.raises(InvalidPayload, match=told):
        run_job(job, **with_)
