"""What the statements about upkeep tell of one index, table or process beside its neighbours."""

from math import ceil
from typing import Any

import pytest
from sqlalchemy import text

from headrace.jobs.sql.packaged import execute as send
from headrace.jobs.sql.packaged import packaged_sql
from headrace.template import RenderedSql
from tests.support.statements import Told

ROWS = 4000
# In the other schema the same names belong to columns of other widths.
BLOATED = f"""
CREATE SCHEMA s; CREATE SCHEMA o;
CREATE TABLE s.t (gone int, id int, name text, no text) WITH (autovacuum_enabled = false);
ALTER TABLE s.t DROP gone;
CREATE TABLE o.t (id text, name int, no text) WITH (autovacuum_enabled = false);
INSERT INTO s.t SELECT n, lpad(n::text, 20), NULL FROM generate_series(1, {ROWS}) n;
INSERT INTO o.t SELECT lpad(n::text, 90), n, lpad(n::text, 50) FROM generate_series(1, {ROWS}) n;
CREATE TABLE s.heir () INHERITS (s.t); CREATE TABLE s.u () INHERITS (o.t);
INSERT INTO s.heir SELECT n, lpad('', 300, 'x'), lpad('', 300, 'y') FROM generate_series(1, 4000) n;
CREATE INDEX i_id ON s.t (id); CREATE INDEX i_id ON o.t (id);
CREATE INDEX i_two ON s.t (name, id) WITH (fillfactor = 50);
CREATE INDEX i_upper ON s.t (upper(name), id) WITH (deduplicate_items = off);
CREATE INDEX i_upper ON o.t (upper(id)); CREATE INDEX j_upper ON s.t (upper(name || name));
CREATE INDEX i_hash ON s.t USING hash (id); CREATE INDEX i_more ON s.t (id) INCLUDE (name);
"""
SIZE = "SELECT pg_relation_size('{}') / current_setting('block_size')::int"
# The widths of the columns with their lengths.
WIDTHS = {"i_id": 4, "i_more": 4 + 21, "i_two": 21 + 4, "i_upper": 21 + 4, "j_upper": 41}


def _needed(width: int, fillfactor: int = 90) -> int:
    return 1 + ceil(ROWS * (12 + 8 * ceil(width / 8)) / ((8192 - 40) * fillfactor / 100))


def test_how_much_of_an_index_is_empty_follows_from_its_own_rows_and_columns(
    told: Told, execute: Any, query: Any, outside: Any
) -> None:
    execute(BLOATED)
    assert [bloat for _, bloat in told("index_bloat", table="s.t", index=None)] == [None] * 6
    # Then they have the pages of rows that are gone.
    execute(f"INSERT INTO s.t SELECT id + {ROWS}, lpad((id + {ROWS})::text, 20) FROM ONLY s.t")
    execute(f"DELETE FROM ONLY s.t WHERE id <= {ROWS}")
    with outside.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("VACUUM ANALYZE s.t, o.t, s.heir, s.u"))

    rows = told("index_bloat", table="s.t", index=None)

    expected: dict[str, Any] = {"s.i_hash": None}
    for name, width in WIDTHS.items():
        ((pages,),) = query(SIZE.format(f"s.{name}"))
        needed = _needed(width, 50 if name == "i_two" else 90)
        expected[f"s.{name}"] = pytest.approx(max(0, 1 - needed / pages))
    assert dict(rows) == expected
    assert [name for name, _ in rows] == sorted(expected)
    assert all(0.2 < bloat < 0.9 for _, bloat in rows if bloat is not None)
    one = told("index_bloat", table="s.t", index="s.i_two")
    assert one == [("s.i_two", expected["s.i_two"])]
    assert told("index_bloat", table="s.t", index="o.i_id") == []
    assert told("index_bloat", table="s.heir", index=None) == []


def test_an_emptied_table_has_an_empty_index_until_that_is_rebuilt(
    told: Told, execute: Any, query: Any, outside: Any
) -> None:
    execute("CREATE TABLE t (id int PRIMARY KEY) WITH (autovacuum_enabled = false);"
            f"INSERT INTO t SELECT generate_series(1, {ROWS}); ANALYZE t;"
            "DELETE FROM t")  # fmt: skip

    def bloat(*upkeep: str) -> list[tuple[Any, ...]]:
        with outside.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            for one in upkeep:
                connection.execute(text(one))
        return told("index_bloat", table="t", index=None)

    emptied = bloat("VACUUM t")
    ((pages,),) = query(SIZE.format("t_pkey"))
    assert pages > 5
    assert emptied == [("t_pkey", pytest.approx(1 - 1 / pages))]
    assert bloat("REINDEX TABLE t", "ANALYZE t") == [("t_pkey", 0)]


VIEWS = ("copy", "vacuum", "analyze", "create_index", "cluster")
OURS, OTHER = 11, 22


def test_how_far_a_process_has_got_is_its_own(target: Any) -> None:
    """The server's views are stood for by tables with their columns."""
    done = {
        "copy": "tuples_processed", "vacuum": "heap_blks_scanned", "analyze": "sample_blks_scanned",
        "create_index": "blocks_done", "cluster": "heap_blks_scanned",
    }  # fmt: skip
    total = {
        "vacuum": "heap_blks_total", "analyze": "sample_blks_total",
        "create_index": "blocks_total", "cluster": "heap_blks_total",
    }  # fmt: skip
    with target.connect() as connection:

        def sql(statement: str) -> None:
            connection.execute(text(statement))

        def seen(pid: int) -> list[tuple[Any, ...]]:
            marked = packaged_sql("server_progress", pid=pid)
            here = RenderedSql(marked.marked.replace("pg_catalog.", "pg_temp."), marked.binds)
            return [tuple(row) for row in send(connection, here)]

        for view in VIEWS:
            name = f"pg_stat_progress_{view}"
            sql(f"CREATE TEMPORARY TABLE {name} AS TABLE pg_catalog.{name} WITH NO DATA")
        for number, view in enumerate(VIEWS, 1):
            columns = [done[view], *([total[view]] if view in total else [])]
            values = [str(number), *(["9"] if view in total else [])]
            sql(f"INSERT INTO pg_stat_progress_{view} (pid, {', '.join(columns)})"
                f" VALUES ({OURS}, {', '.join(values)})")  # fmt: skip
        assert seen(OTHER) == []
        assert seen(OURS) == [
            ("copy", 1, None, "rows"), ("vacuum", 2, 9, "pages"), ("analyze", 3, 9, "pages"),
            ("index", 4, 9, "pages"), ("rewrite", 5, 9, "pages"),
        ]  # fmt: skip
        for view, column in total.items():
            sql(f"UPDATE pg_stat_progress_{view} SET {column} = 0")
        sql("UPDATE pg_stat_progress_create_index SET tuples_done = 7, tuples_total = 8")
        assert seen(OURS)[1:] == [
            ("vacuum", 2, None, "pages"), ("analyze", 3, None, "pages"),
            ("index", 7, 8, "rows"), ("rewrite", 5, None, "pages"),
        ]  # fmt: skip
        sql("UPDATE pg_stat_progress_create_index SET tuples_total = 0")
        assert seen(OURS)[3] == ("index", 7, None, "rows")
        sql("UPDATE pg_stat_progress_create_index SET blocks_total = 1, tuples_total = 5")
        assert seen(OURS)[3] == ("index", 4, 1, "pages")
