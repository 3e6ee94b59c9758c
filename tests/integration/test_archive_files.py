"""Old rows go to files, one for each batch, which LoadFile reads back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import InvalidPayload
from headrace.jobs.archive_rows import ArchiveRows
from headrace.testing import FreshDatabase, RunOutcome, database, run_pipeline


@pytest.fixture
def db() -> Iterator[FreshDatabase]:
    with database() as fresh:
        fresh.execute(
            "CREATE TABLE orders (id int PRIMARY KEY, day date, amount numeric(30,4), note text);"
            "INSERT INTO orders SELECT n, date '2025-01-01' + n, n * 12345678901234567.8901, NULL"
            " FROM generate_series(1, 7) n; INSERT INTO orders VALUES (8, '2030-01-01', 1, 'é');"
            "CREATE TABLE back (LIKE orders); CREATE TABLE before AS TABLE orders"
        )
        yield fresh


def run(folder: Path, db: FreshDatabase, path: str) -> RunOutcome:
    (folder / "pipelines").mkdir(exist_ok=True)
    (folder / "pipelines" / "p.yaml").write_text(
        f"""
name: p
steps:
  - id: archive
    job: ArchiveRows
    retry: {{limit: 0}}
    with: {{table: orders, path: {path}, column: day, before: "2026-01-01", batch_size: 3}}
  - id: load
    job: LoadFile
    depends_on: [archive]
    with: {{path: "old/*", table: back}}
""",
        encoding="utf-8",
    )
    return run_pipeline("p", {}, database=db, project=folder)


@pytest.mark.parametrize("path", ["old/orders.parquet", "old/orders.csv.gz", "old/orders.jsonl"])
def test_what_was_archived_to_files_is_read_back_unchanged(tmp_path, db, path):
    outcome = run(tmp_path, db, path)

    result = outcome.steps["archive"].result
    assert result is not None, outcome.steps["archive"].error
    assert (result["row_count"], result["files"], result["path"]) == (7, 3, path)
    assert result.keys() <= ArchiveRows.result_keys.keys(), "what later steps may speak of"
    files = sorted((tmp_path / "exports" / "old").iterdir())
    assert [one.name.split(".")[0][-6:] for one in files] == ["-00001", "-00002", "-00003"]
    assert db.rows("SELECT id FROM orders") == [{"id": 8}]
    same = (
        "(TABLE back EXCEPT TABLE before)"
        " UNION ALL (SELECT * FROM before WHERE id < 8 EXCEPT TABLE back)"
    )
    assert db.rows("SELECT count(*) AS n FROM back") == [{"n": 7}]
    assert db.rows(same) == []

    names = {one.name for one in files}
    db.execute("INSERT INTO orders SELECT * FROM before WHERE id < 3")
    run(tmp_path, db, path)
    kept = {one.name for one in (tmp_path / "exports" / "old").iterdir()}
    assert names < kept, "another run writes other files"


def test_rows_that_cannot_be_deleted_leave_no_file_that_a_retry_would_double(tmp_path, db):
    db.execute(
        "CREATE TABLE line (o int REFERENCES orders ON DELETE CASCADE); INSERT INTO line VALUES (5)"
    )
    outcome = run(tmp_path, db, "old/orders.parquet")

    assert "rows refer to the old rows of orders" in str(outcome.steps["archive"].error)
    assert len(list((tmp_path / "exports" / "old").iterdir())) == 1, "the first batch's"
    assert db.rows("SELECT count(*) AS n FROM orders") == [{"n": 5}]


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({}, "either into or path"),
        ({"into": "x", "path": "x.csv"}, "either into or path"),
        ({"path": "x.xlsx"}, "archived as .parquet"),
        ({"path": "x.csv", "keep_rows": True}, "keep_rows is for an archive table"),
        ({"path": "x.csv", "children": {"line": "o"}}, "children is for an archive table"),
    ],
)
def test_what_does_not_go_with_files_is_refused(with_, told):
    with pytest.raises(InvalidPayload, match=told):
        ArchiveRows(table="orders", column="day", before="2026-01-01", **with_)
