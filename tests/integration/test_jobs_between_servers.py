"""MirrorTable and SyncTable between two servers of different major versions, both ways."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from headrace.errors import JobFailure
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.sync_table import SyncTable
from tests.support.attempts import JobRunner
from tests.support.generated_rows import TYPES, generated_rows, inserts

ROWS = 60


@pytest.fixture
def both(run_job, target, second):
    """Run jobs on both servers: `here` and `there`."""
    run_job.engines |= {"here": target, "there": second}
    return run_job


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        # Two servers with their own ways to write the same value: as text in one of them.
        connection.exec_driver_sql("SET datestyle = 'ISO'")
        connection.exec_driver_sql("SET intervalstyle = 'postgres'")
        connection.exec_driver_sql("SET timezone = 'UTC'")
        connection.exec_driver_sql("SET extra_float_digits = 3")
        return [tuple(row) for row in connection.execute(text(sql))]


def way(both: JobRunner, direction: str) -> tuple[Engine, Engine, dict[str, str]]:
    names = ["here", "there"] if direction == "out" else ["there", "here"]
    connections = dict(zip(("source_connection", "target_connection"), names, strict=True))
    return both.engines[names[0]], both.engines[names[1]], connections


@pytest.mark.generated
@pytest.mark.parametrize("direction", ["out", "in"])
def test_generated_rows_of_every_type_arrive_as_they_are(both, direction):
    source, target, where = way(both, direction)
    made = [f"CREATE {kind}" for kind in TYPES["own"]]
    columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES["columns"].items())
    for engine in (source, target):
        run(engine, "DROP SCHEMA IF EXISTS app CASCADE", "CREATE SCHEMA app", *made)
    run(source, f"CREATE TABLE app.source (key int PRIMARY KEY, {columns})")
    run(source, *inserts("app.source", generated_rows(ROWS)))
    as_text = ", ".join(f'"{name}"::text' for name in TYPES["columns"])
    wanted = rows(source, f"SELECT key, {as_text} FROM app.source ORDER BY key")
    assert len(wanted) == ROWS

    table = {"source_table": "app.source", **where}
    for _ in range(2):
        run_mirror = both(MirrorTable, **table, target_table="app.mirrored")
        assert run_mirror["row_count"] == ROWS
    run(target, "CREATE TABLE app.synced AS SELECT * FROM app.mirrored WHERE key % 3 > 0")
    run(target, "UPDATE app.synced AS s SET (c_json, c_point, c_numeric, c_interval, c_float) ="
        " (SELECT c_json, c_point, c_numeric, c_interval, c_float FROM app.mirrored AS m"
        " WHERE m.key = 1000 - s.key) WHERE key % 3 = 1")  # fmt: skip
    both(SyncTable, **table, target_table="app.synced", key="key")
    again = both(SyncTable, **table, target_table="app.synced", key="key", delete=True)

    assert (again["inserted"], again["updated"], again["deleted"]) == (0, 0, 0)
    for name in ("mirrored", "synced"):
        assert rows(target, f"SELECT key, {as_text} FROM app.{name} ORDER BY key") == wanted


@pytest.mark.parametrize(
    ("made", "kind", "told"),
    [
        ("TYPE app.mood AS ENUM ('sad')", "app.mood", "app.mood.*CREATE TYPE … AS ENUM"),
        ("DOMAIN app.posint AS int CHECK (value > 0)", "app.posint", "app.posint.*CREATE DOMAIN"),
        ("TYPE app.pair AS (a int, b int)", "app.pair[]", r"app.pair\[\].*CREATE TYPE"),
    ],
)
def test_a_type_that_the_target_lacks_is_named_with_the_remedy(both, made, kind, told):
    source, _, where = way(both, "out")
    run(source, "CREATE SCHEMA app", f"CREATE {made}", f"CREATE TABLE source (id int, c {kind})")

    with pytest.raises(JobFailure, match=rf"source\.c has the type {told}"):
        both(MirrorTable, source_table="source", target_table="t", **where)


def test_an_enum_goes_into_a_text_or_another_enum_by_its_label(both):
    source, target, where = way(both, "in")
    run(source, "CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE TABLE source (id int, m mood)")
    run(source, "INSERT INTO source VALUES (1, 'sad')")
    run(target, "CREATE SCHEMA x", "CREATE TYPE x.feeling AS ENUM ('ok', 'sad')")
    run(target, "CREATE TABLE a (id int, m text)", "CREATE TABLE b (id int, m x.feeling)")

    for name in ("a", "b"):
        both(MirrorTable, source_table="source", target_table=name, **where)
        both(SyncTable, source_table="source", target_table=name, key="id", **where)
        assert rows(target, f"SELECT m::text FROM {name}") == [("sad",)]


@pytest.mark.parametrize("direction", ["out", "in"])
def test_odd_names_are_quoted_everywhere(both, direction):
    source, target, where = way(both, direction)
    long = "x" * 63
    names = ["Order ID", "a-b", "v$x", "1st", "select", "GROSS", 'say "hi"', "a.b", "größe", long,
             "%s", ":p1", "it's", "{{ x }}"]  # fmt: skip
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    declared = ", ".join(f"{name} text DEFAULT '1'" for name in quoted)
    run(source, 'CREATE SCHEMA "My-Schema"', f'CREATE TABLE "My-Schema"."Order-Items" ({declared})')
    run(source, 'INSERT INTO "My-Schema"."Order-Items" DEFAULT VALUES')
    with_ = {"source_table": '"My-Schema"."Order-Items"', "target_table": '"New.Schema"."a""b"'}

    both(MirrorTable, **with_, **where)
    both(MirrorTable, **with_, columns=["Order ID", '"a-b"', 'say "hi"'], **where)
    run(source, 'UPDATE "My-Schema"."Order-Items" SET "a-b" = \'2\'')
    key = ["Order ID", '"a.b"']
    assert both(SyncTable, **with_, key=key, **where)["updated"] == 1
    run(source, 'UPDATE "My-Schema"."Order-Items" SET "a-b" = \'3\'')
    assert both(SyncTable, **with_, key="Order ID", columns=["Order ID", "a-b"], **where) == {
        "inserted": 0, "updated": 1, "deleted": 0, "table": '"New.Schema"."a""b"'
    }  # fmt: skip
    assert rows(target, 'SELECT "a-b", "1st", "{{ x }}" FROM "New.Schema"."a""b"') == [
        ("3", "1", "1")
    ]
