"""Targets that keep what a job replaces: by triggers, rules and tables that inherit from them."""

import pytest

from headrace.errors import JobFailure
from tests.integration.test_jobs_targets import JOBS, SOURCE

KEEP = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"


@pytest.mark.parametrize(
    "keeps",
    [
        "CREATE TRIGGER keep BEFORE DELETE ON target FOR EACH ROW EXECUTE FUNCTION keep()",
        "CREATE RULE keep AS ON DELETE TO target DO INSTEAD UPDATE target SET id = -1",
    ],
)
@pytest.mark.parametrize("kind", ["mirror", "into"])
def test_a_row_that_cannot_be_deleted_fails_what_replaces_a_table(
    run_job, execute, query, kind, keeps
):
    execute(SOURCE)
    execute("CREATE TABLE target (id int, name text, amount numeric)")
    execute("INSERT INTO target VALUES (1, 'old')")
    execute(KEEP)
    execute(keeps)
    job, with_ = JOBS[kind]

    with pytest.raises(JobFailure, match="target kept rows that should be deleted: a trigger"):
        run_job(job, **with_)

    assert query("SELECT id, name FROM target") == [(1, "old")]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("DELETE", "target kept rows that should be deleted"),
        ("UPDATE", "target did not change 1 of the rows: a trigger discards their new values"),
    ],
)
def test_a_row_that_a_trigger_keeps_as_it_is_fails_what_writes_by_key(
    run_job, execute, query, event, said
):
    execute(SOURCE)
    execute("CREATE TABLE target (id int, name text, amount numeric)")
    execute("INSERT INTO target VALUES (1, 'old', 1), (5, 'differs', 1.5)")
    execute(KEEP)
    execute(f"CREATE TRIGGER keep BEFORE {event} ON target"
            " FOR EACH ROW EXECUTE FUNCTION keep()")  # fmt: skip
    job, with_ = JOBS["sync"]

    with pytest.raises(JobFailure, match=said):
        run_job(job, **with_)

    assert query("SELECT count(*) FROM target") == [(2,)]


def test_a_trigger_that_changes_what_is_written_is_left_to_it(run_job, execute, query):
    execute(SOURCE)
    execute("CREATE TABLE target (id int, name text, amount numeric)")
    execute("INSERT INTO target VALUES (5, 'old')")
    execute("CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END'")  # fmt: skip
    execute("CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON target"
            " FOR EACH ROW EXECUTE FUNCTION shout()")  # fmt: skip
    job, with_ = JOBS["sync"]

    run_job(job, **with_)

    assert query("SELECT name FROM target ORDER BY id") == [("A",), ("B",)]


@pytest.mark.parametrize("kind", ["mirror", "sync", "into"])
def test_rows_of_tables_that_inherit_from_the_target_are_not_deleted(run_job, execute, query, kind):
    execute(SOURCE)
    execute("CREATE TABLE target (id int, name text, amount numeric)")
    execute("CREATE TABLE heir (more text) INHERITS (target)")
    execute("INSERT INTO target VALUES (1, 'old')")
    job, with_ = JOBS[kind]
    run_job(job, **with_)
    execute("INSERT INTO heir VALUES (9, 'own', 1, 'precious')")

    with pytest.raises(JobFailure, match="rows of heir, which inherits from target, would be del"):
        run_job(job, **with_)

    assert query("SELECT more FROM heir") == [("precious",)]
    assert query("SELECT id FROM ONLY target ORDER BY id") == [(5,), (7,)]
