"""LoadFile sets rows aside that cannot be stored, with file, line, column, reason and text."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.load_file import LoadFile
from tests.support.attempts import JobRunner

BAD = (
    "id,name,day\n"
    "1,one,2026-01-01\n"
    "x,two,2026-01-02\n"
    "3,three,\n"
    '4,5" pipe,2026-01-04\n'
    "5,five\n"
    '6,"six\nlines",2026-13-01\n'
    "\n"
    "7,seven,2026-01-07,more\n"
    '8,"never closed,2026-01-08\n'
    "9,nine,2026-01-09\n"
    "10,ten,03/02/04\n"
)
REASONS = [
    ("in.csv", 3, "id", 'invalid input syntax for type integer: "x"', "x,two,2026-01-02"),
    ("in.csv", 5, None, "a quote is inside a field", '4,5" pipe,2026-01-04'),
    ("in.csv", 6, None, "the record has 2 fields instead of 3", "5,five"),
    ("in.csv", 7, "day", "date/time field value out of range", '6,"six\nlines",2026-13-01'),
    ("in.csv", 10, None, "the record has 4 fields instead of 3", "7,seven,2026-01-07,more"),
    ("in.csv", 11, None, "a quoted field begins here and is never closed",
     '8,"never closed,2026-01-08'),
    ("in.csv", 13, "day", "which day is", "10,ten,03/02/04"),
]  # fmt: skip


@pytest.fixture
def run_job(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


@pytest.fixture
def load(run_job: JobRunner, tmp_path: Path, execute):
    execute("CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, day date)")

    def load(content: str | bytes, name: str, limit: int | str, **with_: Any) -> dict[str, Any]:
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(raw)
        on_error = {"reject_table": "bad.rows", "limit": limit}
        result: dict[str, Any] = run_job(LoadFile, path=name, table="t", on_error=on_error, **with_)
        return result

    return load


@pytest.fixture
def rejected(query):
    def rejected() -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = query(
            "SELECT file, line, column_name, reason, raw FROM bad.rows ORDER BY line"
        )
        return found

    return rejected


@pytest.mark.parametrize("with_", [{}, {"mode": "merge", "metadata": ["_line"]}])
def test_each_bad_record_is_set_aside_and_the_others_are_loaded(load, rejected, query, with_):
    result = load(BAD, "in.csv", 7, **with_)
    assert (result["row_count"], result["rejected"]) == (3, 7)
    assert query("SELECT id, name FROM t ORDER BY id") == [(1, "one"), (3, "three"), (9, "nine")]
    found = rejected()
    assert [row[:3] for row in found] == [row[:3] for row in REASONS]
    for row, expected in zip(found, REASONS, strict=True):
        assert row[3].startswith(expected[3])
        assert row[4] == expected[4]
    if with_:
        assert query("SELECT _line FROM t ORDER BY id") == [(2,), (4,), (12,)]


def test_exactly_the_limit_passes_and_one_more_saves_nothing_but_the_rejected_rows(
    load, rejected, query, execute
):
    for limit in (6, "69%", 0):
        with pytest.raises(JobFailure, match=r"rows? could not be stored, and on_error\.limit is"):
            load(BAD, "in.csv", limit)
        assert query("SELECT count(*) FROM t") == [(0,)]
        assert len(rejected()) >= min(7, 1 if limit == 0 else 7)
        execute("TRUNCATE bad.rows")
    load(BAD, "in.csv", "70%")
    assert len(rejected()) == 7


def test_of_a_large_file_the_bad_rows_alone_are_set_aside(load, rejected, query):
    rows = [f"{n},n{n},2026-01-01" for n in range(1, 5001)]
    for bad in (0, 999, 1000, 4999):
        rows[bad] = f"x{bad},,"
    rows[2500] = "1234,again,2026-01-01"
    rows[2600] = "2601,,2026-01-01"
    result = load("id,name,day\n" + "\n".join(rows) + "\n", "in.csv", "1%")
    assert (result["row_count"], result["rejected"]) == (4994, 6)
    assert [(row[1], row[2]) for row in rejected()] == [
        (2, "id"), (1001, "id"), (1002, "id"), (2502, None), (2602, "name"), (5001, "id"),
    ]  # fmt: skip
    assert query("SELECT count(*), count(DISTINCT id) FROM t") == [(4994, 4994)]


def test_records_of_json_and_rows_of_parquet_are_set_aside_too(load, rejected, query, execute):
    lines = ['{"id": 1, "name": "a"}', '{"id": "x", "name": "b"}', "no json", '{"id": 2}',
             '{"id": 3, "name": "c", "other": 1}', '{"id": 4, "name": "d"}']  # fmt: skip
    result = load("\n".join(lines), "in.jsonl", 4)
    assert (result["row_count"], result["rejected"]) == (2, 4)
    assert [(row[1], row[4]) for row in rejected()] == [(n, lines[n - 1]) for n in (2, 3, 4, 5)]
    execute("TRUNCATE t, bad.rows")
    whole = io.BytesIO()
    pq.write_table(pa.table({"id": ["1", "x", "3"], "name": ["a", "b", None]}), whole)
    result = load(whole.getvalue(), "in.parquet", 2)
    assert (result["row_count"], result["rejected"]) == (1, 2)
    assert [json.loads(row[4])["id"] for row in rejected()] == ["x", "3"]


def test_a_file_without_bad_rows_is_read_once_and_makes_an_empty_table(load, rejected, caplog):
    with caplog.at_level("INFO", "headrace.job"):
        assert load("id,name\n1,a\n", "in.csv", 0)["rejected"] == 0
    assert "once more" not in caplog.text
    assert rejected() == []


@pytest.mark.parametrize("given", [{"limit": 1}, {"reject_table": "t"},
                                   {"reject_table": "t", "limit": "some"}])  # fmt: skip
def test_on_error_names_a_table_and_a_limit(given):
    with pytest.raises(InvalidPayload, match="on_error"):
        LoadFile("in.csv", "t", on_error=given)
