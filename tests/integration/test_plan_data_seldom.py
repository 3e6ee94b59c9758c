"""`headrace plan --data` for partitions, empty and missing targets, and files known by content."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_plan_data import asked, planned, write
from tests.support.cli import Headrace
from tests.support.places import run_as_owner

SHOP = """
CREATE TABLE customer (id int PRIMARY KEY, name text);
INSERT INTO customer VALUES (1, 'Ann'), (2, 'Bob');
CREATE TABLE event (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE event_2 PARTITION OF event FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE event_3 PARTITION OF event DEFAULT;
INSERT INTO event VALUES (1, '2026-01-02'), (2, '2026-01-03'), (3, '2026-02-03'), (4, '2026-08-01');
CREATE TABLE plain (id int, at date);
CREATE TABLE emptied (id int PRIMARY KEY, name text);
CREATE TABLE lacking (id int PRIMARY KEY);
CREATE TABLE version (id int, name text, since date NOT NULL, valid_to timestamptz);
INSERT INTO version VALUES (1, 'x', '2026-01-01'), (2, 'Bob', '2026-01-01');
CREATE TABLE nameless (id int PRIMARY KEY, name text);
INSERT INTO nameless VALUES (7, 'x'), (8, 'y'), (9, 'z');
CREATE TABLE keyless (code text, name text);
INSERT INTO keyless VALUES ('a', 'b');
CREATE TABLE other (id bigint PRIMARY KEY, name text);
INSERT INTO other VALUES (1, 'x');
"""
SYNC: dict[str, Any] = {"source_table": "customer", "primary_key": "id"}
MIRROR: dict[str, Any] = {"source_table": "customer"}
ARCHIVE: dict[str, Any] = {
    "table": "event", "column": "at", "before": "2026-03-01", "partitions": "detach"
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, database: str, redis_url: str) -> Headrace:
    run_as_owner(database, SHOP)
    (tmp_path / "pipelines" / "in").mkdir(parents=True)
    (tmp_path / "config.yaml").write_text(json.dumps({"connections": {"again": database}}))
    environ = {"HEADRACE_HOME": str(tmp_path / "home"), "DATABASE_URL": database}
    return Headrace(tmp_path, environ | {"REDIS_URL": redis_url})


def steps(jobs: dict[str, tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [
        {"id": name, "job": job, "with": given, "retry": {"limit": 0}}
        for name, (job, given) in jobs.items()
    ]


def numbers(step: dict[str, Any]) -> list[tuple[str, int, int, int, bool]]:
    return [
        (one["table"], one["insert"], one["update"], one["delete"], one["creates"])
        for one in step["tables"]
    ]


def test_partitions_that_would_leave_are_named_and_their_rows_counted(project, database):
    write(project, steps({
        "here": ("ArchiveRows", ARCHIVE | {"into": "old.event"}),
        "first": ("ArchiveRows", ARCHIVE | {"into": "plain", "batch_limit": 1}),
        "files": ("ArchiveRows", ARCHIVE | {"path": "event.csv"}),
        "there": ("ArchiveRows", ARCHIVE | {"target_connection": "again", "into": "x.event"}),
        "none": ("ArchiveRows", ARCHIVE | {"into": "old.event", "before": "2026-01-31"}),
    }))  # fmt: skip

    found = planned(project)

    gone, two = ("event", 0, 0, 3, False), "partitions: event_1, event_2"
    assert numbers(found["here"]) == [gone, ("old.event", 3, 0, 0, True)]
    assert found["here"]["notes"] == [two]
    assert numbers(found["first"]) == [("event", 0, 0, 2, False), ("plain", 2, 0, 0, False)]
    assert found["first"]["notes"][0] == "partitions: event_1"
    assert numbers(found["files"]) == numbers(found["there"]) == [gone]
    elsewhere = "the rows go to {}, which is not looked at"
    assert found["files"]["notes"][:2] == [two, elsewhere.format("files at event.csv")]
    place = "x.event on another connection"
    assert found["there"]["notes"][:2] == [two, elsewhere.format(place)]
    assert [one["rows_read"] for one in found.values()] == [3, 2, 3, 3, 0]
    assert found["none"]["notes"] == ["partitions: none: none is old"]
    assert asked(database, "SELECT count(*) FROM event") == [(4,)]


def test_targets_that_are_empty_missing_or_made_anew_are_forecast_as_the_run_finds_them(
    project, database
):
    jobs: dict[str, tuple[str, dict[str, Any]]] = {
        "emptied": ("SyncTable", SYNC | {"target_table": "emptied"}),
        "lacking": ("SyncTable", SYNC | {"target_table": "lacking",
                                         "on_schema_change": "append_new_columns"}),
        "version": ("SyncTable", SYNC | {"target_table": "version", "merge_strategy": "scd2",
                                         "scd2": {"valid_from": "since"}}),
        "made": ("MirrorTable", MIRROR | {"target_table": "made"}),
        "nameless": ("MirrorTable", MIRROR | {"target_table": "nameless", "select": ["id"],
                                              "on_schema_change": "recreate"}),
        "apart": ("MirrorTable", MIRROR | {"target_table": "apart", "source_connection": "again"}),
    }  # fmt: skip
    write(project, steps(jobs))

    found = planned(project)

    assert {name: numbers(one)[0] for name, one in found.items()} == {
        "emptied": ("emptied", 2, 0, 0, False),
        "lacking": ("lacking", 2, 0, 0, False),
        "version": ("version", 0, 1, 0, False),
        "made": ("made", 2, None, None, True),
        "nameless": ("nameless", 2, 0, 3, False),
        "apart": ("apart", 2, None, None, True),
    }
    assert found["lacking"]["tables"][0]["add_columns"] == ['"name" text']
    assert found["nameless"]["tables"][0]["changes"] == [
        "is dropped and created again, without its privileges and indexes"
    ]
    assert project("run", "p").code == 0
    done = {one["step"]: one["result"] for one in project("jobs", "--json").json["items"]}
    assert done["emptied"] | done["lacking"] | {"table": ""} == {
        "inserted": 2, "updated": 0, "deleted": 0, "table": ""
    }  # fmt: skip
    assert [done[name]["row_count"] for name in ("made", "nameless", "apart")] == [2, 2, 2]


def test_what_a_load_or_a_copy_would_refuse_is_forecast_with_its_reason(project):
    folder = project.folder / "pipelines" / "in"
    (folder / "a.csv").write_text("id,name\n1,Ann\n")
    write(project, steps({
        "keyless": ("SyncTable", SYNC | {"target_table": "keyless", "on_schema_change": "ignore"}),
        "unknown": ("SyncTable", SYNC | {"target_table": "emptied", "update_columns": ["nmae"]}),
        "taken": ("SyncTable", SYNC | {"target_table": "made", "merge_strategy": "scd2",
                                       "select": ["id", "name as valid_to"]}),
        "missing": ("LoadFile", {"path": "in/none*.csv", "table": "other"}),
        "types": ("LoadFile", {"path": "in/a.csv", "table": "other",
                               "columns": {"id": "text", "name": "text"}}),
        "result": ("DataAggregation", {"table": "customer", "group_by": "name"}),
    }))  # fmt: skip

    found = planned(project)

    assert found["keyless"]["fails"] == "keyless has no column 'id', which is the key"
    assert found["unknown"]["fails"] == (
        "what is read of customer has no column 'nmae'; it has: id, name"
    )
    assert found["taken"]["fails"].startswith("the source has a column valid_to, which merge_")
    assert found["missing"]["fails"] == "in/none*.csv: no file matches"
    assert found["types"]["fails"].startswith(
        "in/a.csv: `columns` declares id as text, but other exists and has it as bigint."
    )
    assert found["result"]["unknown"] == "known when the step starts"


def test_a_file_whose_content_was_loaded_under_another_name_is_forecast_as_known(project):
    folder = project.folder / "pipelines" / "in"
    (folder / "a.csv").write_text("id,name\n5,Ann\n")
    write(project, steps({
        "load": ("LoadFile", {"path": "in/*.csv", "table": "emptied", "new_files_only": True}),
    }))  # fmt: skip
    assert project("run", "p").code == 0
    (folder / "b.csv").write_text("id,name\n5,Ann\n")
    (folder / "c.csv").write_text("id,name\n6,Bob\n")

    found = planned(project)["load"]

    assert [(one["name"], one["skipped"]) for one in found["files"]] == [
        ("in/a.csv", "was loaded before"),
        ("in/b.csv", "its content was loaded before, from in/a.csv"),
        ("in/c.csv", None),
    ]
    assert numbers(found)[0][1] == 1
    assert project("run", "p").code == 0
    (job, *_) = project("jobs", "--json", "--job", "LoadFile").json["items"]
    assert (job["result"]["row_count"], job["result"]["files"]) == (1, 1)


def test_too_many_vanished_groups_fail_in_the_forecast_as_in_the_run(project, database):
    with_ = {"table": "customer", "group_by": "name", "aggregates": {"n": "count(*)"},
             "into": "totals", "refresh": "changed"}  # fmt: skip
    partly = {"incremental": {"cursor": "id"}, "expect": {"max_delete": "10%"}}
    write(project, steps({"all": ("DataAggregation", with_ | {"into": "every"}),
                          "some": ("DataAggregation", with_ | partly)}))  # fmt: skip
    assert project("run", "p").code == 0
    run_as_owner(database, "DELETE FROM customer WHERE id = 2")

    found = planned(project)

    assert numbers(found["all"]) == [("every", 0, 0, 1, False)]
    assert found["all"]["fails"] is None
    assert numbers(found["some"]) == [("totals", 0, 0, 1, False)]
    assert "1 of the 2 rows of totals would be deleted" in found["some"]["fails"]
    run_as_owner(database, "INSERT INTO customer VALUES (3, 'Bob')")
    again = planned(project)["some"]
    assert (numbers(again), again["fails"]) == ([("totals", 0, 0, 0, False)], None)
