"""`headrace validate --explain`, against a real database."""

import contextlib
from pathlib import Path

import pytest

from tests.support.cli import Done, Headrace
from tests.support.servers import connect

SETUP = """\
CREATE TABLE orders (id integer PRIMARY KEY, region text, amount numeric);
CREATE FUNCTION writes() RETURNS void LANGUAGE plpgsql AS $$
BEGIN INSERT INTO orders VALUES (1, 'trace', 1); END $$;
CREATE FUNCTION leaves_a_trace() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM writes(); RETURN 1; END $$;
"""


@pytest.fixture
def headrace(tmp_path: Path, database: str, redis_url: str) -> Headrace:
    (tmp_path / "pipelines" / "sql").mkdir(parents=True)
    execute(database, SETUP)
    return Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})


def execute(database: str, sql: str) -> list[tuple[object, ...]]:
    with contextlib.closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def explain(headrace: Headrace, steps: str, *words: str, head: str = "") -> Done:
    (headrace.folder / "pipelines" / "p.yaml").write_text(f"name: p\n{head}steps:\n{steps}")
    return headrace("validate", "--explain", *words)


def test_good_sql_is_estimated_and_nothing_of_it_runs(headrace: Headrace, database: str):
    steps = """\
- id: all
  job: RunSql
  with:
    sql: |
      INSERT INTO orders VALUES (2, {{ params.region }}, 5);
      UPDATE orders SET amount = 0 WHERE region = {{ params.region }};
      DELETE FROM orders WHERE id < 5;
      TRUNCATE orders;
- {id: totals, job: DataAggregation, depends_on: [all], with: {table: orders, group_by: region}}
"""
    head = "params: {region: {default: eu}}\n"
    done = explain(headrace, steps, head=head)
    assert done.code == 0, done.out
    assert 'pipelines/p.yaml:8:7: step "all": cost ' in done.out
    assert 'pipelines/p.yaml:12:71: step "totals": cost ' in done.out
    assert "4 statements explained, 1 skipped (1 where EXPLAIN does not take TRUNCATE)" in done.out
    assert execute(database, "SELECT * FROM orders") == []

    listed = explain(headrace, steps, "--json", "-p", "region=us", head=head).json
    assert [one["outcome"] for one in listed["explained"]].count("explained") == 4
    assert all(one["cost"] >= 0 for one in listed["explained"] if one["outcome"] == "explained")
    assert listed["unreachable"] == {}


def test_a_function_that_writes_while_it_is_planned_leaves_nothing(
    headrace: Headrace, database: str
):
    done = explain(
        headrace, "- {id: a, job: RunSql, with: {sql: 'SELECT 1 WHERE leaves_a_trace() = 1'}}\n"
    )
    assert done.code == 1
    assert "read-only transaction" in done.out
    assert execute(database, "SELECT * FROM orders") == []


def test_mistakes_have_the_place_in_the_pipeline_or_its_sql_file(headrace: Headrace):
    (headrace.folder / "pipelines" / "sql" / "bad.sql").write_text(
        "-- Two statements.\nSELECT 1;\n\n{% if params.all %}\nSELECT 2;\n{% endif %}\n"
        "SELECT region,\n       {{ params.text }} AS text, colour\n  FROM orders;\n"
    )
    steps = """\
- {id: file, job: RunSql, with: {sql_path: bad.sql, params: {all: false, text: "a\\nb"}}}
- {id: line, job: RunSql, with: {sql: "SELECT * FROM ordrs"}}
- id: block
  job: RunSql
  with:
    sql: |
      SELECT region
        FROM orders
       GRUOP BY region
- {id: column, job: CheckData, with: {table: orders, not_null: [colour]}}
- {id: types, job: RunSql, with: {sql: "SELECT 1 + region FROM orders"}}
"""
    done = explain(headrace, steps)
    assert done.code == 1
    told = [line for line in done.out.splitlines() if line.endswith("]")]
    p, bad = "pipelines/p.yaml", "pipelines/sql/bad.sql"
    expected = [
        'pipelines/p.yaml:4:54: step "line": relation "ordrs" does not exist [undefined-table]',
        'pipelines/p.yaml:11:14: step "block": syntax error at or near "BY" [syntax-error]',
        f'{p}:12:46: step "column": column checked.colour does not exist [undefined-column]',
        f'{p}:13:50: step "types": operator does not exist: integer + text [undefined-function]',
        f'{bad}:8:35: step "file": column "colour" does not exist [undefined-column]',
    ]
    assert told == expected
    assert "5 failed" in done.out
    assert "5 problems in 2 files; 1 pipeline valid" in done.err


def test_what_an_earlier_step_makes_is_a_note_and_what_another_makes_a_hint(headrace: Headrace):
    steps = """\
- {id: make, job: RunSql, with: {sql: "CREATE TABLE made (n integer); INSERT INTO made SELECT 1"}}
- {id: load, job: LoadFile, with: {path: a.csv, table: st.loaded, create: true}}
- {id: block, job: RunSql, with: {sql: "DO $$ BEGIN CREATE TABLE done (n int); END $$"}}
- {id: use, job: RunSql, depends_on: [make, load], with: {sql: "TABLE made", into: mart.used}}
- {id: loaded, job: RunSql, depends_on: [use], with: {sql: "TABLE st.loaded"}}
- {id: done, job: RunSql, depends_on: [block], with: {sql: "TABLE done"}}
- {id: used, job: RunSql, depends_on: [use], with: {sql: "SELECT FROM mart.used"}}
"""
    done = explain(headrace, steps)
    assert done.code == 0, done.out
    assert 'relation "made" does not exist yet; an earlier statement of step "make"' in done.out
    assert 'step "use": relation "made" does not exist yet; step "make" makes it' in done.out
    assert 'relation "st.loaded" does not exist yet; step "load" makes it' in done.out
    assert 'relation "done" does not exist yet; step "block" makes it' in done.out
    assert 'relation "mart.used" does not exist yet; step "use" makes it' in done.out

    stray = steps + '- {id: stray, job: RunSql, with: {sql: "TABLE made"}} # headrace: ignore'
    unordered = explain(headrace, stray + "[unordered-read] for this test\n")
    assert unordered.code == 1
    assert 'step "make" creates it: depends_on: [make]' in unordered.out
    silenced = explain(headrace, stray + "[unordered-read, undefined-table] for this test\n")
    assert silenced.code == 0, silenced.out


def test_values_of_earlier_steps_and_missing_parameters_are_skipped(headrace: Headrace):
    steps = """\
- {id: first, job: Fibonacci, with: {n: 3}}
- id: late
  job: RunSql
  depends_on: [first]
  with: {sql: "SELECT 1 + {{ params.n }}", params: {n: "{{ steps.first.result }}"}}
- id: each
  job: RunSql
  foreach: {items: [a, b, c]}
  with: {sql: "SELECT {{ params.n }}", params: {n: "{{ item }}"}}
"""
    done = explain(headrace, steps)
    assert done.code == 0, done.out
    assert "1 statement explained, 1 skipped (1 where its values come from earlier steps)" in (
        done.out
    )
    needs = "params: {day: {type: date, required: true}}\n"
    asked = explain(headrace, steps, head=needs)
    assert asked.code == 0
    assert "it cannot be planned without parameters" in asked.out
    assert (
        "1 statement explained" in explain(headrace, steps, "-p", "day=2026-01-31", head=needs).out
    )
    wrong = explain(headrace, steps, "-p", "dya=2026-01-31", head=needs)
    assert (wrong.code, 'did you mean "day"?' in wrong.err) == (1, True)
    assert headrace("validate", "-p", "day=2026-01-31").code == 2


def test_each_statement_goes_to_its_own_connection(headrace: Headrace, empty_database: str):
    execute(empty_database, "CREATE TABLE there (n integer)")
    (headrace.folder / "config.yaml").write_text(
        f'connections: {{dwh: "{empty_database}", away: "postgresql://127.0.0.1:1/x"}}\n'
    )
    steps = """\
- {id: there, job: RunSql, with: {sql: "TABLE there", connection: dwh}}
- {id: here, job: RunSql, with: {sql: "TABLE orders"}}
- id: copy
  job: SyncTable
  with: {source_table: orders, target_table: orders, key: id, target_connection: dwh}
"""
    done = explain(headrace, steps)
    assert done.code == 0, done.out
    assert "3 statements explained" in done.out
    wrong = explain(headrace, steps.replace("TABLE orders", "TABLE there"))
    assert (wrong.code, wrong.out.count("[undefined-table]")) == (1, 1)
    away = explain(headrace, steps.replace("connection: dwh}", "connection: away}", 1))
    assert away.code == 2
    assert "away: PostgreSQL does not answer" in away.err
    assert "its database does not answer" in away.out


def test_without_a_database_it_ends_2_and_starts_none(headrace: Headrace):
    home = headrace.folder / "home"
    alone = Headrace(headrace.folder, {"HEADRACE_HOME": str(home)})
    done = explain(alone, "- {id: a, job: RunSql, with: {sql: SELECT 1}}\n")
    assert done.code == 2
    assert "no database is running: the embedded servers" in done.err
    assert [path.name for path in home.iterdir()] == ["cache"]
    assert explain(alone, "- {id: a, job: Fibonacci, with: {n: 3}}\n").code == 0


def test_a_filtered_scan_of_a_large_table_is_a_warning(headrace: Headrace, database: str):
    execute(
        database,
        "CREATE TABLE visit AS SELECT n, n % 50000 AS page FROM generate_series(1, 150000) AS n;"
        " ANALYZE visit",
    )
    done = explain(
        headrace,
        "- {id: a, job: RunSql, with: {sql: 'SELECT * FROM visit WHERE page = 7'}}\n"
        "- {id: b, job: RunSql, with: {sql: 'SELECT count(*) FROM visit'}}\n",
    )
    assert done.code == 0
    assert "visit, over 100,000 rows" in done.out
    assert done.out.count("[seq-scan]") == 1


def test_a_job_of_ones_own_cannot_have_anything_run_by_its_preview(
    headrace: Headrace, database: str
):
    (headrace.folder / "jobs").mkdir()
    (headrace.folder / "jobs" / "sly.py").write_text(
        "from jobs.base import BaseJob\n"
        "from runner.template import Preview, RenderedSql\n\n"
        "class Sly(BaseJob):\n"
        "    def preview(self):\n"
        "        for sql in ('SELECT 1; COMMIT; DROP TABLE orders', 'EXPLAIN ANALYZE SELECT 1'):\n"
        "            yield Preview(RenderedSql(sql, {}))\n"
    )
    done = explain(headrace, "- {id: a, job: Sly}\n")
    assert done.code == 0, done.out
    assert "0 statements explained, 2 skipped" in done.out
    assert execute(database, "SELECT * FROM orders") == []


def test_a_table_that_a_job_of_ones_own_makes_is_not_missing(headrace: Headrace):
    (headrace.folder / "jobs").mkdir()
    (headrace.folder / "jobs" / "refresh.py").write_text(
        "from jobs.base import BaseJob\n\n"
        "class Refresh(BaseJob):\n"
        '    tables_written = tables_made = ("mart.refreshed",)\n'
    )
    done = explain(
        headrace,
        "- {id: refresh, job: Refresh}\n"
        "- id: use\n"
        "  job: RunSql\n"
        "  depends_on: [refresh]\n"
        "  with: {sql: 'SELECT count(*) FROM mart.refreshed'}\n",
    )
    assert done.code == 0, done.out
    assert 'relation "mart.refreshed" does not exist yet; step "refresh" makes it' in done.out
