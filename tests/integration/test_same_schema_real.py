"""Two steps that make one new schema, or one new table, at the same time: by two workers."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.matrix.conftest import project, wait_ready
from tests.support.servers import embedded_servers
from tests.support.up import Up, jobs_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# Each step waits until the other one is there, so that two workers have one each. A sequence counts
# them: what has come stays counted, although the other one's transaction is over by then.
_MEET = """
create function meet(place text) returns integer language plpgsql as $$
declare come bigint;
begin
  perform nextval(place::regclass);
  loop
    execute format('select last_value from %s', place::regclass) into come;
    exit when come >= 2;
    perform pg_sleep(0.02);
  end loop;
  return 1;
end $$
"""


def steps_of(schema: str, *, one_table: bool) -> list[dict[str, Any]]:
    """Return two steps that look for the schema in vain, and two that make it at once."""
    looks = f"select to_regnamespace('{schema}'), meet('public.{schema}_looks')"
    made = [f"{schema}.t", f"{schema}.t"] if one_table else [f"{schema}.t0", f"{schema}.t1"]
    steps: list[dict[str, Any]] = [
        {"id": f"look{n}", "job": "RunSql", "with": {"sql": looks}} for n in range(2)
    ]
    for n, into in enumerate(made):
        with_ = {"sql": f"select 7 as a, meet('public.{schema}_makes') as m", "into": into}
        steps.append(
            {"id": f"make{n}", "job": "RunSql", "depends_on": ["look0", "look1"], "with": with_}
        )
    return [{**step, "retry": {"limit": 0}} for step in steps]


def test_two_workers_make_the_same_new_schema_and_the_same_new_table(tmp_path: Path) -> None:
    headrace = project(tmp_path)
    # So that no worker claims both steps of a pair for one commit.
    (tmp_path / "config.yaml").write_text("jobs_per_commit: 1\n")
    schemas = {f"fresh{n}": n % 2 == 1 for n in range(6)}
    for schema, one_table in schemas.items():
        pipeline = {"name": schema, "steps": steps_of(schema, one_table=one_table)}
        (tmp_path / "pipelines" / f"{schema}.yaml").write_text(json.dumps(pipeline))
    with embedded_servers(tmp_path / "home") as own:
        up = Up(headrace, own.database_url)
        up.query(_MEET)
        for schema in schemas:
            up.query(f"create sequence {schema}_looks; create sequence {schema}_makes")
        with headrace.started("up", "--workers", "2") as running:
            wait_ready(up.http, running)
            for schema, one_table in schemas.items():
                run = up.run(schema)
                jobs = jobs_of(run)
                assert run["status"] == "completed", [job["error"] for job in jobs.values()]
                pairs = (("look0", "look1"), ("make0", "make1"))
                for one, other in pairs:
                    assert jobs[one]["worker"] != jobs[other]["worker"]
                tables = [f"{schema}.t"] if one_table else [f"{schema}.t0", f"{schema}.t1"]
                for table in tables:
                    assert up.query(f"select a from {table}") == [(7,)]
            running.stop()
