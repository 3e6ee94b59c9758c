"""The shipped pipelines, run whole by `headrace run`, and their figures."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.support.cli import Done, Headrace
from tests.support.servers import connect, drop_database

PROJECT = Path(__file__).resolve().parents[2]
DATA = PROJECT / "pipelines" / "data"
SECONDS = 120


@dataclass
class Examples:
    """The command line in the project's folder, against servers of this test."""

    database_url: str
    headrace: Headrace

    def run(self, pipeline: str, **params: Any) -> Done:
        given = [part for name, value in params.items() for part in ("-p", f"{name}={value}")]
        return self.headrace("run", pipeline, *given, timeout=SECONDS)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        connection = connect(self.database_url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def jobs(self, pipeline: str) -> dict[str, dict[str, Any]]:
        """Return the jobs of the pipeline's only run by step."""
        rows = self.query(
            "SELECT step, to_jsonb(job) FROM headrace.job "
            f"WHERE pipeline = '{pipeline}' ORDER BY created_at"
        )
        return dict(rows)


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Examples:
    urls = {"DATABASE_URL": database, "REDIS_URL": redis_url}
    return Examples(database, Headrace(PROJECT, urls | {"HEADRACE_HOME": str(tmp_path)}))


def completed(headrace: Examples, pipeline: str, **params: Any) -> dict[str, dict[str, Any]]:
    """Run a pipeline that must succeed and return its jobs by step."""
    finished = headrace.run(pipeline, **params)
    assert finished.code == 0, finished.out + finished.err
    jobs = headrace.jobs(pipeline)
    assert {job["status"] for job in jobs.values()} == {"completed"}
    return jobs


def rows(file: str) -> Iterator[dict[str, str]]:
    with (DATA / file).open(newline="") as opened:
        yield from csv.DictReader(opened)


def rounded_mean(values: list[int]) -> Decimal | None:
    if not values:
        return None
    mean = Decimal(sum(values)) / len(values)
    return mean.quantize(Decimal("0.01"), ROUND_HALF_UP)


def numbers(flights: list[dict[str, str]], column: str) -> list[int]:
    return [int(flight[column]) for flight in flights if flight[column] != "NA"]


def test_the_seeds_chain_runs_in_order_on_its_three_queues(headrace):
    jobs = completed(headrace, "seed_chain", duration=0.2)

    assert {step: job["queue"] for step, job in jobs.items()} == {
        "populate": "high",
        "slow_query": "medium",
        "aggregate": "medium",
        "truncate": "medium",
        "drop": "low",
    }
    assert jobs["slow_query"]["result"] == "Slow query completed after 0.2 seconds"
    assert jobs["aggregate"]["result"] == "Aggregation complete. 5 groups found."
    upstream = {
        "slow_query": ["populate"],
        "aggregate": ["populate"],
        "truncate": ["slow_query", "aggregate"],
        "drop": ["truncate"],
    }
    for step, needed in upstream.items():
        for name in needed:
            assert jobs[step]["started_at"] >= jobs[name]["finished_at"]
    assert headrace.query("SELECT to_regclass('auth.users')") == [(None,)]


def test_the_warehouses_figures_agree_with_a_count_of_the_files(
    headrace,
):
    jobs = completed(headrace, "flights_warehouse", late_minutes=30)

    airlines = {row["carrier"]: row["name"] for row in rows("airlines.csv")}
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for flight in rows("flights.csv"):
        groups[f"2013-01-{int(flight['day']):02}", flight["carrier"]].append(flight)
    expected = [
        (
            day,
            carrier,
            airlines[carrier],
            len(flights),
            sum(flight["dep_time"] == "NA" for flight in flights),
            sum(delay > 30 for delay in numbers(flights, "arr_delay")),
            rounded_mean(numbers(flights, "dep_delay")),
            rounded_mean(numbers(flights, "arr_delay")),
            sum(numbers(flights, "distance")),
        )
        for (day, carrier), flights in sorted(groups.items())
    ]
    found = headrace.query(
        "SELECT day::text, carrier, airline, flights, cancelled, late, "
        "mean_dep_delay, mean_arr_delay, miles "
        'FROM flights.daily_carrier ORDER BY day, carrier COLLATE "C"'
    )
    assert found == expected
    assert jobs["daily_carrier"]["result"]["row_count"] == len(expected)
    assert sum(row[3] for row in found) == 2699
    check_wind(headrace)


def check_wind(headrace: Examples) -> None:
    """Count the delays by wind in the files, too."""
    wind = {
        (row["origin"], row["time_hour"]): float(row["wind_speed"])
        for row in rows("weather.csv")
        if row["wind_speed"] != "NA"
    }
    groups: dict[tuple[str, int], list[int]] = defaultdict(list)
    for flight in rows("flights.csv"):
        place = flight["origin"], flight["time_hour"]
        if place in wind and flight["dep_delay"] != "NA":
            groups[flight["origin"], int(wind[place] // 5 * 5)].append(int(flight["dep_delay"]))
    assert headrace.query("SELECT * FROM flights.delay_by_wind ORDER BY 1, 2") == [
        (origin, mph, len(delays), rounded_mean(delays))
        for (origin, mph), delays in sorted(groups.items())
    ]


def test_the_hourly_aggregation_totals_its_hour(headrace):
    completed(headrace, "hourly_aggregation", hour="2026-01-31T12:34:56+00:00")

    expected: dict[str, list[int]] = defaultdict(list)
    for n in range(1, 201):
        expected[["/", "/docs", "/prices", "/contact"][n % 4]].append(5 + n * 7 % 90)
    assert headrace.query(
        "SELECT (hour AT TIME ZONE 'UTC')::text, page, visits, seconds "
        'FROM example_hourly.totals ORDER BY page COLLATE "C"'
    ) == [
        ("2026-01-31 12:00:00", page, len(seconds), sum(seconds))
        for page, seconds in sorted(expected.items())
    ]


def test_the_demonstration_ends_well(headrace):
    jobs = completed(headrace, "demo")

    expected: dict[str, set[str]] = defaultdict(set)
    counts: dict[str, int] = defaultdict(int)
    for flight in rows("flights.csv"):
        counts[flight["origin"]] += 1
        expected[flight["origin"]].add(flight["dest"])
    assert jobs["busiest"]["result"]["rows"] == [
        {"origin": origin, "flights": count, "destinations": len(expected[origin])}
        for origin, count in sorted(counts.items(), key=lambda item: -item[1])
    ]


def test_the_clean_up_archives_the_first_half_of_the_year(headrace):
    jobs = completed(headrace, "cleanup_archive")

    assert jobs["archive"]["result"]["row_count"] == 182
    assert headrace.query(
        "SELECT (SELECT count(*) FROM example_cleanup.session), "
        "(SELECT count(*) FROM example_cleanup.session_archive), "
        "(SELECT count(*) FROM example_cleanup.scratch)"
    ) == [(184, 182, 0)]


def test_the_report_names_the_best_region(headrace):
    jobs = completed(headrace, "report")

    revenue: dict[str, float] = defaultdict(float)
    for n in range(1, 1001):
        revenue[["north", "south", "east", "west"][n % 4]] += n * 37 % 500 + 0.5
    best = max(revenue, key=revenue.__getitem__)
    assert jobs["best"]["result"]["rows"] == [{"region": best, "revenue": revenue[best]}]


def test_the_maintenance_leaves_a_vacuumed_table(headrace):
    completed(headrace, "maintenance")

    assert headrace.query(
        "SELECT count(*) FROM pg_class WHERE relname = 'reading' AND relpages > 0 "
        "AND reltuples = 10000"
    ) == [(1,)]


def test_the_synchronisation_writes_only_what_differs(headrace):
    jobs = completed(headrace, "synchronise")

    assert jobs["sync"]["result"] == {
        "inserted": 100,
        "updated": 25,
        "deleted": 50,
        "table": "example_sync.customer_copy",
    }
    assert jobs["mirror"]["result"]["row_count"] == 1000
    assert jobs["mirror_set"]["result"] == {
        "row_count": 2000,
        "tables": {"example_sync_set.customer": 1000, "example_sync_set.customer_copy": 1000},
    }


@pytest.fixture
def warehouse(database: str) -> Iterator[str]:
    """Return the URL of the database beside the control database, which is gone at the end."""
    url = urlunsplit(urlsplit(database)._replace(path="/headrace_warehouse"))
    drop_database(database, url)
    yield url
    drop_database(database, url)


def test_a_warehouse_in_a_database_of_its_own_follows_its_source(headrace, warehouse):
    run = completed(headrace, "two_databases", orders=400)
    assert run["orders"]["result"]["inserted"] == 400

    again = headrace.run("two_databases", orders=450)
    assert again.code == 0, again.out + again.err
    counted = headrace.query(
        "SELECT result->'inserted', result->'updated' FROM headrace.job"
        " WHERE step = 'orders' ORDER BY created_at DESC LIMIT 1"
    )
    assert counted == [(50, 40)]
    shop = headrace.query(
        "SELECT o.ordered_on::text, c.city, count(*), sum(o.amount)"
        "  FROM example_shop.order AS o JOIN example_shop.customer AS c ON c.id = o.customer_id"
        " GROUP BY o.ordered_on, c.city"
    )
    planned = headrace.headrace(
        "plan", "two_databases", "-p", "orders=450", "--data", timeout=SECONDS
    )
    assert planned.code == 0, planned.out + planned.err
    assert "needs PostgreSQL" not in planned.out
    explained = headrace.headrace(
        "validate", "pipelines/two_databases.yaml", "--explain", timeout=SECONDS
    )
    assert explained.code == 0, explained.out + explained.err
    assert "needs PostgreSQL" not in explained.out + explained.err
    there = connect(warehouse)
    try:
        with there.cursor() as cursor:
            cursor.execute("SELECT day::text, city, orders, revenue FROM mart.revenue")
            assert sorted(cursor.fetchall()) == sorted(shop)
            cursor.execute("SELECT count(*) FROM shop.customer WHERE email NOT LIKE '*%.com'")
            assert cursor.fetchone() == (0,)
    finally:
        there.close()


def test_the_slow_query_and_its_data_set_are_there(headrace):
    jobs = completed(headrace, "slow_query", duration=0.1, rows=2000)

    assert jobs["wait"]["result"] == "Slow query completed after 0.1 seconds"
    assert headrace.query("SELECT count(*) FROM example_slow.measurement") == [(2000,)]


def test_the_consistency_check_fails_its_run_and_names_the_rows(headrace):
    finished = headrace.run("consistency_check")

    assert finished.code == 1
    jobs = headrace.jobs("consistency_check")
    statuses = {step: job["status"] for step, job in jobs.items()}
    assert statuses == {"prepare": "completed", "check": "failed", "publish": "skipped"}
    for told in ("amount is null: 1 row (id=5", "customer_id=98", "customer_id=99"):
        assert told in jobs["check"]["error"]
    assert headrace.query("SELECT status FROM headrace.run") == [("failed",)]


def test_every_example_is_run_by_a_test_and_ends_the_same_when_run_again(headrace):
    shipped = {path.stem for path in (PROJECT / "pipelines").glob("*.yaml")}
    source = Path(__file__).read_text()
    assert {name for name in shipped if f'"{name}"' in source} == shipped

    for _ in range(2):
        assert headrace.run("synchronise").code == 0
    results = headrace.query("SELECT DISTINCT result FROM headrace.job WHERE step = 'sync'")
    assert len(results) == 1
