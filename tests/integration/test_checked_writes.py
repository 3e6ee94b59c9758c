"""Loads and copies whose rows are judged, and whose SQL has values of the run in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.testing import FreshDatabase, RunOutcome, database, run_pipeline


@pytest.fixture
def db() -> Iterator[FreshDatabase]:
    with database() as fresh:
        fresh.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, country text);"
            "INSERT INTO orders VALUES (1, 'd''e'), (2, 'fr'), (3, 'fr')"
        )
        yield fresh


def run(folder: Path, db: FreshDatabase, steps: str, **params: str) -> RunOutcome:
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    declared = "".join(f"  {name}: {{type: string}}\n" for name in params)
    text = f"name: data\n{'params:' if params else ''}\n{declared}steps:\n{steps}"
    (pipelines / "data.yaml").write_text(text, encoding="utf-8")
    (pipelines / "orders.csv").write_text("id,country\n1,de\n2,\n", encoding="utf-8")
    return run_pipeline("data", params, database=db, project=folder)


WRITES = {
    "LoadFile": "path: orders.csv, table: copied, create: true",
    "MirrorTable": "source_table: orders, target_table: copied",
    "SyncTable": "source_table: orders, target_table: copied, primary_key: id",
}


@pytest.mark.parametrize("job", WRITES)
def test_rows_that_a_check_does_not_pass_are_not_written(tmp_path, db, job):
    steps = f"""
  - id: write
    job: {job}
    retry: {{limit: 0}}
    with: {{{WRITES[job]}, checks: [{{row_count: {{must_be_greater_than: 100}}}}]}}
"""
    outcome = run(tmp_path, db, steps)

    assert "must be greater than 100" in str(outcome.steps["write"].error)
    assert db.rows("SELECT to_regclass('copied') AS found") == [{"found": None}]


@pytest.mark.parametrize("job", WRITES)
def test_the_result_of_a_write_has_what_its_checks_have_found(tmp_path, db, job):
    steps = f"""
  - id: write
    job: {job}
    with: {{{WRITES[job]}, checks: [{{duplicate: {{columns: [id]}}}}]}}
"""
    outcome = run(tmp_path, db, steps)

    assert outcome.status == "completed", outcome
    result = outcome.steps["write"].result
    assert (result["checks"], result["table"]) == (1, "copied")
    assert [one["verdict"] for one in result["check_results"]] == ["passed"]


@pytest.mark.parametrize("job", ["MirrorTable", "SyncTable"])
def test_a_value_in_the_condition_of_a_copy_is_a_literal(tmp_path, db, job):
    steps = f"""
  - id: write
    job: {job}
    with: {{{WRITES[job]}, where: "country = {{{{ params.country }}}}"}}
"""
    outcome = run(tmp_path, db, steps, country="d'e")

    assert outcome.status == "completed", outcome
    assert db.rows("SELECT id FROM copied") == [{"id": 1}]


@pytest.mark.parametrize("job", ["MirrorTable", "SyncTable"])
def test_a_value_cannot_widen_the_condition_of_a_copy(tmp_path, db, job):
    steps = f"""
  - id: write
    job: {job}
    with: {{{WRITES[job]}, where: "country = {{{{ params.country }}}}"}}
"""
    outcome = run(tmp_path, db, steps, country="x' OR 'a' = 'a")

    assert outcome.status == "completed", outcome
    assert db.rows("SELECT id FROM copied") == []


def test_values_in_the_sql_around_a_load_are_literals(tmp_path, db):
    steps = """
  - id: write
    job: LoadFile
    with:
      path: orders.csv
      table: orders
      pre_sql: DELETE FROM orders WHERE country <> {{ params.kept }}
      post_sql: UPDATE orders SET country = {{ params.kept }} WHERE id = 2
      columns: [id, country]
      mode: merge
"""
    outcome = run(tmp_path, db, steps, kept="it's; DROP TABLE orders")

    assert outcome.status == "completed", outcome
    kept = [{"id": 1, "country": "de"}, {"id": 2, "country": "it's; DROP TABLE orders"}]
    assert db.rows("SELECT id, country FROM orders ORDER BY id") == kept


def test_braces_in_a_value_of_the_sql_around_a_load_are_text(tmp_path, db):
    steps = """
  - id: write
    job: LoadFile
    with:
      path: orders.csv
      table: orders
      mode: merge
      columns: [id, country]
      pre_sql: UPDATE orders SET country = {{ params.x }} WHERE id = 3
      post_sql: UPDATE orders SET country = {{ params.x }} WHERE id = 2
"""
    value = "{{ 1/0 }} {% raw %} {# it's #}"
    outcome = run(tmp_path, db, steps, x=value)

    assert outcome.status == "completed", outcome
    found = db.rows("SELECT country FROM orders WHERE id > 1")
    assert found == [{"country": value}, {"country": value}]


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ('expect: {rows: ">0"}', "0 rows have come for orders"),
        ("checks: [{row_count: {must_be_greater_than: 100}}]", "must be greater than 100"),
        ("checks: [{row_count: {must_be_greater_than: 2}}]", None),
    ],
)
def test_without_a_new_file_rows_and_table_are_judged_all_the_same(tmp_path, db, key, told):
    load = """
  - id: {id}
    job: LoadFile
    retry: {{limit: 0}}
    depends_on: [{after}]
    with:
      {{path: orders.csv, table: orders, mode: merge, new_files_only: true{key}}}
"""
    steps = load.format(id="once", after="", key="") + load.format(
        id="again", after="once", key=f", {key}"
    )
    outcome = run(tmp_path, db, steps)

    error = outcome.steps["again"].error
    assert (told in str(error)) if told else (error is None), outcome


def test_a_retry_replaces_the_failing_keys_that_the_attempt_before_has_kept(tmp_path, db):
    steps = """
  - id: check
    job: CheckData
    retry: {limit: 1, delay: 1s}
    with:
      table: orders
      checks: [{row_count: {must_be: 100}}]
      store_failures: {table: dq.failure}
"""
    outcome = run(tmp_path, db, steps)

    assert outcome.status == "failed"
    assert db.rows("SELECT attempt FROM dq.failure") == [{"attempt": 2}]
