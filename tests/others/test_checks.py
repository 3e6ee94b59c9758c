"""CheckData, and checks of writing jobs, in SQLite, MariaDB and DuckDB."""

from typing import Any

import pytest

from headrace.jobs.check_data import CheckData
from headrace.jobs.run_sql import RunSql
from tests.others.conftest import Place, Runs

CHECKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"row_count": {"must_be": 3}}, {"row_count": {"must_be": 4}}),
    (
        {"freshness": {"column": "seen", "unit": "day", "must_be_greater_than": 1}},
        {"freshness": {"column": "seen", "unit": "minute", "must_be_less_than": 5}},
    ),
    (
        {"missing": {"column": "name", "missing_values": [""], "must_be": 1}},
        {"missing": {"column": "note", "metric": "percent", "must_be_less_than": 20}},
    ),
    ({"duplicate": {"columns": ["id", "name"]}}, {"duplicate": {"column": "note"}}),
    (
        {"invalid": {"column": "name", "valid_values": ["one", "O'Neil", ""]}},
        {"invalid": {"column": "name", "valid_values": ["ONE", "O'Neil", ""]}},
    ),
    (
        {"invalid": {"column": "id", "valid_min": 1, "valid_max": 3, "valid_values": [1, 2, 3]}},
        {"invalid": {"column": "id", "valid_max": 2}},
    ),
    (
        {"invalid": {"column": "name", "valid_regex": "^[A-Za-z']*$", "valid_max_length": 6}},
        {"invalid": {"column": "name", "valid_regex": "^[a-z]+$"}},
    ),
    (
        {"invalid": {"column": "id", "valid_reference_data": "orders.id"}},
        {"invalid": {"column": "note", "valid_reference_data": "orders.name"}},
    ),
    (
        {"aggregate": {"column": "n", "function": "sum", "must_be": 4.5}},
        {"aggregate": {"column": "id", "function": "count_distinct", "must_be": 2}},
    ),
    (
        {"metric": {"name": "m", "expression": "max(id) * 2", "must_be": 6}},
        {"metric": {"name": "m", "expression": "max(id) * 2", "must_be": 7}},
    ),
    ({"failed_rows": {"expression": "id > 3"}}, {"failed_rows": {"expression": "id > 2"}}),
    (
        {"failed_rows": {"query": "select * from orders where id > 3"}},
        {"failed_rows": {"query": "select * from orders where id > 2"}},
    ),
    (
        {"schema": {"columns": ["id", "name", "n", "seen", "note"]}},
        {"schema": {"columns": {"id": "varchar", "gone": None}, "allow_extra_columns": True}},
    ),
    (
        {"compare": {"connection": "there", "query": "select 1 from orders"}},
        {"compare": {"connection": "there", "query": "select 1 from orders where id = 1"}},
    ),
]


@pytest.fixture
def orders(there: Place) -> Place:
    there.query(
        "create table orders (id int primary key, name varchar(9), n decimal(6,2), seen timestamp,"
        " note varchar(9))",
        "insert into orders values (1, 'one', 1.5, '2026-01-01 00:00:00', 'x'),"
        " (2, 'O''Neil', 3, '2026-01-02 00:00:00', 'x'), (3, '', null, null, null)"
        if there.kind != "mysql"
        else "insert into orders values (1, 'one', 1.5, '2026-01-01 00:00:00', 'x'),"
        " (2, 'O''Neil', 3, '2026-01-02 00:00:00', 'x'), (3, '', null, default, null)",
    )
    return there


def test_each_kind_of_check_passes_and_fails_there(run: Runs, orders: Place):
    passing = [passes for passes, _ in CHECKS]
    result = run.done(CheckData, table="orders", connection="there", checks=passing)
    assert [one["verdict"] for one in result["check_results"]] == ["passed"] * len(CHECKS)

    failing = [
        {kind: given | {"level": "warn"}} for _, fails in CHECKS for kind, given in fails.items()
    ]
    result = run.done(CheckData, table="orders", connection="there", checks=failing)
    assert [one["verdict"] for one in result["check_results"]] == ["warned"] * len(CHECKS)


def test_the_short_forms_show_the_rows_that_fail(run: Runs, orders: Place):
    run.done(CheckData, table="orders", connection="there", not_null=["id"], unique=["id"],
             references={"id": "orders.id"}, min_rows=1)  # fmt: skip

    error = run.failed(CheckData, table="orders", connection="there", not_null=["note"],
                       unique=["note"], max_rows=2)  # fmt: skip

    assert "orders.note is null: 1 row (id=3" in error
    assert "orders.note is not unique: 1 row" in error
    assert "orders has 3 rows, more than 2" in error


def test_a_query_that_finds_rows_fails(run: Runs, orders: Place):
    sql = "select id from orders where id > {{ params.most }}"
    run.done(CheckData, sql=sql, params={"most": 5}, connection="there")
    error = run.failed(CheckData, sql=sql, params={"most": 2}, connection="there")
    assert "1 row (id=3)" in error


def test_a_column_that_is_not_there_is_no_text(run: Runs, orders: Place):
    for check in ({"missing": {"column": "gone"}}, {"duplicate": {"column": "gone"}},
                  {"aggregate": {"column": "gone", "function": "max", "must_be": 1}}):  # fmt: skip
        error = run.failed(CheckData, table="orders", connection="there", checks=[check])
        assert "has no column 'gone'" in error


def test_a_metric_that_is_a_text_is_no_number(run: Runs, orders: Place):
    check = {"metric": {"name": "m", "expression": "max(name)", "must_be": 1}}
    error = run.failed(CheckData, table="orders", connection="there", checks=[check])
    assert "m: 'one' is no number" in error or 'm: "O\'Neil" is no number' in error


def test_a_check_after_a_write_undoes_it(run: Runs, orders: Place):
    error = run.failed(RunSql, sql="select 1 as id, 'x' as name", into="orders",
                       connection="there", checks=[{"row_count": {"must_be": 2}}])  # fmt: skip
    assert "row_count of orders: 1, must be 2" in error
    assert len(orders.query("select * from orders")) == 3


def test_a_check_here_compares_with_there(run: Runs, orders: Place):
    run.query("create table here as select 1 as id")
    check = {"compare": {"connection": "there", "table": "orders"}}
    error = run.failed(CheckData, table="here", checks=[check])
    assert "1 rows here, 3 on there" in error
