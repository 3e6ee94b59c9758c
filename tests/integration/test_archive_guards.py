"""ArchiveRows deletes nothing that it has not seen arrive, and says what it needs."""

from typing import Any

import pytest
from psycopg2 import errors
from sqlalchemy.exc import OperationalError

from headrace.errors import JobFailure
from headrace.jobs.archive_rows import ArchiveRows
from headrace.jobs.tables.archive_partitions import drop_copied
from headrace.jobs.tables.partitions import partitioned
from tests.integration.test_archive_partitions import LEFT, WITH, event  # noqa: F401 - a fixture
from tests.integration.test_jobs_between_servers import rows, run
from tests.support.attempts import JobRunner

OLD: dict[str, Any] = {"table": "t", "column": "at", "before": "2026-01-01"}
INTO: dict[str, Any] = OLD | {"into": "old"}
APART = {key: value for key, value in WITH.items() if key != "into"}
KEEPS = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  RETURN CASE WHEN OLD.id = 2 THEN NULL ELSE OLD END;
END $$
"""


@pytest.fixture
def run_job(target, second, tmp_path) -> JobRunner:
    engines = {None: target, "there": second}
    return JobRunner(engines, search_path=(tmp_path,), project=tmp_path)


@pytest.fixture
def t(execute) -> None:
    execute("CREATE TABLE t (id int, at date)")
    execute("INSERT INTO t VALUES (1, '2025-01-01'), (2, '2025-01-01')")


def failed(run_job: JobRunner, query: Any, **with_: Any) -> str:
    """Run what has to fail and to move nothing, and return what it says."""
    with pytest.raises(JobFailure) as failure:
        run_job(ArchiveRows, **with_)
    assert query("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]
    return str(failure.value)


@pytest.mark.usefixtures("t")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"children": {"line": "t_id"}},
            (
                "line.t_id does not refer to t by a foreign key of one column, and that table has"
                " no primary key of one column either"
            ),
        ),
        (
            {"keep_rows": True},
            (
                "t has no primary key: with keep_rows a second run could not know which rows are in"
                " the archive"
            ),
        ),
        (
            {"target_connection": "there"},
            (
                "t has no primary key, by which a repeated batch would find its rows on the other"
                " connection"
            ),
        ),
    ],
)
def test_a_table_without_a_key_is_told_where_one_is_needed(run_job, execute, query, more, said):
    execute("CREATE TABLE line (t_id int); INSERT INTO line VALUES (1)")
    assert failed(run_job, query, **INTO, **more) == said


@pytest.mark.usefixtures("t")
def test_rows_that_a_trigger_keeps_from_being_deleted_are_not_archived(run_job, execute, query):
    execute(KEEPS)
    execute("CREATE TRIGGER keep BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION keep()")

    assert failed(run_job, query, **INTO) == (
        "of 2 old rows of t, 1 could be deleted and 2 stored in old: a trigger or a rule of one of"
        " the two tables keeps rows back"
    )
    assert query("SELECT to_regclass('old')") == [(None,)]


@pytest.mark.usefixtures("t")
def test_rows_that_the_other_server_drops_again_stay_here(run_job, execute, query, second):
    execute("ALTER TABLE t ADD PRIMARY KEY (id)")
    run(second, "CREATE TABLE old (id int PRIMARY KEY, at date)",
        "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN DELETE FROM old WHERE id = 2; RETURN NULL; END $$",
        "CREATE TRIGGER again AFTER INSERT ON old FOR EACH ROW EXECUTE FUNCTION again()",
    )  # fmt: skip

    assert failed(run_job, query, **INTO, target_connection="there") == (
        "of 2 old rows of t, 1 are in old: a trigger or a rule keeps rows back. Nothing was moved"
    )
    assert rows(second, "SELECT * FROM old") == []

    given = INTO | {"target_connection": "there", "verify": "none"}
    assert run_job(ArchiveRows, **given)["row_count"] == 2
    assert rows(second, "SELECT id FROM old") == [(1,)]


@pytest.mark.usefixtures("t")
def test_each_batch_that_has_moved_rows_is_told(run_job, caplog):
    caplog.set_level("INFO")

    assert run_job(ArchiveRows, **INTO, batch_size=1)["batches"] == 2
    assert [one for one in caplog.messages if one.startswith("Batch")] == [
        "Batch 1: 1 row, 1 so far",
        "Batch 2: 1 row, 2 so far",
    ]


@pytest.mark.parametrize(
    ("with_", "said"),
    [
        (INTO | {"target_connection": "there"}, "t: 2 rows were held, but 0 were read"),
        (OLD | {"path": "t.csv"},
         ".csv: 2 rows were held, 0 were written and 0 are in the file"),
        (OLD | {"path": "t.parquet"},
         ".parquet: 2 rows were held, 0 were written and 0 are in the file"),
    ],
)  # fmt: skip
def test_rows_that_are_hidden_meanwhile_are_missed(run_job, execute, query, tmp_path, with_, said):
    """A policy that shows each row once only; its owner can lift it."""
    execute("CREATE TABLE t (id int PRIMARY KEY, at date); CREATE SEQUENCE looks")
    execute("INSERT INTO t VALUES (1, '2025-01-01'), (2, '2025-01-01')")
    execute("CREATE POLICY once ON t USING (nextval('looks') <= 2)")
    execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY")

    with pytest.raises(JobFailure) as failure:
        run_job(ArchiveRows, **with_)

    assert str(failure.value).endswith(said)
    execute("ALTER TABLE t NO FORCE ROW LEVEL SECURITY")
    assert query("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]
    assert [one.name for one in tmp_path.rglob("t*.*")] == []


@pytest.mark.usefixtures("t")
def test_only_a_lock_is_waited_for_with_lock_wait(run_job, execute, query, caplog):
    execute("CREATE FUNCTION stop() RETURNS boolean LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'stop' USING ERRCODE = '57014'; END $$")  # fmt: skip

    with pytest.raises(OperationalError) as failure:
        run_job(ArchiveRows, **INTO, where="stop()", lock_wait="1s")

    assert isinstance(failure.value.orig, errors.QueryCanceled)
    assert "Others hold old rows" not in caplog.text
    assert query("SELECT id FROM t ORDER BY 1") == [(1,), (2,)]


# -- whole partitions -----------------------------------------------------------------


@pytest.mark.usefixtures("event")
@pytest.mark.parametrize(
    "more",
    [
        {"path": "event.csv"},
        {"into": "old.event", "target_connection": "there"},
        {"into": "old.plain"},
    ],
)
def test_a_partition_with_rows_that_its_owner_does_not_see_is_not_dropped(
    run_job, execute, query, more
):
    execute("INSERT INTO s.event VALUES (7, '2020-01-01', 'hidden')")
    execute("CREATE POLICY hides ON s.event_1 USING (id <> 7)")
    execute("ALTER TABLE s.event_1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    execute("CREATE SCHEMA old; CREATE TABLE old.plain (id int, at timestamptz, note text, n int)")
    (role,) = query("SELECT current_user")[0]

    with pytest.raises(JobFailure) as failure:
        run_job(ArchiveRows, **APART, **more)

    assert str(failure.value) == (
        f"row level security applies to s.event_1: rows that the role {role} may not see would be"
        " dropped uncopied. Let a role with BYPASSRLS archive it, or ALTER TABLE s.event_1 NO FORCE"
        " ROW LEVEL SECURITY"
    )
    assert query(LEFT) == [(1,), (2,), (3,), (7,)]


@pytest.mark.usefixtures("event")
def test_an_archive_of_other_partitions_takes_none(run_job, execute, query):
    execute("CREATE SCHEMA old; CREATE TABLE old.event (id int, at timestamptz, note text, n int)"
            " PARTITION BY RANGE (id)")  # fmt: skip

    with pytest.raises(JobFailure) as failure:
        run_job(ArchiveRows, **WITH)

    assert str(failure.value) == (
        "old.event is partitioned by id (integer), s.event by at (timestamp with time zone): it"
        " cannot take its partitions"
    )
    assert query(LEFT) == [(1,), (2,), (3,)]


@pytest.mark.usefixtures("event")
@pytest.mark.parametrize("copied", [0, 2])
def test_a_partition_is_dropped_only_when_all_its_rows_were_copied(run_job, query, copied):
    class Miscounts(ArchiveRows):
        def handle(self) -> Any:
            with self.session() as session:
                table = partitioned(session, "s.event")
                first = table.partitions(session)[0]
                return drop_copied(session, table, first, lambda _name: copied)

    with pytest.raises(JobFailure) as failure:
        run_job(Miscounts, **WITH)

    assert str(failure.value) == (
        f"s.event_1 has 1 rows, but {copied} were copied: nothing is dropped"
    )
    assert query(LEFT) == [(1,), (2,), (3,)]


@pytest.mark.usefixtures("event")
def test_a_partition_that_an_earlier_attempt_has_committed_counts_as_one(run_job, query):
    class Again(ArchiveRows):
        """A second attempt: the ledger has the first partition."""

        def batch(self, label: str, connection: str | None = None) -> Any:
            from contextlib import nullcontext

            return nullcontext() if label == "partition 1" else super().batch(label, connection)

    result = run_job(Again, **APART, path="event.csv", batch_limit=2)

    assert (result["partitions"], result["row_count"]) == (["s.event_1"], 1)
    assert query(LEFT) == [(2,), (3,)]
