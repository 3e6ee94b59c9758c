"""The pipelines of docs/guide/recipes.md, run on two servers of different versions."""

import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Headrace
from tests.support.places import run_as_owner
from tests.support.servers import connect

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "recipes.md"
SHOP = """
CREATE SCHEMA archive;
CREATE TABLE basket (id int);
INSERT INTO basket SELECT generate_series(1, 10);
CREATE TABLE customer (id int PRIMARY KEY, name text, email text, city text);
INSERT INTO customer SELECT i, 'n' || i, i || '@x.org', 'Rome' FROM generate_series(1, 200) AS i;
CREATE TABLE "order" (id int PRIMARY KEY, customer_id int REFERENCES customer, status text,
                      amount numeric(12, 2), created_at timestamptz, updated_at timestamptz);
INSERT INTO "order" SELECT i, 1 + i % 200, CASE WHEN i % 2 = 0 THEN 'closed' ELSE 'paid' END, i,
       now() - (1000 - i) * interval '1 day', now() FROM generate_series(1, 1000) AS i;
CREATE TABLE order_line (id int PRIMARY KEY, order_id int NOT NULL REFERENCES "order");
INSERT INTO order_line SELECT i, 1 + i % 1000 FROM generate_series(1, 3000) AS i
"""


def recipes() -> list[tuple[str, str]]:
    blocks = re.findall(r"```yaml\n(name: (\w+)\n.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [(name, text) for text, name in blocks]


@pytest.fixture
def shop(second_server_of_another_major: Any) -> str:
    url: str = second_server_of_another_major.url_for("other", "etl")
    run_as_owner(url, SHOP)
    return url


def query(url: str, sql: str) -> Any:
    with closing(connect(url)) as opened, opened.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def test_the_recipes_do_on_two_databases_what_they_say(
    tmp_path: Path, database: str, redis_url: str, second: Any, shop: str
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "config.yaml").write_text(f"connections: {{shop: '{shop}'}}\n")
    for name, text in recipes():
        (tmp_path / "pipelines" / f"{name}.yaml").write_text(text)
    environ = {"HEADRACE_HOME": str(tmp_path / "home"), "DATABASE_URL": database}
    headrace = Headrace(tmp_path, environ | {"REDIS_URL": redis_url, "MASK_SALT": "salt"})
    assert headrace("validate").code == 0

    for name, _ in recipes():
        done = headrace("run", name, "--json", timeout=150)
        assert done.code == 0, (name, done.out, done.err)

    assert query(shop, "SELECT count(*) FROM basket") == [(0,)]
    ((old,),) = query(shop, "SELECT count(*) FROM archive.order")
    assert 290 <= old <= 300
    assert query(shop, "SELECT count(*) FROM archive.order_line") == [(3 * old,)]
    assert query(database, "SELECT count(*), sum(amount) FROM dwh.order") == query(
        shop, 'SELECT count(*), sum(amount) FROM "order"'
    )
    assert query(database, "SELECT sum(orders) FROM mart.daily_revenue") == [(1000 - old,)]
    assert query(database, "SELECT count(*) FROM dwh.customer JOIN staging.customer USING (id)"
        " WHERE dwh.customer.email = staging.customer.email") == [(0,)]  # fmt: skip
    (written,) = (tmp_path / "exports" / "bi").glob("orders-*.parquet")
    assert written.stat().st_size > 0
    assert len(recipes()) == 6
