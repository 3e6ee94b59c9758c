"""Batches of an archive: each whole, by the active attempt, and gone on with after a stop."""

import pytest
from sqlalchemy import text

from headrace.errors import StaleAttempt
from headrace.model.connection import NamedConnection
from tests.connections.conftest import Working, query
from tests.support.by_hand import ByHand
from tests.support.places import Server, run_as_owner

ORDERS = """
CREATE TABLE orders (id int PRIMARY KEY, at date);
INSERT INTO orders SELECT n, date '2025-01-01' + n FROM generate_series(1, 7) n;
CREATE TABLE archived (LIKE orders);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW.id = 5 THEN RAISE 'the fifth is refused'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON archived FOR EACH ROW EXECUTE FUNCTION refuse();
"""
WITH = {"table": "orders", "into": "archived", "column": "at", "before": "2026-01-01",
        "batch_size": 2}  # fmt: skip


def archived(hand: ByHand, job: str | None = None, **with_: object) -> dict[str, object]:
    if job is None:
        job = hand.headrace.dispatcher.dispatch("ArchiveRows", {**WITH, **with_}, retry=0)
    else:
        hand.headrace.interventions.retry_job(job)
    hand.work()
    row = hand.headrace.database.row("job", id=job)
    assert row is not None
    return dict(row)


@pytest.mark.parametrize("where", ["control", "named"])
def test_a_stopped_archive_keeps_its_batches_and_a_retry_goes_on_after_them(
    working: Working, debian: Server, place: str, database: str, where: str
):
    url = database if where == "control" else debian.url_for(place, "etl")
    given = {} if where == "control" else {"connection": "there"}
    run_as_owner(url, ORDERS)
    hand = working(there=debian.url_for(place, "etl"))

    row = archived(hand, **given)
    assert row["status"] == "failed"
    assert "the fifth is refused" in str(row["error"])
    assert query(url, "select array_agg(id order by id) from archived") == [([1, 2, 3, 4],)]
    assert query(url, "select array_agg(id order by id) from orders") == [([5, 6, 7],)]

    run_as_owner(url, "DROP TRIGGER refuse ON archived")
    row = archived(hand, str(row["id"]))
    assert row["status"] == "completed", row["error"]
    assert row["result"]["row_count"] == 3  # type: ignore[index]
    assert query(url, "select count(*) from archived") == [(7,)]
    assert query(url, "select count(*) from orders") == [(0,)]


def test_rows_that_reached_the_other_database_are_not_there_twice_after_a_stop(
    working: Working, debian: Server, place: str, database: str
):
    """The archive's part is committed, the source's is not: the moment between the two commits."""
    run_as_owner(
        database,
        "CREATE TABLE orders (id int PRIMARY KEY, at date)",
        "INSERT INTO orders SELECT n, date '2025-01-01' + n FROM generate_series(1, 7) n",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF OLD.id = 5 THEN RAISE 'the fifth is kept'; END IF; RETURN OLD; END $$",
        "CREATE TRIGGER refuse BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    there = debian.url_for(place, "etl")
    hand = working(there=there)

    row = archived(hand, target_connection="there")
    assert "the fifth is kept" in str(row["error"])
    assert query(there, "select count(*) from archived") == [(6,)]
    assert query(database, "select array_agg(id order by id) from orders") == [([5, 6, 7],)]

    run_as_owner(
        database,
        "DROP TRIGGER refuse ON orders",
        "UPDATE orders SET at = at - 100 WHERE id = 6",
    )
    row = archived(hand, str(row["id"]))
    assert row["status"] == "completed", row["error"]
    assert query(there, "select count(*), count(distinct id) from archived") == [(7, 7)]
    assert query(there, "select at::text from archived where id = 6") == [("2024-09-29",)]
    assert query(database, "select count(*) from orders") == [(0,)]


@pytest.mark.parametrize("connection", [None, "there"])
def test_an_attempt_that_is_over_commits_no_batch(
    working: Working, debian: Server, place: str, database: str, connection: str | None
):
    there = debian.url_for(place, "etl")
    hand = working(there=NamedConnection(there))
    job = hand.headrace.dispatcher.dispatch("RunSql", {"sql": "select 1"})
    executor = hand.executor
    claimed = executor.store.claim(job, 0)
    assert claimed is not None
    executor.sessions.begin(claimed.id, claimed.attempt)

    def late() -> None:
        with executor.sessions.batch("batch 1", connection) as session:
            assert session is not None
            session.execute(text("create table late (n int)"))
            ended = f"update headrace.job set attempt = attempt + 1 where id = '{job}'"
            query(database, f"{ended} returning 1")

    with pytest.raises(StaleAttempt):
        late()

    url = database if connection is None else there
    assert query(url, "select to_regclass('late')::text") == [(None,)]


def test_rows_that_others_hold_are_left_and_counted(working: Working, database: str):
    import psycopg2

    run_as_owner(database, ORDERS, "DROP TRIGGER refuse ON archived")
    hand = working()
    holder = psycopg2.connect(database)
    holder.cursor().execute("SELECT FROM orders WHERE id = 1 FOR UPDATE")

    row = archived(hand, lock_wait="0.1s")

    holder.close()
    assert row["status"] == "completed", row["error"]
    assert row["result"]["left"] == 1  # type: ignore[index]
    assert query(database, "select id from orders") == [(1,)]


def test_rows_that_the_other_database_changes_are_not_deleted(
    working: Working, debian: Server, place: str, database: str
):
    run_as_owner(
        database,
        "CREATE TABLE orders (id int PRIMARY KEY, at timestamptz, x float8, span interval)",
        "INSERT INTO orders SELECT n, timestamptz '2025-01-01 10:00+01', n / 3.0, '1 day 2 hours'"
        " FROM generate_series(1, 4) n",
    )
    there = debian.url_for(place, "etl")
    debian.execute(f"ALTER DATABASE {place} SET timezone = 'Asia/Kolkata'")
    debian.execute(f"ALTER DATABASE {place} SET datestyle = 'German, DMY'")
    run_as_owner(
        there,
        "CREATE TABLE archived (id int PRIMARY KEY, at timestamptz, x float8, span interval)",
        "CREATE FUNCTION alter_() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.id > 2 THEN NEW.x := 0; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER alter_ BEFORE INSERT ON archived FOR EACH ROW EXECUTE FUNCTION alter_()",
    )
    hand = working(there=there)
    given = {"target_connection": "there", "verify": "checksum"}

    row = archived(hand, **given)
    assert "the checksum of the rows in archived" in str(row["error"])
    assert query(database, "select array_agg(id order by id) from orders") == [([3, 4],)]
    assert query(there, "select array_agg(id order by id) from archived") == [([1, 2],)]

    run_as_owner(there, "DROP TRIGGER alter_ ON archived")
    row = archived(hand, str(row["id"]))
    assert row["status"] == "completed", row["error"]
    assert query(database, "select count(*) from orders") == [(0,)]
    assert query(there, "select count(*) from archived where x > 0") == [(4,)]
