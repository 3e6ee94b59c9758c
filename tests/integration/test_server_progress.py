"""Progress of the built-in jobs whose statements only PostgreSQL can count."""

import json
from contextlib import closing
from typing import Any

import pytest

from tests.integration.test_live_progress import project
from tests.support.processes import wait_until
from tests.support.servers import connect

pytestmark = pytest.mark.slow

# Indexes and a view that wait for a lock at one of their rows.
WAITS = (
    "CREATE FUNCTION waits(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
    " IF n = 2500 THEN PERFORM pg_advisory_xact_lock(77); END IF; RETURN n; END $$"
)
NO_LIMIT: dict[str, Any] = {"lock_timeout": "0s"}
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "index": ("RebuildIndex", {"table": "indexed", "concurrently": False, **NO_LIMIT}),
    "vacuum": ("VacuumTable", {"table": "dead", "analyze": False, "connection": "slow"}),
    "analyze": ("AnalyzeTable", {"table": "counted", **NO_LIMIT}),
    "copy": ("MirrorTable", {"source_connection": "there", "source_table": "v",
                             "target_table": "t", **NO_LIMIT}),
}  # fmt: skip
FILLED = "(n int, fill text) WITH (autovacuum_enabled = false)"
ROWS = "SELECT n, repeat('x', 900) FROM generate_series(1, 3000) AS s (n)"


def test_long_statements_say_how_much_the_server_has_done(tmp_path, database, redis_url, second):
    steps = [{"id": name, "job": job, "with": with_, "retry": {"limit": 0}}
             for name, (job, with_) in STEPS.items()]  # fmt: skip
    headrace = project(tmp_path, database, redis_url, steps)
    there = second.url.set(drivername="postgresql").render_as_string(hide_password=False)
    # Each page costs a pause.
    slow = f"{database}{'&' if '?' in database else '?'}options="
    slow += "-c%20vacuum_cost_delay%3D100%20-c%20vacuum_cost_limit%3D1"
    connections = {"there": {"url": there, "lock_timeout": "0s"}, "slow": slow}
    (tmp_path / "config.yaml").write_text(json.dumps({"connections": connections}))
    with (
        closing(connect(database)) as here, here.cursor() as cursor,
        closing(connect(there)) as away, away.cursor() as other,
    ):  # fmt: skip
        for name in ("indexed", "dead", "counted"):
            cursor.execute(f"CREATE TABLE {name} {FILLED}; INSERT INTO {name} {ROWS}")
        cursor.execute(f"DELETE FROM dead WHERE n % 2 = 0; {WAITS}")
        cursor.execute("CREATE INDEX ON indexed (waits(n)); CREATE INDEX ON counted (waits(n))")
        other.execute(f"{WAITS}; CREATE VIEW v AS SELECT waits(n) AS n, fill FROM"
                      f" ({ROWS}) AS r (n, fill)")  # fmt: skip
        cursor.execute("SELECT pg_advisory_lock(77)")
        other.execute("SELECT pg_advisory_lock(77)")
        found: dict[str, dict[str, Any]] = {}
        with headrace.started_worker("--processes", "4"):
            run = headrace("run", "p", "--detach").out.strip()

            def all_seen() -> bool:
                for job in headrace("show", run, "--json").json["jobs"]:
                    progress = job["progress"]
                    if progress and (progress["rows"] or progress["total"]):
                        found[job["step"]] = progress
                return found.keys() == STEPS.keys()

            wait_until(all_seen, limit_s=60, what="progress of all four jobs")
            cursor.execute("SELECT pg_advisory_unlock(77)")
            other.execute("SELECT pg_advisory_unlock(77)")
            cursor.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                           " WHERE query ~ '^VACUUM'")  # fmt: skip
            wait_until(
                lambda: headrace("show", run, "--json").json["finished_at"] is not None, limit_s=60
            )
            ended = {job["step"]: job for job in headrace("show", run, "--json").json["jobs"]}

    for name in ("index", "vacuum", "analyze"):
        one = found[name]
        assert (one["unit"], 0 < one["done"] <= one["total"]) == ("pages", True), (name, one)
        assert one["share"] is not None
    assert found["copy"]["unit"] == "bytes"
    assert 0 < found["copy"]["rows"] < 3000
    assert ended["copy"]["result"]["row_count"] == 3000
    assert [ended[name]["status"] for name in ("index", "analyze", "copy")] == ["completed"] * 3
