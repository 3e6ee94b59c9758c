"""The five jobs in three databases, as a user runs them: pipeline, daemon, worker."""

import json
from pathlib import Path

from tests.others.conftest import NAMES, Places
from tests.support.cli import Headrace


def steps_in(kind: str) -> list[dict[str, object]]:
    there = {"connection": kind}
    steps = [
        ("load", "LoadFile", {"path": "orders.csv", "table": "orders", "create": True,
                              "mode": "merge", "primary_key": ["id"], **there,
                              "infer_types": True}),
        ("sql", "RunSql", {"sql": "select id, amount * {{ params.factor }} as amount from orders",
                           "params": {"factor": 2}, "into": "doubled", **there}),
        ("check", "CheckData", {"table": "doubled", **there, "checks": [
            {"aggregate": {"column": "amount", "function": "sum", "must_be": 7}}]}),
        ("export", "ExportQuery", {"sql": "select id from doubled order by id",
                                   "path": f"{kind}.csv", **there}),
        ("here", "SyncTable", {"source_connection": kind, "source_table": "orders",
                               "target_table": f"from_{kind}", "primary_key": "id"}),
        ("back", "SyncTable", {"source_table": f"from_{kind}", "target_connection": kind,
                               "target_table": "again", "primary_key": "id"}),
    ]  # fmt: skip
    return [
        {"id": f"{kind}_{name}", "job": job, "with": with_, "retry": {"limit": 0}}
        | ({"depends_on": [f"{kind}_{steps[at - 1][0]}"]} if at else {})
        for at, (name, job, with_) in enumerate(steps)
    ]


def test_each_job_works_in_each_database(
    tmp_path: Path, database: str, redis_url: str, places: Places
):
    found = {kind: places(kind) for kind in NAMES}
    urls = {kind: place.url for kind, place in found.items()}
    # A path beside config.yaml.
    urls["sqlite"] = "sqlite:///shop.sqlite"
    (tmp_path / "config.yaml").write_text(json.dumps({"connections": urls}))
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "orders.csv").write_text("id,amount\n1,1.5\n2,2\n")
    steps = [step for kind in NAMES for step in steps_in(kind)]
    (tmp_path / "pipelines" / "p.yaml").write_text(json.dumps({"name": "p", "steps": steps}))
    environ = {"HEADRACE_HOME": str(tmp_path / "home"), "DATABASE_URL": database}
    headrace = Headrace(tmp_path, environ | {"REDIS_URL": redis_url})

    run = headrace("run", "p", "--json", timeout=150)

    assert run.code == 0, run.out + run.err
    for kind in NAMES:
        assert (tmp_path / "exports" / f"{kind}.csv").read_text() == "id\n1\n2\n"
        rows = found[kind].query("select id, amount from again order by id")
        assert [(key, float(amount)) for key, amount in rows] == [(1, 1.5), (2, 2.0)]


def test_the_guides_example_runs_as_it_is(tmp_path: Path, database: str, redis_url: str):
    guide = Path(__file__).parents[2] / "docs" / "guide" / "databases.md"
    _, _, whole = guide.read_text(encoding="utf-8").partition("A whole example that runs")
    config, pipeline = (block.partition("```")[0] for block in whole.split("```yaml\n")[1:3])
    (tmp_path / "config.yaml").write_text(config)
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "visits.yaml").write_text(pipeline)
    environ = {"HEADRACE_HOME": str(tmp_path / "home"), "DATABASE_URL": database}
    headrace = Headrace(tmp_path, environ | {"REDIS_URL": redis_url})

    run = headrace("run", "visits", timeout=100)

    assert run.code == 0, run.out + run.err
    report = (tmp_path / "exports" / "visits.csv").read_text()
    assert report == "page,seconds\nhelp,20\nstart,1.75\n"


def test_what_does_not_work_is_refused_before_it_runs(tmp_path: Path):
    (tmp_path / "config.yaml").write_text(
        json.dumps({"connections": {"app": "sqlite:///app.db", "shop": "mysql://x@h/shop"}})
    )
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "a.csv").write_text("id\n1\n")
    steps = [
        {"id": "a", "job": "VacuumTable", "with": {"table": "t", "connection": "app"}},
        {"id": "b", "job": "SyncTable",
         "with": {"source_table": "s", "target_table": "t", "primary_key": "id",
                  "target_connection": "shop", "delete_missing": "soft"}},
        {"id": "c", "job": "LoadFile",
         "with": {"path": "a.csv", "table": "t", "connection": "app", "new_files_only": True}},
        {"id": "d", "job": "CheckData",
         "with": {"table": "t", "connection": "app", "not_null": ["id"],
                  "store_failures": {"table": "f"}}},
        {"id": "e", "job": "RunSql", "with": {"sql": "select 1", "connection": "app"}},
    ]  # fmt: skip
    (tmp_path / "pipelines" / "p.yaml").write_text(json.dumps({"name": "p", "steps": steps}))

    said = Headrace(tmp_path, {"HEADRACE_HOME": str(tmp_path / "home")})("validate").out

    assert 'step "a": connection "app" is SQLite, and VacuumTable works in PostgreSQL only' in said
    assert "delete_missing: soft does not work in MySQL" in said
    assert "new_files_only does not work in SQLite" in said
    assert "store_failures works in PostgreSQL only" in said
    assert 'step "e"' not in said


def test_keys_that_are_for_postgresql_are_refused(tmp_path: Path):
    given = {"url": "duckdb:///x.duckdb", "role": "etl", "timezone": "UTC"}
    (tmp_path / "config.yaml").write_text(json.dumps({"connections": {"lake": given}}))
    (tmp_path / "pipelines").mkdir()
    done = Headrace(tmp_path, {"HEADRACE_HOME": str(tmp_path / "home")})("validate")
    assert done.code == 2
    assert "role is for PostgreSQL; the connection is DuckDB" in done.out + done.err
