"""The orders: the whole pipeline, one of its jobs, and a function that needs neither."""

from decimal import Decimal

from headrace.testing import FreshDatabase, run_job, run_pipeline

from jobs.orders.money import in_words
from jobs.orders.report_regions import ReportRegions


def test_daily_orders_totals_each_day_and_region(db: FreshDatabase) -> None:
    run = run_pipeline("daily_orders", database=db)

    assert run.status == "completed", run
    assert run.steps["load"].result["row_count"] == 6
    assert run.steps["report"].result == {"apac": "310.00", "eu": "182.00"}
    (eu,) = db.rows(
        "SELECT orders, amount FROM mart.daily_totals WHERE region = :region AND ordered_on = :day",
        region="eu",
        day="2026-01-05",
    )
    assert (eu["orders"], eu["amount"]) == (2, Decimal("139.90"))


def test_the_report_names_the_best_regions_first(db: FreshDatabase) -> None:
    db.execute(
        "CREATE SCHEMA mart;"
        " CREATE TABLE mart.daily_totals (region text, amount numeric);"
        " INSERT INTO mart.daily_totals VALUES ('eu', 5), ('us', 1200), ('eu', 10)"
    )

    outcome = run_job(ReportRegions, {"best": 1}, database=db)

    assert outcome.status == "completed", outcome.error
    assert outcome.result == {"us": "1,200.00"}
    assert outcome.logs == ("us: 1,200.00",)


def test_an_amount_is_written_with_two_digits() -> None:
    assert in_words(Decimal("1234.5")) == "1,234.50"
