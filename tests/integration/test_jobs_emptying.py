"""TruncateTable and DropTable name all that they empty and remove."""

from typing import Any

import pytest

from headrace.jobs.drop_table import DropTable
from headrace.jobs.truncate_table import TruncateTable
from tests.support.cli import Headrace

# Chains, circles, partitions on either side, heirs, a self-reference, and one that stays out.
SHOP = """
    CREATE SCHEMA shop;
    CREATE TABLE shop.customer (id int PRIMARY KEY, boss int REFERENCES shop.customer);
    CREATE TABLE shop.vip (note text) INHERITS (shop.customer);
    CREATE TABLE shop."Order" (id int, day int, customer int REFERENCES shop.customer,
        PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE shop.order_1 PARTITION OF shop."Order" FOR VALUES FROM (0) TO (10);
    CREATE TABLE shop.order_2 PARTITION OF shop."Order" FOR VALUES FROM (10) TO (20);
    CREATE TABLE shop.line (id int PRIMARY KEY, "order" int, day int,
        FOREIGN KEY ("order", day) REFERENCES shop."Order");
    CREATE TABLE shop.refund (line int REFERENCES shop.line, id int PRIMARY KEY);
    ALTER TABLE shop.line ADD refund int REFERENCES shop.refund;
    CREATE TABLE shop.product (id int PRIMARY KEY);
    CREATE TABLE shop.stock (product int REFERENCES shop.product);
    INSERT INTO shop.customer VALUES (1);
    INSERT INTO shop.vip VALUES (2);
    INSERT INTO shop."Order" VALUES (1, 5, 1), (1, 15, 1);
    INSERT INTO shop.line VALUES (1, 1, 5);
    INSERT INTO shop.refund VALUES (1, 1);
    INSERT INTO shop.product VALUES (1);
    INSERT INTO shop.stock VALUES (1);
"""
TABLES = (
    'shop."Order"', "shop.customer", "shop.line", "shop.order_1", "shop.order_2", "shop.product",
    "shop.refund", "shop.stock", "shop.vip",
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_every_table_that_is_emptied_is_named(run_job, execute, query, table, caplog):
    execute(SHOP)

    result = run_job(TruncateTable, table=table)

    empty = [one for one in TABLES if query(f"SELECT count(*) FROM {one}") == [(0,)]]
    # A partition that held nothing else is emptied with the whole, and the other way round.
    assert sorted(result["emptied"]) == empty
    assert result["emptied"][0] == result["table"] == table
    told = f"{len(empty)} tables were emptied: {', '.join(result['emptied'])}"
    assert (told in caplog.text) == (len(empty) > 1)


def test_without_cascade_a_table_that_others_refer_to_is_not_emptied(run_job, execute, query):
    execute(SHOP)

    with pytest.raises(Exception, match="cannot truncate a table referenced in a foreign key"):
        run_job(TruncateTable, table="shop.product", cascade=False)

    assert run_job(TruncateTable, table="shop.stock", cascade=False)["emptied"] == ["shop.stock"]


def test_what_is_dropped_along_is_named(run_job, execute, query):
    execute(SHOP)
    execute("CREATE VIEW shop.v AS SELECT * FROM shop.customer")
    execute("CREATE MATERIALIZED VIEW shop.w AS SELECT * FROM shop.v")

    result = run_job(DropTable, table="shop.customer", cascade=True)

    assert result["dropped_with"] == [
        "shop.v",
        "shop.vip",
        "shop.w",
        'the foreign key "Order_customer_fkey" of shop."Order"',
    ]
    assert query("SELECT to_regclass('shop.v'), to_regclass('shop.w')") == [(None, None)]
    assert run_job(DropTable, table="shop.customer", if_exists=True)["dropped_with"] == []


def test_the_plan_lists_every_table_that_would_be_emptied(tmp_path, execute, empty_database):
    execute(SHOP)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "clear.yaml").write_text(
        "name: clear\nsteps:\n"
        "  - {id: one, job: TruncateTable, with: {table: shop.line, connection: shop}}\n"
        "  - {id: two, job: TruncateTable, with: {table: shop.line}}\n"
    )
    (tmp_path / "config.yaml").write_text(f"connections: {{shop: '{empty_database}'}}\n")
    headrace = Headrace(tmp_path, {"HEADRACE_HOME": str(tmp_path / "home")})

    planned: Any = headrace("plan", "clear", "--json").json

    notes = [step["sql"]["statements"][0]["note"] for step in planned["steps"]]
    assert notes == [
        "it empties shop.line, shop.refund",
        "it empties what its database knows of, which does not answer now",
    ]
    assert "-- it empties shop.line, shop.refund" in headrace("plan", "clear").out
