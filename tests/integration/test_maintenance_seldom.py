"""Partitions, indexes and groups in states that come up seldom, and what is then told."""

import pytest

from headrace.errors import JobFailure
from headrace.jobs.create_partitions import CreatePartitions
from headrace.jobs.data_aggregation import DataAggregation
from headrace.jobs.rebuild_index import RebuildIndex
from headrace.jobs.vacuum_table import VacuumTable
from tests.integration.test_changed_groups import (
    CURSOR,
    TOTALS,
    WITH,
    numbers,
    sales,  # noqa: F401 - a fixture
)
from tests.support.attempts import JobRunner


def failed(run_job: JobRunner, job: type, **with_: object) -> str:
    with pytest.raises(JobFailure) as failure:
        run_job(job, **with_)
    return str(failure.value)


# -- partitions -----------------------------------------------------------------------


def test_so_many_partitions_are_created_at_once_and_no_more(run_job, execute, query):
    """From 2026-01-31 on, the day of the tests' runs."""
    execute("CREATE TABLE t (day date) PARTITION BY RANGE (day);"
            "CREATE TABLE n (n int) PARTITION BY RANGE (n);"
            "CREATE TABLE part PARTITION OF n FOR VALUES FROM (3) TO (5)")  # fmt: skip
    given = {"table": "t", "interval": "day", "premake": 1000}

    told = failed(run_job, CreatePartitions, **given, start="2026-01-30")

    assert told == (
        "1002 partitions would be created, which is more than 1001: choose a later start or a"
        " longer interval"
    )
    # 1001 are not too many: then the next reason is told.
    told = failed(run_job, CreatePartitions, table="n", interval=10, premake=1000)
    assert told == (
        "a partition from 0 to 10 would overlap part (from 3 to 5): choose the interval of those"
        " that are there"
    )
    assert query("SELECT inhrelid::regclass::text FROM pg_inherits") == [("part",)]


def test_partitions_that_are_there_do_not_count(run_job, execute):
    """A `start` stays in the pipeline file, and what has been created since only grows."""
    execute("CREATE TABLE t (day date) PARTITION BY RANGE (day)")
    execute("CREATE TABLE old PARTITION OF t FOR VALUES FROM ('2010-01-01') TO ('2026-01-31')")
    given = {"table": "t", "interval": "day", "premake": 1, "start": "2010-01-01"}

    assert run_job(CreatePartitions, **given) == {
        "created": ["public.t_p20260131", "public.t_p20260201"]
    }
    assert run_job(CreatePartitions, **given) == {"created": []}


def test_a_table_of_the_name_that_is_no_partition_is_told(run_job, execute, query):
    """A partition that was detached, say, whose range `start` asks for again."""
    execute("CREATE TABLE t (day date) PARTITION BY RANGE (day); CREATE TABLE t_p20260131 ()")
    given = {"table": "t", "interval": "day", "premake": 0, "start": "2026-01-30"}

    assert failed(run_job, CreatePartitions, **given) == (
        "public.t_p20260131 is there and no partition of t (detached, perhaps): rename, move or"
        " drop it, or choose a later start"
    )
    assert query("SELECT count(*) FROM pg_inherits") == [(0,)]


@pytest.mark.parametrize("letter", ["p", "é"])
def test_a_name_that_would_be_cut_is_refused(run_job, execute, query, letter):
    """_p20260131 stands behind it, and a name has 63 bytes."""
    name = letter * (53 // len(letter.encode())) + "x" * (53 % len(letter.encode()))
    for table in (name, name + "x"):
        execute(f"CREATE TABLE {table} (day date) PARTITION BY RANGE (day)")
    given = {"interval": "day", "premake": 0}

    made = run_job(CreatePartitions, table=name, **given)
    told = failed(run_job, CreatePartitions, table=name + "x", **given)

    assert [one.replace('"', "") for one in made["created"]] == [f"public.{name}_p20260131"]
    assert told == f"{name}x_p20260131 is longer than the 63 bytes that a name can have"


# -- indexes --------------------------------------------------------------------------


def test_a_partitioned_table_that_has_no_partition_yet_has_nothing_to_maintain(run_job, execute):
    execute("CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    assert run_job(RebuildIndex, table="t") == {"indexes": []}


def test_a_table_without_indexes_is_not_rebuilt(run_job, execute, caplog):
    execute("CREATE TABLE plain (id int); CREATE TABLE t (id int PRIMARY KEY)")
    caplog.set_level("INFO")

    assert run_job(RebuildIndex, schema="public") == {"indexes": ["t_pkey"]}
    assert run_job(RebuildIndex, table="plain") == {"indexes": []}
    assert [one for one in caplog.messages if one.startswith("Reb")] == [
        "Rebuilding all indexes of t",
        "Rebuilt t_pkey",
        "Rebuilt no index: none needs it",
    ]


def test_an_index_that_cannot_be_used_after_it_was_rebuilt_is_told(run_job, execute):
    """That of a partitioned table cannot be, until each partition has its own."""
    execute("CREATE TABLE t (id int) PARTITION BY RANGE (id)")
    execute("CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10)")
    execute("CREATE INDEX whole ON ONLY t (id)")

    told = failed(run_job, RebuildIndex, index="whole", concurrently=False)

    assert told == ("after REINDEX these indexes cannot be used: whole; drop and create them again")


def test_one_index_is_rebuilt_where_enough_of_it_is_empty(run_job, execute, query):
    execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 20000)")
    execute("DELETE FROM t WHERE id % 20 <> 0")
    execute("CREATE INDEX other ON t (id)")
    run_job(VacuumTable, table="t", analyze=True)
    assert run_job(RebuildIndex, index="other", min_bloat="0%") == {"indexes": ["other"]}
    node = "SELECT relfilenode FROM pg_class WHERE relname = 't_pkey'"
    before = query(node)

    assert run_job(RebuildIndex, index="t_pkey", min_bloat="100%") == {"indexes": []}
    assert query(node) == before
    assert run_job(RebuildIndex, index="t_pkey", min_bloat="50%") == {"indexes": ["t_pkey"]}
    assert query(node) != before


# -- groups ---------------------------------------------------------------------------


@pytest.mark.usefixtures("sales")
def test_groups_of_a_table_with_heirs_are_not_deleted_with_theirs(run_job, execute, query):
    run_job(DataAggregation, **WITH, **CURSOR)
    execute("CREATE TABLE more (extra int) INHERITS (totals)")
    execute("DELETE FROM sale WHERE region = 'uk'")

    execute("INSERT INTO more VALUES ('zz', 1, 2)")
    told = failed(run_job, DataAggregation, **WITH, **CURSOR)
    assert told.startswith("rows of more, which inherits from totals, would be deleted with")
    assert query(TOTALS) == [("eu", 1), ("uk", 3), ("us", 2), ("zz", 1)]

    execute("TRUNCATE more")
    assert numbers(run_job(DataAggregation, **WITH, **CURSOR)) == (0, 0, 0, 1)
    assert query(TOTALS) == [("eu", 1), ("us", 2)]


@pytest.mark.usefixtures("sales")
def test_vanished_groups_that_a_trigger_keeps_are_told(run_job, execute, query):
    run_job(DataAggregation, **WITH, **CURSOR)
    execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
    )
    execute("CREATE TRIGGER keep BEFORE DELETE ON totals FOR EACH ROW EXECUTE FUNCTION keep()")
    execute("DELETE FROM sale WHERE region = 'uk'; UPDATE sale SET amount = 9 WHERE id = 1")

    assert failed(run_job, DataAggregation, **WITH, **CURSOR) == (
        "totals kept groups that have vanished: a trigger or a rule keeps them. Remove it, or"
        " choose a table without one"
    )
    assert query(TOTALS) == [("eu", 1), ("uk", 3), ("us", 2)]
