"""`headrace plan --data`: what the loads of a pipeline would change, counted without a write."""

import json
from contextlib import closing
from typing import Any

import pytest

from tests.support.cli import Headrace
from tests.support.places import run_as_owner
from tests.support.servers import connect

SHOP = """
CREATE TABLE customer (id int PRIMARY KEY, name text, email text, updated_at timestamptz);
INSERT INTO customer VALUES (1, 'Ann', 'a@x.org', '2026-01-01'),
    (2, 'Bob', 'b@x.org', '2026-01-02'), (3, 'Cid', 'c@x.org', '2026-01-03')
"""
# Every target has Ann as she is, an older Bob, and Eve, who is gone from the source.
ROWS = "VALUES (1, 'Ann'), (2, 'Rob'), (5, 'Eve')"
DWH = [
    "CREATE SCHEMA dwh",
    *(
        f"CREATE TABLE dwh.{name} (id int PRIMARY KEY, name text); INSERT INTO dwh.{name} {ROWS}"
        for name in ("plain", "gone", "soft", "pairs", "only", "mirror", "parent", "grown", "merge",
                     "added", "whole", "full")
    ),
    "CREATE TABLE dwh.child (id int REFERENCES dwh.parent)",
    "CREATE TABLE dwh.old (id int PRIMARY KEY, at timestamptz)",
    "INSERT INTO dwh.old VALUES (1, '2020-01-01'), (2, '2020-01-02'), (3, now())",
    "CREATE TABLE dwh.line (old_id int REFERENCES dwh.old)",
    "INSERT INTO dwh.line VALUES (1), (1)",
    "CREATE TABLE dwh.version (id int, name text, valid_from timestamptz, valid_to timestamptz)",
    f"INSERT INTO dwh.version SELECT id, name, now() FROM ({ROWS}) AS v (id, name)",
]  # fmt: skip
CSV = "id,name\n1,Ann\n2,Bob\n7,Gil\n7,Gus\n"
SYNC: dict[str, Any] = {
    "source_connection": "shop", "source_table": "customer", "primary_key": "id",
    "select": ["id", "name"],
}  # fmt: skip
LOAD: dict[str, Any] = {"path": "in/one.csv"}
STEPS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "plain": ("SyncTable", SYNC, {"insert": 1, "update": 1, "delete": 0}),
    "gone": ("SyncTable", SYNC | {"delete": True}, {"insert": 1, "update": 1, "delete": 1}),
    "soft": ("SyncTable", SYNC | {"delete_missing": "soft"},
             {"insert": 1, "update": 1, "delete": 1, "restore": 0,
              "add_columns": ['"_deleted_at" timestamp with time zone']}),
    "pairs": ("SyncTable", SYNC | {"merge_strategy": "delete_insert"},
              {"insert": 3, "update": 0, "delete": 2}),
    "only": ("SyncTable", SYNC | {"merge_strategy": "insert_only"},
             {"insert": 1, "update": 0, "delete": 0}),
    "version": ("SyncTable", SYNC | {"merge_strategy": "scd2",
                                     "scd2": {"hard_deletes": "invalidate"}},
                {"insert": 1, "update": 1, "delete": 1}),
    "grown": ("SyncTable", SYNC | {"select": ["id", "name", "email"],
                                   "on_schema_change": "append_new_columns"},
              {"insert": 1, "update": 2, "delete": 0, "add_columns": ['"email" text']}),
    "made": ("SyncTable", SYNC, {"insert": 3, "update": None, "delete": None, "creates": True,
                                 "add_columns": ['"id" integer', '"name" text']}),
    "mirror": ("MirrorTable", {k: v for k, v in SYNC.items() if k != "primary_key"},
               {"insert": 3, "update": 0, "delete": 3}),
    "parent": ("MirrorTable", {k: v for k, v in SYNC.items() if k != "primary_key"},
               {"insert": 1, "update": 1, "delete": 1}),
    "added": ("LoadFile", {"path": "in/two.csv"}, {"insert": 1, "update": 0, "delete": 0}),
    # Both of the rows of one key have come.
    "merge": ("LoadFile", LOAD | {"mode": "merge", "expect": {"rows": "4"}},
              {"insert": 1, "update": 1, "delete": 0}),
    "whole": ("LoadFile", {"path": "in/two.csv", "mode": "replace", "metadata": ["_file"]},
              {"insert": 1, "update": 0, "delete": 3, "add_columns": ['"_file" text']}),
    "new": ("LoadFile", LOAD | {"create": True},
            {"insert": 4, "update": None, "delete": None, "creates": True,
             "add_columns": ['"id" text', '"name" text']}),
}  # fmt: skip


NOTHING: dict[str, Any] = {
    "restore": None, "creates": False, "add_columns": [], "changes": []
}  # fmt: skip


def result_of(told: dict[str, Any], job: str) -> dict[str, Any]:
    """Return the numbers of a forecast as the job's result has them."""
    if job == "MirrorTable":
        return {"row_count": told["rows_read"]}
    (table,) = told["tables"]
    numbers = {key: table[key] or 0 for key in ("insert", "update", "delete")}
    if job == "SyncTable":
        return {f"{key}ed" if key == "insert" else f"{key}d": n for key, n in numbers.items()}
    return {"row_count": told["rows_read"], "files": len(told["files"])}


@pytest.fixture
def project(tmp_path, database, redis_url, second, second_server_of_another_major):
    """Give a project whose source is a second server, and a function that asks the target."""
    shop = second_server_of_another_major.url_for("other", "etl")
    run_as_owner(shop, SHOP)
    run_as_owner(database, *DWH)
    (tmp_path / "pipelines" / "in").mkdir(parents=True)
    (tmp_path / "pipelines" / "in" / "one.csv").write_text(CSV)
    (tmp_path / "pipelines" / "in" / "two.csv").write_text("id,name\n9,Ida\n")
    (tmp_path / "config.yaml").write_text(json.dumps({"connections": {"shop": shop}}))
    environ = {"HEADRACE_HOME": str(tmp_path / "home"), "DATABASE_URL": database}
    return Headrace(tmp_path, environ | {"REDIS_URL": redis_url})


def write(headrace: Headrace, steps: list[dict[str, Any]]) -> None:
    file = headrace.folder / "pipelines" / "p.yaml"
    file.write_text(json.dumps({"name": "p", "steps": steps}))


def planned(headrace: Headrace, *more: str) -> dict[str, Any]:
    done = headrace("plan", "p", "--data", "--json", *more)
    assert done.code == 0, done.err
    return {step["id"]: step["data"] for step in done.json["steps"]}


def asked(url: str, sql: str) -> list[Any]:
    with closing(connect(url)) as opened, opened.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_a_forecast_says_what_the_run_then_does_and_writes_nothing(project, database):
    steps = []
    for name, (job, given, _) in STEPS.items():
        target = "table" if job == "LoadFile" else "target_table"
        with_ = {**given, target: f"dwh.{name}"}
        steps.append({"id": name, "job": job, "with": with_, "retry": {"limit": 0}})
    write(project, steps)
    sizes = "SELECT count(*) FROM pg_class WHERE relnamespace = 'dwh'::regnamespace"
    before = asked(database, sizes), asked(database, "TABLE dwh.plain")

    found = planned(project)

    assert (asked(database, sizes), asked(database, "TABLE dwh.plain")) == before
    for name, (_, _, expected) in STEPS.items():
        assert found[name]["fails"] is None and found[name]["unknown"] is None, (name, found[name])
        (table,) = found[name]["tables"]
        nothing: dict[str, Any] = {
            "restore": None,
            "creates": False,
            "add_columns": [],
            "changes": [],
        }
        assert table == {"table": f"dwh.{name}", **nothing, **expected}, name
    said = project("run", "p", "--json")
    jobs = {one["step"]: one for one in project("jobs", "--json", "--limit", "50").json["items"]}
    for name, (job, _, _) in STEPS.items():
        assert jobs[name]["status"] == "completed", jobs[name]["error"] + said.err
        result = jobs[name]["result"]
        for key, number in result_of(found[name], job).items():
            assert result[key] == number, (name, key, result)
    again = planned(project)
    assert {"insert": 0, "update": 0, "delete": 0}.items() <= again["gone"]["tables"][0].items()
    assert {"insert": 0, "update": 0, "delete": 0}.items() <= again["version"]["tables"][0].items()


def test_a_forecast_of_new_files_and_of_old_rows_agrees_with_the_run(project, database):
    write(project, [
        {"id": "load", "job": "LoadFile", "with": {
            "path": "in/*.csv", "table": "dwh.full", "mode": "merge", "new_files_only": True},
         "retry": {"limit": 0}},
        {"id": "archive", "job": "ArchiveRows", "with": {
            "table": "dwh.old", "into": "kept.old", "column": "at", "older_than": "90d",
            "children": {"dwh.line": "old_id"}}, "retry": {"limit": 0}},
    ])  # fmt: skip
    found = planned(project)

    assert [(one["name"], one["skipped"]) for one in found["load"]["files"]] == [
        ("in/one.csv", None), ("in/two.csv", None)
    ]  # fmt: skip
    assert found["load"]["tables"][0]["insert"] == 2
    assert "1 row gives way to another one of their key" in found["load"]["notes"]
    moved = {one["table"]: (one["insert"], one["delete"]) for one in found["archive"]["tables"]}
    assert moved == {
        "dwh.old": (0, 2), "kept.old": (2, 0), "dwh.line": (0, 2), '"kept"."line"': (2, 0)
    }  # fmt: skip
    done = project("run", "p")
    result = project("jobs", "--json", "--job", "ArchiveRows").json["items"][0]["result"]
    assert (result["row_count"], result["children"]) == (2, {"dwh.line": 2})
    text = project("plan", "p", "--data").out
    assert "does not read in/one.csv (32 bytes): it was loaded before" in text, text + done.out
    assert "data: there is no new file" in text


def test_a_forecast_of_totals_agrees_with_the_run_and_counts_only_changed_groups(project, database):
    run_as_owner(
        database,
        "CREATE TABLE sale (id int PRIMARY KEY, region text, amount int, at timestamptz)",
        "INSERT INTO sale VALUES (1, 'eu', 1, '2026-01-01'), (2, 'us', 2, '2026-01-02'),"
        " (3, 'uk', 3, '2026-01-03')",
    )
    with_ = {"table": "sale", "group_by": "region", "aggregates": {"total": "sum(amount)"}}
    changed = {"refresh": "changed", "incremental": {"cursor": "at"}}
    write(project, [
        {"id": "all", "job": "DataAggregation", "with": with_ | {"into": "dwh.all_totals"}},
        {"id": "some", "job": "DataAggregation", "with": with_ | {"into": "dwh.totals"} | changed},
    ])  # fmt: skip
    assert planned(project)["some"]["tables"][0]["creates"]
    assert project("run", "p").code == 0
    run_as_owner(database, "INSERT INTO sale VALUES (4, 'eu', 5, '2025-01-01')",
                 "DELETE FROM sale WHERE region = 'uk'")  # fmt: skip

    found = planned(project)

    assert [one["rows_read"] for one in found.values()] == [2, 1]
    numbers = {"insert": 0, "update": 1, "delete": 1}
    assert numbers.items() <= found["some"]["tables"][0].items(), found
    assert project("run", "p").code == 0
    jobs = project("jobs", "--json", "--job", "DataAggregation").json["items"]
    result = next(one["result"] for one in jobs if one["step"] == "some")
    assert result == {
        "groups": 1, "inserted": 0, "updated": 1, "deleted": 1, "into": "dwh.totals"
    }  # fmt: skip
    assert asked(database, "SELECT * FROM dwh.totals ORDER BY 1") == [("eu", 6), ("us", 2)]


def test_a_forecast_tells_why_a_load_would_fail_and_what_cannot_be_known(project, database):
    (project.folder / "pipelines" / "in" / "bad.csv").write_text("id,name\n1,Ann\nx,Bob\n")
    slow = "CREATE VIEW slow AS SELECT id, name FROM customer WHERE pg_sleep(30) IS NOT NULL"
    shop = json.loads((project.folder / "config.yaml").read_text())["connections"]["shop"]
    run_as_owner(shop, slow)
    mirror = {"source_connection": "shop", "source_table": "customer", "select": ["id", "name"]}
    write(project, [
        {"id": "bad", "job": "LoadFile", "with": {"path": "in/bad.csv", "table": "dwh.plain"}},
        {"id": "guarded", "job": "MirrorTable", "depends_on": ["bad"], "with": {
            **mirror, "target_table": "dwh.mirror", "where": "id = 1",
            "expect": {"max_delete": "10%"}}},
        {"id": "slow", "job": "MirrorTable", "with": {
            **mirror, "source_table": "slow", "target_table": "dwh.gone"}},
        {"id": "late", "job": "LoadFile", "depends_on": ["bad"], "with": {
            "path": "{{ steps.bad.result.table }}", "table": "dwh.plain"}},
        {"id": "sql", "job": "RunSql", "with": {"sql": "SELECT 1"}},
    ])  # fmt: skip
    found = planned(project, "--data-timeout", "4s")

    assert found["bad"]["fails"].startswith("in/bad.csv:3"), found["bad"]
    assert found["guarded"]["tables"][0]["delete"] == 3
    assert "2 of the 3 rows of dwh.mirror would be deleted" in found["guarded"]["fails"]
    assert found["guarded"]["notes"] == ["as the data is before bad has run"]
    assert found["slow"]["unknown"] == "it took longer than 4 s"
    assert found["late"]["unknown"] == "known when the step starts"
    assert found["sql"] is None
    assert asked(database, "SELECT count(*) FROM dwh.plain") == [(3,)]


def test_a_forecast_cannot_be_made_to_write(project, database):
    """Also by a condition that calls what writes, or that ends the transaction."""
    run_as_owner(
        database,
        "CREATE TABLE dwh.seen (id int)",
        "CREATE FUNCTION dwh.see(id int) RETURNS boolean LANGUAGE sql"
        " AS 'INSERT INTO dwh.seen VALUES (id) RETURNING true'",
    )
    with_ = {"source_table": "dwh.plain", "target_table": "dwh.gone", "primary_key": "id"}
    write(project, [
        {"id": "writes", "job": "SyncTable", "with": with_ | {"where": "dwh.see(id)"}},
        {"id": "ends", "job": "SyncTable",
         "with": with_ | {"where": "true); COMMIT; DELETE FROM dwh.plain; SELECT (1"}},
    ])  # fmt: skip
    found = planned(project)

    assert "read-only transaction" in (found["writes"]["unknown"] or found["writes"]["fails"])
    assert found["ends"]["fails"]
    assert asked(database, "SELECT count(*) FROM dwh.seen") == [(0,)]
    assert asked(database, "SELECT count(*) FROM dwh.plain") == [(3,)]
