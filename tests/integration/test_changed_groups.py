"""DataAggregation with `refresh: changed`: which groups are calculated, written and deleted."""

from typing import Any

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.data_aggregation import DataAggregation

WITH: dict[str, Any] = {
    "table": "sale",
    "group_by": ["region"],
    "aggregates": {"total": "sum(amount)"},
    "into": "totals",
    "refresh": "changed",
}
CURSOR = {"incremental": {"cursor": "at"}}
TOTALS = "SELECT region, total FROM totals ORDER BY 1"
ALL = (
    "All groups of sale are calculated: there is no earlier refresh to go on from, or it calculated"
    " something else"
)


@pytest.fixture
def sales(execute):
    execute("CREATE TABLE sale (id int PRIMARY KEY, region text, amount int, at timestamptz)")
    execute("INSERT INTO sale VALUES (1, 'eu', 1, '2026-01-01'), (2, 'us', 2, '2026-01-02'),"
            " (3, 'uk', 3, '2026-01-03')")  # fmt: skip


def numbers(result: dict[str, Any]) -> tuple[int, int, int, int]:
    return result["groups"], result["inserted"], result["updated"], result["deleted"]


@pytest.mark.usefixtures("sales")
def test_only_groups_that_differ_are_written_and_vanished_ones_go(run_job, execute, query):
    assert numbers(run_job(DataAggregation, **WITH)) == (3, 3, 0, 0)
    versions = dict(query("SELECT region, xmin::text FROM totals"))
    execute("INSERT INTO sale VALUES (4, 'eu', 5, NULL)")
    execute("DELETE FROM sale WHERE region = 'uk'")

    assert numbers(run_job(DataAggregation, **WITH)) == (2, 0, 1, 1)

    assert query(TOTALS) == [("eu", 6), ("us", 2)]
    assert dict(query("SELECT region, xmin::text FROM totals"))["us"] == versions["us"]


@pytest.mark.usefixtures("sales")
def test_with_a_cursor_only_groups_with_new_rows_are_calculated(run_job, execute, query, caplog):
    caplog.set_level("INFO")
    assert numbers(run_job(DataAggregation, **WITH, **CURSOR)) == (3, 3, 0, 0)
    assert caplog.messages.count(ALL) == 1
    assert numbers(run_job(DataAggregation, **WITH, **CURSOR))[1:] == (0, 0, 0)
    # Committed late, with an older value; and a new group.
    execute("INSERT INTO sale VALUES (4, 'us', 5, '2020-01-01'), (5, 'in', 7, '2026-02-01')")
    execute("DELETE FROM sale WHERE region = 'eu'")

    found = numbers(run_job(DataAggregation, **WITH, **CURSOR))

    assert found[1:] == (1, 1, 1)
    assert query(TOTALS) == [("in", 7), ("uk", 3), ("us", 7)]
    assert caplog.messages.count(ALL) == 1


@pytest.mark.usefixtures("sales")
def test_another_calculation_makes_all_groups_new(run_job, query):
    run_job(DataAggregation, **WITH, **CURSOR)
    other = WITH | {"aggregates": {"total": "max(amount)", "n": "count(*)"}}

    found = run_job(DataAggregation, **other, **CURSOR, on_schema_change="append_new_columns")

    assert numbers(found) == (3, 0, 3, 0)
    assert query("SELECT sum(n) FROM totals") == [(3,)]


@pytest.mark.usefixtures("sales")
def test_too_many_vanished_groups_are_refused_and_nothing_is_saved(run_job, execute, query):
    run_job(DataAggregation, **WITH, **CURSOR)
    execute("DELETE FROM sale WHERE region <> 'eu'")

    for more in ({}, CURSOR):
        with pytest.raises(JobFailure, match="2 of the 3 rows of totals would be deleted"):
            run_job(DataAggregation, **WITH, **more, expect={"max_delete": "50%"})

    assert query("SELECT count(*) FROM totals") == [(3,)]


@pytest.mark.usefixtures("sales")
def test_a_group_without_a_value_is_refused_with_the_remedy(run_job, execute):
    run_job(DataAggregation, **WITH, **CURSOR)
    execute("INSERT INTO sale VALUES (9, NULL, 1, '2027-01-01')")

    for more in ({}, CURSOR):
        with pytest.raises(JobFailure, match=r"region is NULL.*coalesce"):
            run_job(DataAggregation, **WITH, **more)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"into": None}, "into"),
        ({"on_schema_change": "recreate"}, "refresh: all"),
        ({"refresh": "all", **CURSOR}, "refresh: changed"),
        ({"incremental": {"lag": "10m"}}, "cursor"),
    ],
)
def test_keys_that_do_not_go_with_changed_groups_are_refused(given, said):
    with pytest.raises(InvalidPayload, match=said):
        DataAggregation(**(WITH | given))
