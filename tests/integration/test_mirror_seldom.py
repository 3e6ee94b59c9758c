"""MirrorTable with `tables` where others depend on what it writes, or hinder it.

The two databases are shared by all cases; a case has a schema of its own in each.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine

from headrace.errors import JobFailure
from headrace.jobs.mirror_table import MirrorTable
from tests.support.attempts import JobRunner, engine_for
from tests.support.servers import create_database, drop_database

_numbers = count(1)
TABLES = """
CREATE TABLE parent (id int PRIMARY KEY, a text);
CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent);
"""
ROWS = "INSERT INTO parent VALUES (1, 'new'), (2, 'new'); INSERT INTO child VALUES (10, 1);"
OLD = "INSERT INTO parent VALUES (1, 'old'), (3, 'old'); INSERT INTO child VALUES (10, 1), (11, 3);"
NOTHING = """
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER nothing BEFORE DELETE ON {0} FOR EACH ROW EXECUTE FUNCTION nothing();
"""


@pytest.fixture(scope="module")
def engines(servers) -> Iterator[dict[str | None, Engine]]:
    urls = [create_database(servers.database_url) for _ in range(2)]
    target, source = map(engine_for, urls)
    yield {None: target, "there": source}
    for engine, url in zip((target, source), urls, strict=True):
        engine.dispose()
        drop_database(servers.database_url, url)


class Pair:
    """A schema in both databases."""

    def __init__(self, engines: dict[str | None, Engine]) -> None:
        self._engines, self.schema = engines, f"s{next(_numbers)}"
        self._run = JobRunner(engines)
        for name in engines:
            self._sql(name, f"CREATE SCHEMA {self.schema}; {TABLES}")
        self._sql("there", ROWS)

    def _sql(self, name: str | None, sql: str) -> list[tuple[Any, ...]]:
        with self._engines[name].begin() as connection:
            connection.exec_driver_sql(f"SET LOCAL search_path = {self.schema}, public")
            found = connection.exec_driver_sql(sql)
            return [tuple(row) for row in found] if found.returns_rows else []

    def here(self, sql: str) -> list[tuple[Any, ...]]:
        return self._sql(None, sql)

    def there(self, sql: str) -> list[tuple[Any, ...]]:
        return self._sql("there", sql)

    def mirror(self, **more: Any) -> Any:
        given = {"tables": [f"{self.schema}.*"], "source_connection": "there", **more}
        return self._run(MirrorTable, **given)

    def failure(self, **more: Any) -> str:
        before = self.here("SELECT * FROM parent"), self.here("SELECT * FROM child")
        with pytest.raises(JobFailure) as refused:
            self.mirror(**more)
        assert (self.here("SELECT * FROM parent"), self.here("SELECT * FROM child")) == before
        return str(refused.value).replace(f"{self.schema}.", "")


@pytest.fixture
def pair(engines) -> Pair:
    return Pair(engines)


def test_rows_of_tables_that_inherit_are_not_deleted(pair):
    pair.here(OLD)
    pair.here(
        "CREATE TABLE heir (more text) INHERITS (child); INSERT INTO heir VALUES (99, 1, 'x')"
    )
    told = "rows of heir, which inherits from child, would be deleted with the old ones"
    assert told in pair.failure()
    assert told in pair.failure(replace_strategy="truncate_and_insert")

    pair.here("DROP TABLE heir; CREATE TABLE heir () INHERITS (parent)")
    pair.here("INSERT INTO heir VALUES (99, 'x')")
    assert "rows of heir, which inherits from parent, would be deleted" in pair.failure()


@pytest.mark.parametrize("table", ["child", "parent"])
def test_rows_that_a_trigger_keeps_are_told(pair, table):
    pair.here(OLD)
    pair.here(NOTHING.format(table))

    assert f"{table} kept rows that should be deleted: a trigger" in pair.failure()


def test_what_another_table_refers_to_is_written_by_key_and_not_truncated(pair, caplog):
    pair.here(OLD)
    pair.here("CREATE TABLE mine (parent_id int REFERENCES parent); INSERT INTO mine VALUES (1)")

    tables = [f"{pair.schema}.parent", f"{pair.schema}.child"]
    pair.mirror(replace_strategy="truncate_and_insert", tables=tables)

    assert pair.here("SELECT * FROM parent ORDER BY id") == [(1, "new"), (2, "new")]
    assert pair.here("SELECT * FROM child") == [(10, 1)]
    told = f"{pair.schema}.parent is written by key and not truncated: other tables refer to it"
    assert told in caplog.text

    pair.here("UPDATE parent SET a = 'other'")
    pair.mirror(replace_strategy="truncate_and_insert", tables=tables[:1])
    assert pair.here("SELECT * FROM parent ORDER BY id") == [(1, "new"), (2, "new")]
    assert pair.here("SELECT * FROM child") == [(10, 1)]


def test_without_others_both_are_truncated(pair, caplog):
    pair.here(OLD)

    pair.mirror(replace_strategy="truncate_and_insert")

    assert pair.here("SELECT * FROM parent ORDER BY id") == [(1, "new"), (2, "new")]
    assert pair.here("SELECT * FROM child") == [(10, 1)]
    assert "written by key" not in caplog.text


def test_a_table_that_would_be_made_again_is_refused_among_others(pair):
    pair.there("ALTER TABLE child ADD COLUMN extra int")

    told = pair.failure(on_schema_change="recreate")

    assert told.startswith("child would have to be made again, and others may refer to it: mirror")


def test_a_new_column_is_added_before_the_rows_come(pair):
    pair.there("ALTER TABLE child ADD COLUMN extra int DEFAULT 7")

    pair.mirror(on_schema_change="append_new_columns")

    assert pair.here("SELECT id, extra FROM child") == [(10, 7)]


def test_indexes_and_keys_that_cannot_be_copied_are_told(pair, caplog):
    pair.there(
        "CREATE TABLE made (id int PRIMARY KEY, a int, b int, p int REFERENCES parent, "
        "EXCLUDE USING btree (a WITH =)); CREATE INDEX made_b ON made (b);"
        " CREATE INDEX made_id ON made (id DESC)"
    )
    pair.mirror(tables=[f"{pair.schema}.made"], mask={"made.b": "null"})

    found = pair.here(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'made'::regclass"
    )
    assert {name.rpartition(".")[2] for (name,) in found} >= {"made_pkey", "made_id"}
    assert "made_a_excl is left out: it is an exclusion constraint" in caplog.text
    told = f"The foreign key made_p_fkey of {pair.schema}.made is left out"
    assert told in caplog.text
    assert "parent is not copied" in caplog.text


def test_a_pattern_that_leaves_nothing_out_is_told(pair, caplog):
    pair.mirror(tables=[f"{pair.schema}.*", "!nothing.*"])

    assert '"!nothing.*" of tables leaves nothing out' in caplog.text


def test_a_view_is_copied_where_it_is_named(pair):
    pair.there("CREATE VIEW seen AS SELECT id FROM parent")

    pair.mirror(tables=[f"{pair.schema}.seen"])

    assert pair.here("SELECT id FROM seen ORDER BY id") == [(1,), (2,)]
