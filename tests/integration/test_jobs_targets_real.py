"""The same through a pipeline and a worker, as a user runs it."""

import json
from contextlib import closing

from tests.support.cli import Headrace
from tests.support.servers import connect

PREPARE = """
CREATE SCHEMA shop;
CREATE TABLE shop.sale (id int, region text, amount numeric);
INSERT INTO shop.sale VALUES (1, 'eu', 1.005), (2, 'eu', 2), (3, 'us', 7);
CREATE TABLE shop.totals (region varchar(10) PRIMARY KEY, amount numeric(12,2));
GRANT SELECT ON shop.totals TO PUBLIC;
CREATE TABLE shop."Order-Items" (
    "Order ID" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, region char(4), amount numeric(6,1)
);
CREATE TABLE shop.child (sale bigint REFERENCES shop."Order-Items");
CREATE VIEW shop.renamed AS
    SELECT id AS "Order ID", region, round(amount, 1) AS amount FROM shop.sale;
CREATE TABLE shop.narrow (region int);
"""
STEPS = [
    ("totals", "DataAggregation",
     {"table": "shop.sale", "group_by": "region", "aggregates": {"amount": "sum(amount)"},
      "into": "shop.totals"}),
    ("mirror", "MirrorTable",
     {"source_table": "shop.renamed", "target_table": 'shop."Order-Items"'}),
    ("sync", "SyncTable",
     {"source_table": "shop.renamed", "target_table": 'shop."Order-Items"', "key": "Order ID"}),
    ("narrow", "RunSql", {"sql": "select region from shop.sale", "into": "shop.narrow"}),
    ("clear", "TruncateTable", {"table": 'shop."Order-Items"'}),
]  # fmt: skip


def test_targets_keep_what_they_are_through_pipeline_and_worker(tmp_path, database, redis_url):
    url = database
    steps = [
        {"id": name, "job": job, "with": with_, "retry": {"limit": 0}}
        | ({"trigger_rule": "all_done", "depends_on": [STEPS[at - 1][0]]} if at else {})
        for at, (name, job, with_) in enumerate(STEPS)
    ]
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "p.yaml").write_text(json.dumps({"name": "p", "steps": steps}))
    (tmp_path / "config.yaml").write_text("{}")
    environ = {"HEADRACE_HOME": str(tmp_path / "home"), "DATABASE_URL": url}
    headrace = Headrace(tmp_path, environ | {"REDIS_URL": redis_url})
    with closing(connect(url)) as opened, opened.cursor() as cursor:
        cursor.execute(PREPARE)
        cursor.execute("SELECT oid FROM pg_class WHERE relname IN ('totals', 'Order-Items')")
        before = cursor.fetchall()

        run = headrace("run", "p", "--json")

        cursor.execute("SELECT region, amount::text FROM shop.totals ORDER BY 1")
        assert cursor.fetchall() == [("eu", "3.01"), ("us", "7.00")], run.out + run.err
        cursor.execute("SELECT oid FROM pg_class WHERE relname IN ('totals', 'Order-Items')")
        assert cursor.fetchall() == before
        cursor.execute('INSERT INTO shop."Order-Items" (region) VALUES (%s) RETURNING 1', ("x",))
    jobs = {one["step"]: one for one in headrace("jobs", "--json").json["items"]}
    assert {name: one["status"] for name, one in jobs.items()} == {
        "totals": "completed", "mirror": "completed", "sync": "completed", "narrow": "failed",
        "clear": "completed",
    }, run.out  # fmt: skip
    assert jobs["sync"]["result"]["inserted"] == jobs["sync"]["result"]["updated"] == 0
    assert "its column region is integer, which cannot take text" in jobs["narrow"]["error"]
    assert jobs["clear"]["result"]["emptied"] == ['shop."Order-Items"', "shop.child"]
