"""What MirrorTable and DataAggregation say that they would do, whole."""

from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.data_aggregation import DataAggregation
from headrace.jobs.mirror_table import MirrorTable
from headrace.model.forecast import Forecast, TableForecast

ONE: dict[str, Any] = {"source_table": "src", "target_table": "t"}
TOTALS: dict[str, Any] = {
    "table": "src", "group_by": "name", "aggregates": {"n": "count(*)"}, "into": "totals",
}  # fmt: skip
ANEW = "is dropped and created again, without its privileges and indexes"


class Mirrored(MirrorTable):
    """Gives the forecast for what it would do."""

    def handle(self) -> Any:
        return self.forecast()


class Totalled(DataAggregation):
    """Gives the forecast for what it would do."""

    def handle(self) -> Any:
        return self.forecast()


@pytest.fixture
def src(execute):
    execute(
        "CREATE TABLE src (id int PRIMARY KEY, name text);"
        "INSERT INTO src VALUES (1, 'a'), (2, 'b'), (3, 'b')"
    )


MADE = "CREATE TABLE t (id int, name text); INSERT INTO t VALUES (1, 'a'), (9, 'z')"
KEYED = (
    "CREATE TABLE t (id int PRIMARY KEY, name text);"
    " INSERT INTO t VALUES (1, 'a'), (2, 'z'), (9, 'z')"
)
REFERENCED = f"{KEYED}; CREATE TABLE child (id int REFERENCES t)"
LACKING = "CREATE TABLE t (id int); INSERT INTO t VALUES (1)"
WIDER = "CREATE TABLE t (id bigint, name text, more int); INSERT INTO t VALUES (1, 'a')"
OTHERS = (
    "CREATE TABLE t (id int PRIMARY KEY, name text, note text);"
    " INSERT INTO t VALUES (1, 'a', 'x'), (9, 'z', NULL)"
)
RETYPED = (
    "CREATE TABLE t (id text PRIMARY KEY, name text);"
    " INSERT INTO t SELECT n FROM generate_series(1, 5) n"
)
CASES: dict[str, tuple[str, dict[str, Any], TableForecast, str | None]] = {
    "a new table": (
        "SELECT",
        {},
        TableForecast("t", 3, creates=True, add_columns=('"id" integer', '"name" text')),
        None,
    ),
    "a new table that may not be": (
        "SELECT",
        {"expect": {"rows": ">5"}},
        TableForecast("t", 3, creates=True, add_columns=('"id" integer', '"name" text')),
        "3 rows have come for t, but expect.rows is '>5': nothing is saved",
    ),
    "rows in place of others": (MADE, {}, TableForecast("t", 3, 0, 2), None),
    "too few": (
        MADE,
        {"expect": {"rows": 4}},
        TableForecast("t", 3, 0, 2),
        "3 rows have come for t, but expect.rows is '4': nothing is saved",
    ),
    "rows of which none may go": (
        KEYED,
        {"expect": {"max_delete": 0}},
        TableForecast("t", 3, 0, 3),
        "1 of the 3 rows of t would be deleted, but expect.max_delete is 0: nothing is saved",
    ),
    "rows of which one may go": (
        KEYED, {"expect": {"max_delete": 1}}, TableForecast("t", 3, 0, 3), None
    ),
    "rows to which others refer": (REFERENCED, {}, TableForecast("t", 1, 1, 1), None),
    "rows to which others refer that may not go": (
        REFERENCED,
        {"expect": {"max_delete": "10%", "rows": "3..3"}},
        TableForecast("t", 1, 1, 1),
        "1 of the 3 rows of t would be deleted, but expect.max_delete is 10%: nothing is saved",
    ),
    "values that stay": (OTHERS, {}, TableForecast("t", 2, 0, 1), None),
    "a column that comes": (
        LACKING,
        {"on_schema_change": "append_new_columns"},
        TableForecast("t", 3, 0, 1, add_columns=('"name" text',)),
        None,
    ),
    "a column that is left out": (
        LACKING,
        {"on_schema_change": "ignore"},
        TableForecast("t", 3, 0, 1, changes=("name is left out: t has no such column",)),
        None,
    ),
    "a table anew": (
        WIDER,
        {"on_schema_change": "recreate", "expect": {"max_delete": 0}},
        TableForecast("t", 3, 0, 1, changes=(ANEW,)),
        None,
    ),
    "a table anew of which too many would go": (
        RETYPED,
        {"on_schema_change": "recreate", "expect": {"max_delete": 1}},
        TableForecast("t", 3, 0, 5, changes=(ANEW,)),
        "2 of the 5 rows of t would be deleted, but expect.max_delete is 1: nothing is saved",
    ),
    "another type of which too many would go": (
        RETYPED,
        {"on_schema_change": "sync_all_columns", "expect": {"max_delete": 1}},
        TableForecast("t", 3, 0, 5, changes=("t.id becomes integer; it was text",)),
        "2 of the 5 rows of t would be deleted, but expect.max_delete is 1: nothing is saved",
    ),
    "another type and a column that goes": (
        WIDER,
        {"on_schema_change": "sync_all_columns"},
        TableForecast("t", 3, 0, 1, changes=(
            "t.id becomes integer; it was bigint",
            "t.more is dropped: the rows have no such column",
        )),
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_mirror_would_change_is_told_whole(run_job, execute, src, case):
    there, with_, table, fails = CASES[case]
    execute(there)

    assert run_job(Mirrored, **ONE, **with_) == Forecast((table,), read=3, fails=fails)
    if fails is None:
        assert run_job(MirrorTable, **ONE, **with_)["row_count"] == 3
        return
    with pytest.raises(JobFailure) as failed:
        run_job(MirrorTable, **ONE, **with_)
    assert str(failed.value) == fails


def test_several_tables_are_told_together_with_what_stands_against_the_first(run_job, execute, src):
    execute(
        "CREATE SCHEMA copy; CREATE TABLE more AS SELECT 1 AS id; CREATE TABLE copy.more (id int)"
    )

    found = run_job(Mirrored, tables=["public.*"], target_schema="copy", expect={"rows": ">2"})

    assert found == Forecast(
        (
            TableForecast("copy.more", 1, 0, 0),
            TableForecast("copy.src", 3, creates=True, add_columns=('"id" integer', '"name" text')),
        ),
        read=4,
        fails="1 rows have come for copy.more, but expect.rows is '>2': nothing is saved",
    )


def test_what_totals_would_change_is_told_whole(run_job, execute, src):
    new = TableForecast("totals", 2, creates=True, add_columns=('"name" text', '"n" bigint'))
    fails = "2 rows have come for totals, but expect.rows is '1': nothing is saved"
    assert run_job(Totalled, **TOTALS) == Forecast((new,), read=2)
    assert run_job(Totalled, **TOTALS, expect={"rows": 1}) == Forecast((new,), read=2, fails=fails)

    execute("CREATE TABLE totals (name text, n bigint); INSERT INTO totals VALUES ('x', 1)")
    assert run_job(Totalled, **TOTALS) == Forecast((TableForecast("totals", 2, 0, 1),), read=2)
    assert run_job(Totalled, **{k: v for k, v in TOTALS.items() if k != "into"}) is None
