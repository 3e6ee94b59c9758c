"""MirrorTable with `jobs`: several connections, one snapshot, one publish; nothing is left."""

import itertools
from typing import Any

import pytest
from sqlalchemy import make_url

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.mirroring import crew
from headrace.jobs.transfer.source import pour
from tests.integration.test_jobs_between_servers import run
from tests.integration.test_mirror_several import CHANGES, SHOP, TABLES, content
from tests.support.attempts import engine_for
from tests.support.places import pgbouncer

ROWS = 5000
WITH: dict[str, Any] = {
    "tables": ["shop.*"],
    "source_connection": "there",
    "jobs": 3,
    "split_tables_larger_than": "100kB",
    "verify": "checksum",
}
# Partitions have the same ctids, and their columns in another order.
PARTED = f"""
CREATE TABLE shop.parted (id int, kind text, note text) PARTITION BY LIST (kind);
CREATE TABLE shop.parted_a (note text, kind text, id int);
ALTER TABLE shop.parted ATTACH PARTITION shop.parted_a FOR VALUES IN ('a');
CREATE TABLE shop.parted_rest PARTITION OF shop.parted DEFAULT;
INSERT INTO shop.parted SELECT n, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, repeat('x', 60)
  FROM generate_series(1, {ROWS}) AS n;
"""
LEFT = "SELECT relname FROM pg_class WHERE relnamespace = 'headrace'::regnamespace"
ALL = (*TABLES, "shop.parted")


@pytest.fixture
def there(run_job, second, execute):
    run_job.engines["there"] = second
    run(second, SHOP, PARTED)
    execute("CREATE SCHEMA headrace")
    return second


def test_large_tables_and_partitions_are_read_in_parts_and_every_row_arrives_once(
    run_job, there, target, query, caplog
):
    caplog.set_level("INFO")
    result = run_job(MirrorTable, **WITH, where={"parted": "parted.id > 10"})

    assert result["tables"]["shop.parted"] == ROWS - 10
    assert "on 3 connections" in caplog.text
    assert query("SELECT count(DISTINCT id) FROM shop.parted") == [(ROWS - 10,)]
    assert content(target) == content(there)
    assert query("SELECT relpersistence::text, count(*) FROM pg_class WHERE relkind = 'r' AND"
                 " relnamespace = 'shop'::regnamespace GROUP BY 1") == [("p", 5)]  # fmt: skip
    assert query(LEFT) == []


def test_tables_that_are_there_keep_what_they_are_and_get_the_new_rows(
    run_job, there, target, query
):
    run(target, SHOP, PARTED, "ALTER TABLE shop.parted ALTER COLUMN id TYPE bigint",
        "DELETE FROM shop.parted WHERE id < 4000")  # fmt: skip
    run(there, CHANGES, "UPDATE shop.parted SET note = 'new' WHERE id % 7 = 0")

    run_job(MirrorTable, **WITH)

    assert content(target, ALL) == content(there, ALL)
    assert query(LEFT) == []


def test_all_connections_see_one_snapshot(run_job, there, target, monkeypatch):
    wanted = content(there, ALL)

    def poured(*given: Any) -> int:
        count = pour(*given)
        run(there, "DELETE FROM shop.line WHERE id = (SELECT min(id) FROM shop.line)",
            "UPDATE shop.parted SET note = 'torn'")  # fmt: skip
        return count

    monkeypatch.setattr("headrace.jobs.mirroring.parallel_reading.pour", poured)
    run_job(MirrorTable, **WITH)

    assert content(target, ALL) == wanted


def test_a_part_that_fails_fails_the_job_and_leaves_neither_tables_nor_staging(
    run_job, there, query
):
    run(there, "UPDATE shop.parted SET note = '0' WHERE id = 4999")
    with pytest.raises(Exception, match="division by zero"):
        run_job(MirrorTable, **WITH, where={"parted": "1 / (length(note) - 1) >= 0"})

    assert query("SELECT to_regnamespace('shop')::text") == [(None,)]
    assert query(LEFT) == []


def test_one_connection_that_fails_fails_the_job_though_the_others_read_on(
    run_job, there, query, monkeypatch
):
    parts = itertools.count()
    # Whoever waits for the others to open is woken: it does not wait this long.
    monkeypatch.setattr(crew, "_PATIENCE_S", 3600.0)

    def poured(*given: Any) -> int:
        if next(parts) == 1:
            raise JobFailure("the line is cut")
        return pour(*given)

    monkeypatch.setattr("headrace.jobs.mirroring.parallel_reading.pour", poured)
    with pytest.raises(JobFailure, match="the line is cut"):
        run_job(MirrorTable, **{**WITH, "verify": "none"})

    assert query("SELECT to_regnamespace('shop')::text") == [(None,)]
    assert query(LEFT) == []


def test_what_fails_after_reading_leaves_no_staging_either(run_job, there, query):
    with pytest.raises(JobFailure, match="line_order_fkey"):
        run_job(MirrorTable, **WITH, where={"Order": "false"})

    assert query(LEFT) == []


def test_one_table_in_parts_is_told_by_its_name(run_job, there, query):
    given = {name: WITH[name] for name in ("source_connection", "jobs", "split_tables_larger_than")}
    result = run_job(MirrorTable, source_table="shop.parted", target_table="parted", **given)

    assert result == {"row_count": ROWS, "table": "parted"}
    assert query("SELECT count(DISTINCT id) FROM parted") == [(ROWS,)]


@pytest.mark.parametrize(
    "given", [WITH, {"source_connection": "there", "source_table": "shop.parted",
                     "target_table": "parted"}], ids=["jobs", "one table"],
)  # fmt: skip
def test_staging_of_a_job_that_was_killed_is_dropped_by_the_next_one(run_job, there, query, given):
    dead, alive = "mirror_" + "0" * 32, "mirror_" + "1" * 32
    run(run_job.engines[None], f"CREATE TABLE headrace.{dead}_1 ()",
        f"CREATE TABLE headrace.{alive}_1 ()")  # fmt: skip
    with run_job.engines[None].begin() as other:
        # As an attempt does that still runs.
        other.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended("
                              f"'headrace:headrace.{alive}', 0))")  # fmt: skip
        run_job(MirrorTable, **given)

    assert query(LEFT) == [(f"{alive}_1",)]


def test_a_pool_with_fewer_connections_is_told_and_not_waited_for_for_ever(
    run_job, there, second_server_of_another_major, monkeypatch
):
    monkeypatch.setattr(crew, "_PATIENCE_S", 3.0)
    server = second_server_of_another_major
    with pgbouncer(server, pool_size=3) as port:
        direct = make_url(server.url_for("other", "etl"))
        pooled = direct.set(host="127.0.0.1", port=port)
        run_job.engines["pooled"] = engine_for(pooled.render_as_string(hide_password=False))
        with pytest.raises(JobFailure, match=r"jobs: 3 needs 3 connections.*a pooler in between"):
            run_job(MirrorTable, **WITH | {"source_connection": "pooled"})


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({"jobs": 0}, "from 1 to 16"),
        ({"jobs": 17}, "from 1 to 16"),
        ({"split_tables_larger_than": "2GB"}, "needs jobs"),
        ({"jobs": 2, "split_tables_larger_than": "large"}, "is a size such as"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(with_, told):
    with pytest.raises(InvalidPayload, match=told):
        MirrorTable(tables=["a.*"], **with_)
