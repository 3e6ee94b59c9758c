"""Files as a user meets them: pipelines, config.yaml, `headrace run`, a worker, a real server."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Done, Headrace
from tests.support.processes import deadline
from tests.support.servers import connect

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def query(database: str) -> Callable[[str], list[tuple[Any, ...]]]:
    def query(sql: str) -> list[tuple[Any, ...]]:
        connection = connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    return query


@pytest.fixture
def project(database: str, redis_url: str, tmp_path: Path) -> Headrace:
    """A project whose pipelines lie somewhere else altogether."""
    folder, pipelines = tmp_path / "project", tmp_path / "elsewhere" / "flows"
    folder.mkdir()
    (pipelines / "team" / "sql").mkdir(parents=True)
    (folder / "config.yaml").write_text("retry: {limit: 0}\n")
    environ = {
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "HEADRACE_HOME": str(tmp_path / "home"),
        "HEADRACE_PIPELINES": str(pipelines),
    }
    return Headrace(folder, environ)


def pipelines_of(project: Headrace) -> Path:
    return Path(project.environ["HEADRACE_PIPELINES"])


def run(project: Headrace, name: str, *, code: int = 0) -> Done:
    done = project("run", name, timeout=120)
    assert done.code == code, done.out + done.err
    return done


def test_the_readmes_pipeline_runs_word_for_word(project, query):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (pipeline,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    pipelines = pipelines_of(project)
    (pipelines / "hourly.yaml").write_text(pipeline)
    (pipelines / "data").mkdir()
    (pipelines / "data" / "orders.csv").write_text("region,amount\neu,1.50\neu,2.25\nus,7\n")

    for _ in range(2):
        run(project, "hourly_totals")
        assert query("SELECT region, total FROM mart.totals ORDER BY region") == [
            ("eu", 3.75), ("us", 7),
        ]  # fmt: skip
        assert query("SELECT count(*) FROM staging.orders") == [(0,)]


def test_a_step_reads_by_the_same_path_what_an_earlier_one_wrote(project, query):
    pipelines = pipelines_of(project)
    (pipelines / "team" / "sql" / "q.sql").write_text(
        "\ufeffSELECT n, n / 7.0 AS r, ARRAY[n, NULL] AS a, date '2026-02-03' + n AS d"
        " FROM generate_series(1, 5) n"
    )
    steps = "".join(
        f"""
  - id: out_{form}
    job: ExportQuery
    with: {{path: "out/x.{form}.gz", sql_path: q.sql, format: {form}}}
  - id: in_{form}
    job: LoadFile
    depends_on: [out_{form}]
    with:
      path: "out/x.{form}.gz"
      table: copy_{form}
      format: {form}
      create: true
      mode: replace
      columns: {{n: integer, r: numeric, a: "integer[]", d: date}}
"""
        for form in ("csv", "jsonl")
    )
    (pipelines / "team" / "files.yaml").write_text(f"name: files\nsteps:{steps}")

    assert project("validate").code == 0
    for _ in range(2):
        run(project, "files")
    sql = (pipelines / "team" / "sql" / "q.sql").read_text(encoding="utf-8-sig")
    expected = query(f"SELECT q::text FROM ({sql}) q ORDER BY n")
    for form in ("csv", "jsonl"):
        assert query(f"SELECT t::text FROM copy_{form} t ORDER BY n") == expected
    written = sorted(path.name for path in (pipelines.parent / "exports" / "out").iterdir())
    assert written == ["x.csv.gz", "x.jsonl.gz"]


@pytest.mark.parametrize(
    "path", ["../flows/p.yaml", "../../project/config.yaml", "../../project/jobs/evil.py"]
)
def test_no_job_writes_code_pipelines_or_settings(project, query, path):
    (project.folder / "jobs").mkdir()
    settings = (project.folder / "config.yaml").read_text()
    (pipelines_of(project) / "p.yaml").write_text(
        f"name: attack\nsteps:\n  - id: a\n    job: ExportQuery\n"
        f"    with: {{path: '{path}', sql: \"select 'print(1)' as code\"}}\n"
    )
    before = (pipelines_of(project) / "p.yaml").read_text()

    done = run(project, "attack", code=1)

    assert "leaves the output folders" in done.out + done.err
    assert (pipelines_of(project) / "p.yaml").read_text() == before
    assert (project.folder / "config.yaml").read_text() == settings
    assert list((project.folder / "jobs").glob("evil*")) == []


def test_what_lies_beside_the_pipelines_folder_is_refused_with_the_rule(project):
    beside = pipelines_of(project).parent / "data"
    beside.mkdir()
    (beside / "x.csv").write_text("a\n1\n")
    (pipelines_of(project) / "p.yaml").write_text(
        "name: p\nsteps:\n  - id: a\n    job: LoadFile\n"
        "    with: {path: ../data/x.csv, table: t, create: true}\n"
    )

    done = run(project, "p", code=1)

    assert "never leaves them" in done.out + done.err


def test_what_a_killed_export_leaves_is_removed_by_prune(project, query):
    pipelines = pipelines_of(project)
    (pipelines / "p.yaml").write_text(
        "name: p\nsteps:\n  - id: a\n    job: ExportQuery\n"
        "    with:\n      path: big.csv\n"
        "      sql: select n, pg_sleep(0.01)::text as s, repeat('x', 9000) as x"
        " from generate_series(1, 100000) n\n"
    )
    exports = pipelines.parent / "exports"
    with project.started("up", "--no-web", "--workers", "1"):
        assert project("run", "p", "--detach").code == 0
        limit = deadline(60)
        while not list(exports.glob(".big.csv.*.part")) and time.monotonic() < limit:
            time.sleep(0.2)
        (left,) = exports.glob(".big.csv.*.part")
        ((run_id,),) = query("SELECT id::text FROM headrace.run")
        assert project("cancel", run_id).code == 0
        while query("SELECT 1 FROM headrace.job WHERE status = 'started'"):
            assert time.monotonic() < limit + 30
            time.sleep(0.2)
    assert not (exports / "big.csv").exists()
    left.touch()  # Whether or not the attempt itself could tidy up.
    (exports / ".another.6f1f0d3e-0000-4000-8000-000000000009.1.part").touch()

    done = project("prune", "--older-than", "1d", "--json")

    assert done.json["partial_files"] == 1
    assert [path.name for path in exports.iterdir()] == [
        ".another.6f1f0d3e-0000-4000-8000-000000000009.1.part"
    ]


def test_a_zone_less_time_is_stored_as_psql_stores_it_in_that_database(project, query, database):
    name = query("SELECT current_database()")[0][0]
    query("SELECT 1")
    connection = connect(database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE \"{name}\" SET timezone = 'Europe/Berlin'")
    connection.close()
    (pipelines_of(project) / "in.csv").write_text("at\n2026-07-01 00:30\n")
    (project.folder / "config.yaml").write_text(
        f"retry: {{limit: 0}}\nconnections: {{own: '{database}'}}\n"
    )
    (pipelines_of(project) / "p.yaml").write_text(
        "name: p\nsteps:\n  - id: a\n    job: LoadFile\n    with:\n      path: in.csv\n"
        "      connection: own\n      table: t\n      create: true\n"
        "      columns: {at: timestamptz}\n"
    )

    run(project, "p")

    assert query("SELECT at AT TIME ZONE 'UTC' = '2026-06-30 22:30' FROM t") == [(True,)]
