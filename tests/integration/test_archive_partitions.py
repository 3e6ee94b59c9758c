"""ArchiveRows with `partitions: detach`: whole partitions leave, their rows arrive once."""

import itertools
from typing import Any

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.archive_rows import ArchiveRows
from tests.integration.test_jobs_between_servers import rows

WITH: dict[str, Any] = {
    "table": "s.event",
    "into": "old.event",
    "column": "at",
    "before": "2026-03-10",
    "partitions": "detach",
}
LEFT = "SELECT id FROM s.event ORDER BY 1"
STORED = "SELECT id, note FROM old.event ORDER BY 1"
MOVED = [(1, "a"), (2, "b")]


@pytest.fixture
def event(execute):
    execute(
        "CREATE SCHEMA s; CREATE TABLE s.event (id int, at timestamptz, note text,"
        " n int GENERATED ALWAYS AS (1) STORED, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)"
    )
    bounds = ("MINVALUE", "'2026-02-01'", "'2026-03-01'", "'2026-04-01'")
    for number, (low, high) in enumerate(itertools.pairwise(bounds), 1):
        execute(f"CREATE TABLE s.event_{number} PARTITION OF s.event FOR VALUES FROM ({low})"
                f" TO ({high})")  # fmt: skip
    execute("INSERT INTO s.event VALUES (1, '2020-01-01', 'a'), (2, '2026-02-02', 'b'),"
            " (3, '2026-03-03', 'c')")  # fmt: skip


@pytest.mark.usefixtures("event")
def test_partitions_become_those_of_the_archive_without_a_row_being_written(
    run_job, execute, query, caplog
):
    caplog.set_level("INFO")
    nodes = query("SELECT relfilenode FROM pg_class WHERE relname IN ('event_1', 'event_2')")

    result = run_job(ArchiveRows, **WITH)

    assert (result["row_count"], result["partitions"]) == (2, ["s.event_1", "s.event_2"])
    assert 's.event_1 is now "old"."event_1", a partition of old.event' in caplog.text
    assert (query(LEFT), query(STORED)) == ([(3,)], MOVED)
    moved = "SELECT relfilenode FROM pg_class WHERE oid IN ('old.event_1'::regclass,"
    assert query(f"{moved} 'old.event_2'::regclass)") == nodes
    # The bounds are the archive's now, and nothing of the proof is left.
    assert query("SELECT count(*) FROM pg_constraint WHERE conname = 'headrace_bounds'") == [(0,)]
    execute("INSERT INTO old.event (id, at) VALUES (9, '2019-01-01')")
    assert run_job(ArchiveRows, **WITH)["partitions"] == []


@pytest.mark.usefixtures("event")
def test_an_archive_that_is_not_partitioned_gets_the_rows_and_the_partitions_go(
    run_job, execute, query
):
    execute("CREATE SCHEMA old; CREATE TABLE old.event (id int, at timestamptz, note text, n int)")

    first = run_job(ArchiveRows, **WITH, batch_limit=1, verify="checksum")
    second = run_job(ArchiveRows, **WITH)

    assert (first["partitions"], second["partitions"]) == (["s.event_1"], ["s.event_2"])
    assert (query(LEFT), query(STORED)) == ([(3,)], MOVED)
    assert query("SELECT to_regclass('s.event_1')") == [(None,)]


@pytest.mark.usefixtures("event")
def test_no_partition_goes_whose_values_the_archive_has_changed(run_job, execute, query):
    execute("CREATE SCHEMA old; CREATE TABLE old.event (id int, at timestamptz, note text, n int)")
    execute(
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.note := 'other'; RETURN NEW; END $$;"
        " CREATE TRIGGER changes BEFORE INSERT ON old.event FOR EACH ROW EXECUTE FUNCTION other()"
    )

    with pytest.raises(JobFailure) as refused:
        run_job(ArchiveRows, **WITH, verify="checksum")

    assert str(refused.value) == (
        "the checksum of the rows in old.event is not that of the rows of s.event_1: a trigger or"
        " a type of the archive changes values. Nothing was moved"
    )
    assert (query(LEFT), query(STORED)) == ([(1,), (2,), (3,)], [])
    assert run_job(ArchiveRows, **WITH)["row_count"] == 2
    assert (query(LEFT), query(STORED)) == ([(3,)], [(1, "other"), (2, "other")])


@pytest.mark.usefixtures("event")
def test_a_partition_that_rows_refer_to_stays_and_nothing_moves(run_job, execute, query):
    execute("CREATE TABLE s.line (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES s.event)")
    execute("INSERT INTO s.line VALUES (2, '2026-02-02')")

    with pytest.raises(Exception, match="violates foreign key constraint"):
        run_job(ArchiveRows, **WITH)

    assert query(LEFT) == [(1,), (2,), (3,)]


def test_partitions_go_to_files_and_to_another_server_one_by_one(
    run_job, event, query, second, tmp_path
):
    run_job.engines["there"] = second
    run_job.project = tmp_path

    away = run_job(ArchiveRows, **WITH, target_connection="there", batch_limit=1)
    files = run_job(ArchiveRows, **{k: v for k, v in WITH.items() if k != "into"},
                    path="event.parquet")  # fmt: skip

    assert (away["partitions"], away["row_count"]) == (["s.event_1"], 1)
    assert files == {
        "row_count": 1,
        "path": "event.parquet",
        "files": 1,
        "before": "2026-03-10",
        "partitions": ["s.event_2"],
    }
    assert rows(second, STORED) == [(1, "a")]
    assert query(LEFT) == [(3,)]


@pytest.mark.usefixtures("event")
def test_a_partition_without_a_row_goes_and_leaves_no_file(run_job, execute, tmp_path):
    execute("DELETE FROM s.event WHERE id = 1")
    run_job.project = tmp_path

    result = run_job(ArchiveRows, **{k: v for k, v in WITH.items() if k != "into"},
                     path="event.csv")  # fmt: skip

    assert (result["partitions"], result["files"]) == (["s.event_1", "s.event_2"], 1)
    assert [len(one.read_text().splitlines()) for one in tmp_path.glob("exports/*.csv")] == [2]


@pytest.mark.usefixtures("event")
def test_another_column_than_that_of_the_partitions_is_refused(run_job, execute):
    execute("ALTER TABLE s.event ADD COLUMN day date")

    with pytest.raises(JobFailure, match="partitioned by at, not by day"):
        run_job(ArchiveRows, **WITH | {"column": "day"})


@pytest.mark.parametrize(
    "given", [{"where": "id > 1"}, {"batch_size": 5}, {"limit": 1}, {"keep_rows": True}]
)
def test_keys_that_speak_of_rows_are_refused_beside_whole_partitions(given):
    with pytest.raises(InvalidPayload, match=next(iter(given))):
        ArchiveRows(**WITH | given)
