"""MirrorTable with `tables`: what it refuses, leaves and tells of rows that go."""

import pytest
from sqlalchemy import Engine

from headrace.errors import JobFailure
from headrace.jobs.mirroring.publishing import publish
from tests.integration.test_mirror_seldom import (
    OLD,
    Pair,
    engines,  # noqa: F401 - a fixture
)

STRATEGIES = pytest.mark.parametrize("how", ["insert_from_staging", "truncate_and_insert"])


@pytest.fixture
def pair(engines: dict[str | None, Engine]) -> Pair:  # noqa: F811
    return Pair(engines)


@STRATEGIES
def test_what_is_written_and_deleted_by_key_is_told_once(pair, caplog, how):
    caplog.set_level("INFO", "headrace")
    pair.here(OLD)
    pair.here("CREATE TABLE mine (parent_id int REFERENCES parent ON DELETE CASCADE);"
              "INSERT INTO mine VALUES (1), (3)")  # fmt: skip
    tables = [f"{pair.schema}.parent", f"{pair.schema}.child"]

    pair.mirror(tables=tables, replace_strategy=how)
    first = caplog.text.replace(f"{pair.schema}.", "")
    caplog.clear()
    pair.mirror(tables=tables, replace_strategy=how)
    second = caplog.text.replace(f"{pair.schema}.", "")

    assert "parent was written by key (id): 1 row inserted, 1 updated" in first
    assert "Deleted 1 row of parent" in first
    cascade = "Rows of mine that referred to deleted rows of parent are deleted, too"
    assert f"{cascade} (mine_parent_id_fkey)" in first
    assert pair.here("SELECT * FROM mine") == [(1,)]
    assert "parent was written by key (id): 0 rows inserted, 0 updated" in second
    assert "Deleted" not in second
    assert cascade not in second


@STRATEGIES
def test_too_many_rows_that_go_are_refused_where_none_are_found_by_key(pair, how):
    pair.here(OLD)
    tables = [f"{pair.schema}.child"]

    told = pair.failure(tables=tables, replace_strategy=how, expect={"max_delete": 0})

    assert told.startswith("1 of the 2 rows of child would be deleted, but expect.max_delete is 0")
    pair.mirror(tables=tables, replace_strategy=how, expect={"max_delete": 1})
    assert pair.here("SELECT * FROM child") == [(10, 1)]


def test_rows_that_are_found_by_a_key_have_it_once(pair):
    pair.here(OLD)
    pair.there("ALTER TABLE parent DROP CONSTRAINT parent_pkey CASCADE;"
               "INSERT INTO parent VALUES (1, 'again')")  # fmt: skip

    assert pair.failure() == "parent: the key id=1 is null or occurs 2 times"


@pytest.mark.parametrize("referenced", [True, False])
@pytest.mark.parametrize("reset", [True, False])
def test_sequences_go_on_behind_what_has_come_unless_they_are_to_stay(pair, referenced, reset):
    numbered = "CREATE TABLE numbered (id serial PRIMARY KEY);"
    pair.here(numbered + "INSERT INTO numbered VALUES (1)")
    pair.there(numbered + "INSERT INTO numbered VALUES (7)")
    if referenced:
        pair.here("CREATE TABLE mine (id int REFERENCES numbered)")

    pair.mirror(tables=[f"{pair.schema}.numbered"], reset_sequences=reset)

    assert pair.here("SELECT nextval('numbered_id_seq')") == [(8 if reset else 1,)]
    assert pair.here("SELECT * FROM numbered") == [(7,)]


@pytest.mark.parametrize("table", ["child", "parent"])
def test_a_table_that_is_changed_while_rows_are_read_is_left_alone(pair, monkeypatch, table):
    pair.here(OLD)

    def changed_before(*given: object) -> None:
        pair.here(f"ALTER TABLE {table} ADD COLUMN later int")
        publish(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("headrace.jobs.mirroring.snapshot_copy.publish", changed_before)
    with pytest.raises(JobFailure) as failure:
        pair.mirror()

    assert str(failure.value) == (
        f"{pair.schema}.{table} was changed by somebody else while its rows were being prepared: "
        "run the job again"
    )
    assert pair.here("SELECT id FROM child ORDER BY 1") == [(10,), (11,)]
