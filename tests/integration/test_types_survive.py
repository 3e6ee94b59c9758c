"""Values of every type survive every way out and in, between servers of three versions."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from headrace.jobs.export_query import ExportQuery
from headrace.jobs.load_file import LoadFile
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.sync_table import SyncTable
from tests.support.attempts import JobRunner, engine_for
from tests.support.generated_rows import TYPES, generated_rows, inserts
from tests.support.places import PASSWORD, NotInstalled, second_server, wheel_programs

ROWS = 60
AS_TEXT = ", ".join(f'"{name}"::text' for name in TYPES["columns"])
# Types of which no table of a user's has a column: PostgreSQL itself cannot read their values.
UNREADABLE = {"pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list",
              "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "gtsvector"}  # fmt: skip
# What names a role of the server that it is on; and what the embedded server is built without:
# `test_xml_arrives_equal` takes the others.
OF_ONE_SERVER = {"aclitem"}
NOT_BUILT = {"xml"}


@pytest.fixture(scope="module")
def wheel() -> Iterator[Engine]:
    try:
        with second_server(wheel_programs()) as server:
            server.execute(f"CREATE ROLE etl LOGIN PASSWORD '{PASSWORD}'")
            server.execute("CREATE DATABASE o OWNER etl")
            engine = engine_for(server.url_for("o", "etl"))
            yield engine
            engine.dispose()
    except NotInstalled as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def texts(engine: Engine, query: str) -> dict[int, dict[str, str | None]]:
    """Return each row's values as texts, written alike by every server."""
    with engine.connect() as connection:
        for setting in ("datestyle = 'ISO'", "intervalstyle = 'postgres'", "timezone = 'UTC'",
                        "extra_float_digits = 3"):  # fmt: skip
            connection.exec_driver_sql(f"SET {setting}")
        found = connection.execute(text(query)).mappings()
        return {row["key"]: {name: row[name] for name in row if name != "key"} for row in found}


def prepare(engine: Engine) -> None:
    run(engine, "DROP SCHEMA IF EXISTS app CASCADE", "CREATE SCHEMA app",
        *(f"CREATE {kind}" for kind in TYPES["own"]))  # fmt: skip


def make_table(engine: Engine, name: str) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in TYPES["columns"].items())
    run(engine, f"CREATE TABLE app.{name} (key int PRIMARY KEY, {columns})")


def test_every_built_in_type_is_among_those_that_are_tried(target: Engine) -> None:
    prepare(target)
    make_table(target, "all_types")
    with target.connect() as connection:
        tried = connection.execute(text(
            "SELECT t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
            " WHERE a.attrelid = 'app.all_types'::regclass AND a.attnum > 0"
        )).scalars()  # fmt: skip
        built_in = connection.execute(text(
            "SELECT typname FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace"
            " AND typtype IN ('b', 'r', 'm', 'd', 'e') AND typcategory <> 'A'"
        )).scalars()  # fmt: skip
        assert set(built_in) - set(tried) == UNREADABLE | OF_ONE_SERVER | NOT_BUILT


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.generated
@pytest.mark.parametrize("way", ["18 to 15", "15 to 17", "17 to 18"])
def test_generated_rows_of_every_type_arrive_equal_by_file_mirror_and_sync(
    way: str, target: Engine, second: Engine, wheel: Engine, tmp_path: Path
) -> None:
    servers = {"18": target, "15": second, "17": wheel}
    there, _, here = way.partition(" to ")
    source, own = servers[there], servers[here]
    run_job = JobRunner({None: own, "there": source}, search_path=(tmp_path,), project=tmp_path)
    for engine in (source, own):
        prepare(engine)
    make_table(source, "source")
    run(source, *inserts("app.source", generated_rows(ROWS)))
    wanted = texts(source, f"SELECT key, {AS_TEXT} FROM app.source".replace(":", "\\:"))

    def check(table: str, expected: dict[int, dict[str, str | None]] = wanted) -> None:
        found = texts(own, f"SELECT key, {AS_TEXT} FROM app.{table}".replace(":", "\\:"))
        assert len(found) == ROWS
        for column in TYPES["columns"]:
            assert {key: row[column] for key, row in found.items()} == {
                key: row[column] for key, row in expected.items()
            }, (way, table, column)

    for format_ in ("csv", "jsonl", "parquet"):
        make_table(own, format_)
        with_: dict[str, Any] = {"path": f"x.{format_}", "format": format_}
        run_job(ExportQuery, sql=query_for(format_), connection="there", **with_)
        assert run_job(LoadFile, table=f"app.{format_}", **with_)["row_count"] == ROWS
        check(format_, without_json_null(wanted) if format_ == "jsonl" else wanted)
    copy = {"source_table": "app.source", "source_connection": "there", "target_connection": None}
    for job, table, more in (
        (MirrorTable, "mirrored", {}),
        (SyncTable, "synced", {"primary_key": "key"}),
    ):
        run_job(job, **copy, target_table=f"app.{table}", **more)
        check(table)
    again = run_job(SyncTable, **copy, target_table="app.synced", primary_key="key")
    assert (again["inserted"], again["updated"]) == (0, 0), way


def test_xml_arrives_equal(second: Engine, wheel: Engine, tmp_path: Path) -> None:
    run_job = JobRunner({None: wheel, "there": second}, search_path=(tmp_path,), project=tmp_path)
    for engine in (second, wheel):
        prepare(engine)
    run(second, "CREATE TABLE app.source (key int PRIMARY KEY, doc xml)",
        """INSERT INTO app.source VALUES (1, '<?xml version="1.0"?><a b="ö">1 &lt; 2</a>'),
           (2, 'text, <b/> and "quotes"'), (3, NULL), (4, ''),
           (5, E'<a>\n\\\\N</a>')""")  # fmt: skip
    # As PostgreSQL writes it: without a declaration that says version 1.0 and no more.
    wanted = "SELECT key, doc FROM app."
    copy = {"source_table": "app.source", "source_connection": "there", "target_connection": None}

    run_job(MirrorTable, **copy, target_table="app.mirrored")
    run_job(SyncTable, **copy, target_table="app.synced", primary_key="key")
    again = run_job(SyncTable, **copy, target_table="app.synced", primary_key="key")

    assert (again["inserted"], again["updated"]) == (0, 0)
    tables = ["mirrored", "synced"]
    for format_ in ("csv", "jsonl", "parquet"):
        run(wheel, f"CREATE TABLE app.{format_} (key int, doc xml)")
        with_: dict[str, Any] = {"path": f"x.{format_}", "format": format_}
        run_job(ExportQuery, sql="SELECT * FROM app.source", connection="there", **with_)
        run_job(LoadFile, table=f"app.{format_}", **with_)
        tables.append(format_)
    for table in tables:
        assert texts(wheel, wanted + table) == texts(second, f"{wanted}source"), table


def query_for(format_: str) -> str:
    """Return the query of an export; JSON Lines cannot tell JSON's null from NULL, and refuse."""
    if format_ != "jsonl":
        return "SELECT * FROM app.source"
    columns = [
        f'nullif("{name}"::text, \'null\')::{kind} AS "{name}"'
        if kind in ("json", "jsonb")
        else name
        for name, kind in TYPES["columns"].items()
    ]
    return f"SELECT key, {', '.join(columns)} FROM app.source"


def without_json_null(
    rows: dict[int, dict[str, str | None]],
) -> dict[int, dict[str, str | None]]:
    json_columns = [name for name, kind in TYPES["columns"].items() if kind in ("json", "jsonb")]
    return {
        key: row | {name: None for name in json_columns if row[name] == "null"}
        for key, row in rows.items()
    }
