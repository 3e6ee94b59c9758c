"""What ArchiveRows says that it would do, whole: each table, the rows that are read, and notes."""

from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.archive_rows import ArchiveRows
from headrace.model.forecast import Forecast, TableForecast

OLD: dict[str, Any] = {"table": "orders", "column": "day", "before": "2026-02-01"}
INTO = OLD | {"into": "old.orders"}
CHILDREN = {"children": {"line": "order_id"}}
ELSEWHERE = "the rows go to {}, which is not looked at"


class Foretold(ArchiveRows):
    """Gives the forecast for what it would do."""

    def handle(self) -> Any:
        return self.forecast()


@pytest.fixture
def orders(execute):
    execute(
        "CREATE TABLE orders (id int PRIMARY KEY, day date, status text);"
        "CREATE TABLE line (id int, order_id int REFERENCES orders ON DELETE CASCADE);"
        "CREATE TABLE there (id int PRIMARY KEY, day date, status text);"
        "INSERT INTO orders SELECT n, date '2026-01-01' + n * 10, CASE n WHEN 2 THEN 'open' END"
        " FROM generate_series(1, 5) n;"
        "INSERT INTO line SELECT n, 1 FROM generate_series(1, 7) n; INSERT INTO there"
        " SELECT * FROM orders WHERE id = 1"
    )


def test_rows_and_those_of_their_children_would_leave_for_tables_that_are_made(run_job, orders):
    assert run_job(Foretold, **INTO, **CHILDREN) == Forecast(
        (
            TableForecast("orders", 0, 0, 3),
            TableForecast("old.orders", 3, 0, 0, creates=True),
            TableForecast("line", 0, 0, 7),
            TableForecast('"old"."line"', 7, 0, 0, creates=True),
        ),
        read=3,
    )


@pytest.mark.parametrize(
    ("with_", "count"),
    [
        ({"limit": 2}, 2),
        ({"batch_size": 1}, 3),
        ({"batch_size": 1, "batch_limit": 2}, 2),
        ({"where": "status IS NULL"}, 2),
        ({"lock_wait": "1s", "limit": 1}, 1),
    ],
)
def test_as_many_would_leave_as_the_step_takes(run_job, orders, with_, count):
    assert run_job(Foretold, **OLD, into="there", **CHILDREN, **with_).tables[:2] == (
        TableForecast("orders", 0, 0, count),
        TableForecast("there", count, 0, 0),
    )


def test_of_rows_that_stay_only_those_would_come_that_the_archive_lacks(run_job, orders):
    assert run_job(Foretold, **OLD, into="there", keep_rows=True) == Forecast(
        (TableForecast("orders", 0, 0, 0), TableForecast("there", 2, 0, 0)), read=2
    )
    assert run_job(Foretold, **INTO, keep_rows=True) == Forecast(
        (TableForecast("orders", 0, 0, 0), TableForecast("old.orders", 3, 0, 0, creates=True)),
        read=3,
    )


def test_what_goes_elsewhere_is_counted_here_alone(run_job, execute, orders, second):
    execute("DELETE FROM line")
    run_job.engines["there"] = second

    for with_, place in (
        ({"path": "old.csv"}, "files at old.csv"),
        ({"into": "there", "target_connection": "there"}, "there on another connection"),
    ):
        assert run_job(Foretold, **OLD, **with_) == Forecast(
            (TableForecast("orders", 0, 0, 3),), read=3, notes=(ELSEWHERE.format(place),)
        )


def test_a_forecast_fails_where_the_archive_would_and_nothing_has_moved(run_job, orders, query):
    with pytest.raises(JobFailure, match=r"7 of .*line \(ON DELETE CASCADE\)"):
        run_job(Foretold, **INTO)
    with pytest.raises(JobFailure, match="line lacks columns of orders: day, status"):
        run_job(Foretold, **OLD, into="line", **CHILDREN)

    assert query("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM line)") == [(5, 7)]
    assert query("SELECT to_regnamespace('old')") == [(None,)]
