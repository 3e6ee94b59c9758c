"""SyncTable in chunks with commits of their own, and from a query."""

from typing import Any

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.sync_table import SyncTable
from tests.integration.test_jobs_between_servers import rows, run
from tests.support import attempts

WITH: dict[str, Any] = {
    "source_table": "event",
    "target_table": "target",
    "key": ["kind", "id"],
    "source_connection": "there",
    "chunk_size": 10,
}
CURSOR = {"incremental": {"cursor": "at"}}


@pytest.fixture
def there(run_job, second):
    run_job.engines["there"] = second
    # The order of texts is the source's own: the target has another collation.
    run(second, 'CREATE TABLE event (kind text COLLATE "C", id int, at timestamptz, v text,'
        " PRIMARY KEY (kind, id))",
        "INSERT INTO event SELECT CASE WHEN n % 2 = 0 THEN 'a' ELSE 'B' END, n,"
        " '2026-01-01'::timestamptz + n * interval '1 min', 'old' FROM generate_series(1, 25) n",
    )  # fmt: skip
    return second


@pytest.fixture
def one_job(monkeypatch):
    """Let each attempt be one of the same job."""
    monkeypatch.setattr(attempts, "uuid4", lambda: "01980000-0000-7000-8000-000000000001")


@pytest.mark.parametrize("with_", [{}, CURSOR], ids=["by key", "by cursor"])
def test_a_load_that_fails_keeps_its_chunks_and_a_retry_goes_on_after_the_last_one(
    run_job, there, query, execute, one_job, with_
):
    execute("CREATE TABLE target (kind text, id int CHECK (id NOT IN (24, 25)), at timestamptz,"
            " v text, PRIMARY KEY (kind, id))")  # fmt: skip
    with pytest.raises(Exception, match="violates check constraint"):
        run_job(SyncTable, **WITH | with_)
    assert query("SELECT count(*) FROM target")[0][0] in (10, 20)
    execute("ALTER TABLE target DROP CONSTRAINT target_id_check")
    before = query("SELECT count(*) FROM target")[0][0]

    result = run_job(SyncTable, **WITH | with_)

    assert result["inserted"] == 25 - before
    assert result["updated"] == 0
    everything = "SELECT kind, id, at::text, v FROM {} ORDER BY id"
    assert rows(run_job.engines[None], everything.format("target")) == rows(
        there, everything.format("event")
    )
    again = run_job(SyncTable, **WITH | with_)
    assert (again["inserted"], again["updated"]) == (0, 0)


def test_each_chunk_has_as_many_rows_and_those_with_equal_values_of_the_cursor_stay_together(
    run_job, there
):
    run(there, "UPDATE event SET at = '2026-01-01 00:10' WHERE id BETWEEN 8 AND 14",
        "UPDATE event SET at = NULL WHERE id = 25")  # fmt: skip
    result = run_job(SyncTable, **WITH, **CURSOR)

    assert (result["inserted"], result["chunks"]) == (25, 3)


def test_what_a_later_run_reads_in_chunks_has_late_rows_too(run_job, there):
    run_job(SyncTable, **WITH, **CURSOR)
    run(
        there,
        "INSERT INTO event SELECT 'late', n, '2020-01-01', 'x' FROM generate_series(1, 15) n",
        "INSERT INTO event SELECT 'new', n, '2027-01-01', 'x' FROM generate_series(1, 15) n",
    )

    result = run_job(SyncTable, **WITH, **CURSOR)

    assert (result["inserted"], result["updated"], result["chunks"]) == (30, 0, 3)


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({"expect": {"rows": 1}}, "expect and checks judge one transaction"),
        ({"checks": [{"row_count": {"must_be": 1}}]}, "expect and checks judge one transaction"),
        ({"delete": True}, "what is missing is known only"),
        ({"merge_strategy": "delete_insert", **CURSOR}, "needs all rows of a key at once"),
        ({"chunk_size": 0}, "at least 1"),
        ({"source_sql": "SELECT 1"}, "either source_table or source_sql"),
        ({"source_table": None}, "either source_table or source_sql"),
        ({"source_table": None, "source_sql": " ; "}, "source_sql is empty"),
    ],
)
def test_what_does_not_go_with_chunks_or_a_query_is_refused(with_, told):
    with pytest.raises(InvalidPayload, match=told):
        SyncTable(**WITH | with_)


SQL = "SELECT kind, id, upper(v) AS v, at FROM event WHERE id > 5 -- the newest;\n"
OF_QUERY = {"source_table": None, "source_sql": SQL, "chunk_size": None}


@pytest.mark.parametrize(
    "with_", [{}, {"chunk_size": 7}, {"incremental": {"cursor": "at", "lag": "2m"}}]
)
def test_a_query_is_read_like_a_table(run_job, there, query, with_):
    assert run_job(SyncTable, **WITH | OF_QUERY | with_)["inserted"] == 20
    run(there, "UPDATE event SET v = 'neu' WHERE id = 24")
    again = run_job(SyncTable, **WITH | OF_QUERY | with_)

    assert (again["inserted"], again["updated"]) == (0, 1)
    assert query("SELECT v, count(*) FROM target GROUP BY 1 ORDER BY 2") == [
        ("NEU", 1),
        ("OLD", 19),
    ]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT kind, id, v, v FROM event", "has a column 'v'"),
        ("SELECT kind, id, 1 + 1 FROM event", r"\?column\?"),
        ("SELECT id FROM event", "has no key column 'kind'"),
    ],
)
def test_a_query_that_cannot_be_copied_is_told(run_job, there, sql, told):
    with pytest.raises(JobFailure, match=told):
        run_job(SyncTable, **WITH | OF_QUERY | {"source_sql": sql})
