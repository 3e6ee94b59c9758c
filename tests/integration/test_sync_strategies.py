"""How SyncTable merges: strategies, deletes, history, masks, and what it takes of the source."""

from typing import Any

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.sync_table import SyncTable
from tests.integration.test_jobs_between_servers import run

WITH: dict[str, Any] = {
    "source_table": "customer",
    "target_table": "target",
    "primary_key": "id",
    "source_connection": "there",
}
ALL = "SELECT id, name, city FROM target ORDER BY id, name"


@pytest.fixture
def there(run_job, second):
    run_job.engines["there"] = second
    first = "(1, 'Ann', 'Rome'), (2, 'Bob', 'Oslo'), (3, 'Cid', NULL)"
    run(second, "CREATE TABLE customer (id int PRIMARY KEY, name text, city text)")
    run(second, f"INSERT INTO customer VALUES {first}")
    return second


def changed(there) -> None:
    run(there, "UPDATE customer SET name = 'Anna', city = 'Paris' WHERE id = 1")
    run(there, "DELETE FROM customer WHERE id = 2")
    run(there, "INSERT INTO customer VALUES (4, 'Dot', 'Bonn')")


def numbers(result) -> tuple[int, int, int]:
    return result["inserted"], result["updated"], result["deleted"]


@pytest.mark.parametrize(
    ("more", "counted", "rows"),
    [
        ({}, (1, 1, 0),
         [(1, "Anna", "Paris"), (2, "Bob", "Oslo"), (3, "Cid", None), (4, "Dot", "Bonn")]),
        ({"update_columns": ["city"]}, (1, 1, 0),
         [(1, "Ann", "Paris"), (2, "Bob", "Oslo"), (3, "Cid", None), (4, "Dot", "Bonn")]),
        ({"merge_strategy": "insert_only"}, (1, 0, 0),
         [(1, "Ann", "Rome"), (2, "Bob", "Oslo"), (3, "Cid", None), (4, "Dot", "Bonn")]),
        ({"delete_missing": "hard"}, (1, 1, 1),
         [(1, "Anna", "Paris"), (3, "Cid", None), (4, "Dot", "Bonn")]),
        ({"merge_strategy": "delete_insert"}, (3, 0, 2),
         [(1, "Anna", "Paris"), (2, "Bob", "Oslo"), (3, "Cid", None), (4, "Dot", "Bonn")]),
        ({"merge_strategy": "delete_insert", "delete_missing": "hard"}, (3, 0, 3),
         [(1, "Anna", "Paris"), (3, "Cid", None), (4, "Dot", "Bonn")]),
    ],
)  # fmt: skip
def test_each_strategy_brings_the_target_to_what_it_promises(
    run_job, there, query, more, counted, rows
):
    assert numbers(run_job(SyncTable, **WITH, **more)) == (3, 0, 0)
    changed(there)

    assert numbers(run_job(SyncTable, **WITH, **more)) == counted

    assert query(ALL) == rows


def test_a_soft_delete_marks_the_row_and_takes_the_mark_back(run_job, there, query):
    marks = "SELECT id, _deleted_at IS NULL FROM target ORDER BY id"
    soft = WITH | {"delete_missing": "soft"}
    run_job(SyncTable, **soft)
    assert query(marks) == [(1, True), (2, True), (3, True)]
    changed(there)

    assert numbers(run_job(SyncTable, **soft)) == (1, 1, 1)
    assert query(marks) == [(1, True), (2, False), (3, True), (4, True)]
    assert numbers(run_job(SyncTable, **soft)) == (0, 0, 0)

    run(
        there, "INSERT INTO customer VALUES (2, 'Bob', 'Oslo')", "DELETE FROM customer WHERE id > 2"
    )
    with pytest.raises(JobFailure, match=r"2 of the 3 rows of target would be deleted"):
        run_job(SyncTable, **soft, expect={"max_delete": 1})
    assert run_job(SyncTable, **soft)["restored"] == 1
    assert query(marks) == [(1, True), (2, True), (3, False), (4, False)]


def test_delete_insert_replaces_all_rows_of_a_key_that_repeats(run_job, there, query):
    run(there, "CREATE TABLE line (order_id int, item text)",
        "INSERT INTO line VALUES (1, 'a'), (1, 'b'), (2, 'c')")  # fmt: skip
    run(run_job.engines[None], "CREATE TABLE target (order_id int, item text)",
        "INSERT INTO target VALUES (1, 'old'), (1, 'old'), (1, 'old'), (9, 'kept')")  # fmt: skip
    lines = WITH | {"source_table": "line", "primary_key": "order_id"}

    assert numbers(run_job(SyncTable, **lines, merge_strategy="delete_insert")) == (3, 0, 3)

    assert query("SELECT * FROM target ORDER BY 1, 2") == [
        (1, "a"), (1, "b"), (2, "c"), (9, "kept")
    ]  # fmt: skip
    run(there, "INSERT INTO line VALUES (NULL, 'x')")
    with pytest.raises(JobFailure, match="the key order_id is null in some rows"):
        run_job(SyncTable, **lines, merge_strategy="delete_insert")


def test_every_version_of_a_row_is_kept_without_gap_or_overlap(run_job, there, query):
    scd2 = {"current": "is_current", "hard_deletes": "invalidate"}
    history = WITH | {"merge_strategy": "scd2", "scd2": scd2}
    versions = (
        "SELECT id, name, is_current, valid_to IS NULL, valid_from = lag(valid_to)"
        " OVER (PARTITION BY id ORDER BY valid_from) FROM target ORDER BY id, valid_from"
    )
    assert numbers(run_job(SyncTable, **history)) == (3, 0, 0)
    changed(there)
    assert numbers(run_job(SyncTable, **history)) == (1, 1, 1)
    assert numbers(run_job(SyncTable, **history)) == (0, 0, 0)
    run(there, "INSERT INTO customer VALUES (2, 'Bob', 'Oslo')")
    run(there, "UPDATE customer SET name = 'Ann' WHERE id = 1")
    assert numbers(run_job(SyncTable, **history)) == (1, 1, 0)

    assert query(versions) == [
        (1, "Ann", False, False, None), (1, "Anna", False, False, True),
        (1, "Ann", True, True, True),
        (2, "Bob", False, False, None), (2, "Bob", True, True, False),
        (3, "Cid", True, True, None), (4, "Dot", True, True, None),
    ]  # fmt: skip
    run(there, "DELETE FROM customer WHERE id > 2")
    with pytest.raises(JobFailure, match=r"max_delete"):
        run_job(SyncTable, **history, expect={"max_delete": "25%"})


@pytest.mark.parametrize("is_there", [True, False])
def test_an_update_of_a_column_that_is_not_read_is_refused(run_job, there, query, is_there):
    given = {**WITH, "columns": ["id", "name"]}
    if is_there:
        run_job(SyncTable, **given)

    with pytest.raises(JobFailure) as failure:
        run_job(SyncTable, **given, update_columns=["name", "city"])

    told = "what is read of customer has no column 'city'; it has: id, name"
    assert str(failure.value) == told
    assert query("SELECT to_regclass('target') IS NOT NULL") == [(is_there,)]


def test_the_columns_of_an_update_may_be_quoted(run_job, there, query):
    given = {**WITH, "select": ["id", "name as Called", "city"], "update_columns": ['"Called"']}
    run_job(SyncTable, **given)
    changed(there)

    assert numbers(run_job(SyncTable, **given)) == (1, 1, 0)

    assert query('SELECT "Called", city FROM target WHERE id = 1') == [("Anna", "Rome")]


def test_a_history_in_a_table_without_its_columns_is_refused_with_the_remedy(
    run_job, there, execute
):
    execute("CREATE TABLE target (id int PRIMARY KEY, name text, city text)")

    with pytest.raises(JobFailure, match=r"has no column valid_from.*ADD COLUMN"):
        run_job(SyncTable, **WITH, merge_strategy="scd2")


def test_a_history_fills_its_columns_by_whatever_name_they_have(run_job, there, execute, query):
    """They may be NOT NULL without a default: no row of the source has to have them."""
    execute("CREATE TABLE target (id int, name text, city text, since timestamptz NOT NULL,"
            " until timestamptz, latest boolean NOT NULL)")  # fmt: skip
    scd2 = {"valid_from": "since", "valid_to": "until", "current": "latest"}
    given = {**WITH, "merge_strategy": "scd2", "scd2": scd2}

    assert numbers(run_job(SyncTable, **given)) == (3, 0, 0)
    changed(there)
    assert numbers(run_job(SyncTable, **given)) == (1, 1, 0)
    run(there, "ALTER TABLE customer DROP COLUMN city")
    execute("UPDATE target SET city = ''; ALTER TABLE target ALTER city SET NOT NULL")
    with pytest.raises(JobFailure, match="its column city is NOT NULL without a default"):
        run_job(SyncTable, **given)

    assert query("SELECT id, name, latest, until IS NULL FROM target ORDER BY id, since") == [
        (1, "Ann", False, False), (1, "Anna", True, True), (2, "Bob", True, True),
        (3, "Cid", True, True), (4, "Dot", True, True),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["valid_from", "valid_to", "now"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_source_with_a_column_of_the_history_is_refused_with_the_remedy(
    run_job, there, execute, query, name, is_there
):
    if is_there:
        execute("CREATE TABLE target (id int, valid_from timestamptz, valid_to timestamptz,"
                " now boolean)")  # fmt: skip
    given = {**WITH, "select": ["id", f"name as {name}"], "merge_strategy": "scd2"}

    with pytest.raises(JobFailure) as failure:
        run_job(SyncTable, **given, scd2={"current": "now"})

    assert str(failure.value) == (
        f"the source has a column {name}, which merge_strategy: scd2 fills itself: leave it out or"
        " rename it in `select`, or give the column another name in `scd2`"
    )
    assert query("SELECT to_regclass('target') IS NOT NULL") == [(is_there,)]


def test_columns_are_left_out_renamed_and_rows_filtered(run_job, there, query):
    taken = {"select": ["-city", "name as full name"], "where": "name <> 'Bob' -- not him"}
    for job in (SyncTable, MirrorTable):
        with_ = {k: v for k, v in WITH.items() if job is SyncTable or k != "primary_key"}
        run_job(job, **with_, **taken)
        assert query('SELECT id, "full name" FROM target ORDER BY id') == [(1, "Ann"), (3, "Cid")]


def test_masked_values_never_reach_the_target(run_job, there, query, monkeypatch):
    monkeypatch.setenv("MASK_SALT", "pepper-and-salt")
    run(there, "CREATE TABLE person (id int PRIMARY KEY, ssn varchar(20), email text, phone text,"
        " card text, note text, number bigint)",
        "INSERT INTO person VALUES (1, '123', 'ann@real.com', '0123456789', '4111', 'x', 77),"
        " (2, '123', NULL, '12', '4222', NULL, 77)")  # fmt: skip
    mask = {"ssn": "hash", "email": "fake:email", "phone": "partial:4", "card": "null",
            "note": {"constant": "-"}, "number": "hash"}  # fmt: skip
    with_ = {"source_table": "person", "target_table": "target", "source_connection": "there",
             "mask": mask, "mask_salt": {"env": "MASK_SALT"}}  # fmt: skip

    run_job(MirrorTable, **with_)

    first, second = query("SELECT ssn, email, phone, card, note, number FROM target ORDER BY id")
    assert first[0] == second[0]
    assert first[0] != "123"
    assert len(first[0]) == 20
    assert first[1].endswith("@example.com")
    assert second[1] is None
    assert (first[2], second[2]) == ("******6789", "**")
    assert (first[3], first[4], second[4]) == (None, "-", None)
    assert first[5] == second[5] != 77
    before = query("SELECT ssn, email, number FROM target ORDER BY id")
    run_job(MirrorTable, **with_)
    assert query("SELECT ssn, email, number FROM target ORDER BY id") == before


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"key": "id"}, "key is another name of primary_key"),
        ({"delete": True, "delete_missing": "soft"}, "delete: true is delete_missing: hard"),
        ({"scd2": {"current": "c"}}, "belongs to merge_strategy: scd2"),
        ({"merge_strategy": "scd2", "delete_missing": "hard"}, "hard_deletes: invalidate"),
        ({"update_columns": ["a"], "merge_strategy": "insert_only"}, "has no use with insert_only"),
        ({"update_columns": ["id"]}, "must not have the key"),
        ({"incremental": {"cursor": "a"}, "delete_missing": "hard"}, "what is missing"),
        ({"incremental": {"cursor": "a", "lag": "soon"}}, "lag is a duration"),
        ({"incremental": {"cursor": "a", "on_null": "x"}}, "include, exclude, fail"),
        ({"mask": {"a": "hash"}}, "needs mask_salt"),
        ({"mask": {"a": "rot13"}}, "which is none of hash, null, partial"),
        ({"select": ["a", "-b"]}, "takes 'a' and leaves out 'b'"),
        ({"select": ["a"], "columns": ["id"]}, "say the same"),
        ({"where": " "}, "where is empty"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(more, told):
    with pytest.raises(InvalidPayload, match=told):
        SyncTable(**WITH, **more)


def test_a_history_that_is_made_has_a_column_of_whether_it_is_current_only_where_one_is_named(
    run_job, execute, query
):
    execute("CREATE TABLE plain (id int PRIMARY KEY, v text); INSERT INTO plain VALUES (1, 'a')")
    with_ = {"source_table": "plain", "key": "id", "merge_strategy": "scd2"}
    columns = ("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0"
               " AND attrelid = '{}'::regclass ORDER BY attnum")  # fmt: skip
    found = [("id", "integer"), ("v", "text"), ("valid_from", "timestamp with time zone"),
             ("valid_to", "timestamp with time zone")]  # fmt: skip

    run_job(SyncTable, **with_, target_table="history")
    run_job(SyncTable, **with_, target_table="marked", scd2={"current": "is_it"})

    assert query(columns.format("history")) == found
    assert query(columns.format("marked")) == [*found, ("is_it", "boolean")]
