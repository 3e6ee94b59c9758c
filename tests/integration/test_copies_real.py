"""Copies between two servers of other versions through pipeline and worker, as a user runs them."""

import json
from contextlib import closing
from typing import Any

from tests.support.cli import Headrace
from tests.support.places import run_as_owner
from tests.support.servers import connect

SOURCE = """
CREATE TABLE customer (id int PRIMARY KEY, name text, email text, city text,
                       updated_at timestamptz DEFAULT now());
INSERT INTO customer VALUES (1, 'Ann', 'ann@x.org', 'Rome'), (2, 'Bob', 'bob@x.org', 'Oslo');
CREATE SCHEMA sales;
CREATE TABLE sales.goods (id int PRIMARY KEY);
CREATE TABLE sales.sale (id int PRIMARY KEY, goods int NOT NULL REFERENCES sales.goods);
INSERT INTO sales.goods VALUES (1), (2); INSERT INTO sales.sale VALUES (10, 1), (11, 2)
"""
CHANGES = """
UPDATE customer SET city = 'Paris', updated_at = now() WHERE id = 1;
INSERT INTO customer VALUES (3, 'Cid', 'cid@x.org', 'Bonn', '2020-01-01');
INSERT INTO sales.goods VALUES (3); UPDATE sales.sale SET goods = 3 WHERE id = 11;
DELETE FROM sales.goods WHERE id = 2
"""
# No row comes in any other transaction.
ONE_SNAPSHOT = (
    "current_setting('transaction_isolation') = 'repeatable read'"
    " AND current_setting('transaction_read_only') = 'on'"
)
BACK: dict[str, Any] = {
    "source_table": "dwh.customer",
    "target_table": "back",
    "target_connection": "shop",
}
STEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("incremental", "SyncTable",
     {"target_table": "dwh.customer", "incremental": {"cursor": "updated_at"},
      "select": ["-email"], "expect": {"rows": ">0"}}),
    ("history", "SyncTable",
     {"target_table": "dwh.customer_version", "merge_strategy": "scd2",
      "columns": ["id", "city"], "scd2": {"current": "is_current"}}),
    ("masked", "MirrorTable",
     {"target_table": "dwh.masked", "mask": {"id": "hash", "email": "fake:email", "name": "hash"},
      "mask_salt": {"env": "MASK_SALT"}, "where": "id < 3"}),
    ("several", "MirrorTable",
     {"tables": ["sales.*"], "target_schema": "mart", "source_connection": "shop",
      "where": {"sales.sale": f"id < {{{{ 100 }}}} AND {ONE_SNAPSHOT}"}, "verify": "checksum"}),
    ("parallel", "MirrorTable",
     {"tables": ["sales.*", "customer"], "target_schema": "mart_too", "source_connection": "shop",
      "where": {"sales.sale": ONE_SNAPSHOT}, "jobs": 2, "split_tables_larger_than": "8kB"}),
    ("chunks", "SyncTable",
     {"source_sql": "SELECT id, name, {{ 'n' }} AS note FROM customer", "chunk_size": 1,
      "target_table": "dwh.chunked", "source_connection": "shop"}),
    ("back", "SyncTable", BACK | {"primary_key": "id", "delete_missing": "soft"}),
    ("rounded", "MirrorTable", {"target_table": "dwh.narrow", "select": ["updated_at"]}),
]  # fmt: skip


def project(tmp_path, database: str, redis_url: str, shop: str) -> Headrace:
    steps = []
    for name, job, with_ in STEPS:
        given = with_ if {"source_table", "source_sql", "tables"} & with_.keys() else {
            "source_table": "customer", "source_connection": "shop", **with_}  # fmt: skip
        if job == "SyncTable" and "primary_key" not in given:
            given = given | {"primary_key": "id"}
        steps.append({"id": name, "job": job, "with": given, "retry": {"limit": 0}})
    steps[6]["depends_on"] = ["incremental"]
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "p.yaml").write_text(json.dumps({"name": "p", "steps": steps}))
    (tmp_path / "config.yaml").write_text(json.dumps({"connections": {"shop": shop}}))
    environ = {"HEADRACE_HOME": str(tmp_path / "home"), "DATABASE_URL": database}
    return Headrace(tmp_path, environ | {"REDIS_URL": redis_url, "MASK_SALT": "not-to-be-seen"})


def test_copies_between_servers_of_two_versions_through_pipeline_and_worker(
    tmp_path, database, redis_url, second, second_server_of_another_major
):
    shop = second_server_of_another_major.url_for("other", "etl")
    headrace = project(tmp_path, database, redis_url, shop)
    run_as_owner(shop, SOURCE)
    with closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute("CREATE SCHEMA dwh")
        cursor.execute("CREATE TABLE dwh.narrow (updated_at timestamp)")

        first = headrace("run", "p", "--json")
        run_as_owner(shop, CHANGES)
        said = headrace("run", "p", "--json")

        newest_first = headrace("jobs", "--json").json["items"]
        jobs = {one["step"]: one for one in reversed(newest_first)}
        statuses = {name: one["status"] for name, one in jobs.items()}
        assert statuses == {name: "completed" for name, *_ in STEPS[:-1]} | {"rounded": "failed"}, (
            first.out + said.out + said.err
        )
        assert (
            "updated_at (timestamp without time zone) has no time zone" in jobs["rounded"]["error"]
        )
        assert jobs["incremental"]["result"]["inserted"] == 1
        assert jobs["incremental"]["result"]["updated"] == 1
        assert jobs["history"]["result"]["inserted"] == jobs["history"]["result"]["updated"] == 1
        cursor.execute("SELECT id, name, city FROM dwh.customer ORDER BY id")
        assert cursor.fetchall() == [(1, "Ann", "Paris"), (2, "Bob", "Oslo"), (3, "Cid", "Bonn")]
        cursor.execute("SELECT id, city, is_current FROM dwh.customer_version ORDER BY 1, 3")
        assert cursor.fetchall() == [
            (1, "Rome", False), (1, "Paris", True), (2, "Oslo", True), (3, "Bonn", True)
        ]  # fmt: skip
        cursor.execute(
            "SELECT count(DISTINCT id), bool_and(id > 2 AND email ~ '^user_.*@example.com$'"
            " AND name ~ '^[0-9a-f]{64}$') FROM dwh.masked"
        )
        assert cursor.fetchall() == [(2, True)]
        assert jobs["several"]["result"] == {
            "row_count": 4, "tables": {"mart.goods": 2, "mart.sale": 2}
        }  # fmt: skip
        assert jobs["parallel"]["result"]["row_count"] == 7
        assert jobs["chunks"]["result"]["chunks"] == 4
        cursor.execute("SELECT id, note FROM dwh.chunked ORDER BY 1")
        assert cursor.fetchall() == [(1, "n"), (2, "n"), (3, "n")]
        cursor.execute("SELECT id, goods FROM mart_too.sale ORDER BY 1")
        assert cursor.fetchall() == [(10, 1), (11, 3)]
        cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE 'mirror\\_%'")
        assert cursor.fetchall() == []
        cursor.execute("SELECT s.id, g.id FROM mart.sale AS s JOIN mart.goods AS g ON g.id = goods"
                       " ORDER BY 1")  # fmt: skip
        assert cursor.fetchall() == [(10, 1), (11, 3)]
        cursor.execute("SELECT count(*) FROM headrace.job WHERE job::text LIKE '%not-to-be-seen%'")
        assert cursor.fetchall() == [(0,)]
    with closing(connect(shop)) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT id, city, _deleted_at FROM back ORDER BY id")
        assert cursor.fetchall() == [(1, "Paris", None), (2, "Oslo", None), (3, "Bonn", None)]
