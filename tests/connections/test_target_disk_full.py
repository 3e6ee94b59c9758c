"""A target whose disk is full: each write says so, and leaves the target as it was."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Headrace
from tests.support.disks import small_disk
from tests.support.places import Server, give, run_as_owner
from tests.support.servers import connect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# Each needs more than the disk has, whatever the others have taken of it.
_ROWS = "SELECT g AS id, repeat('x', 1000) AS pad FROM generate_series(1, 6000) AS g"
_JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "load": ("LoadFile", {"path": "big.csv", "table": "load", "connection": "there"}),
    "replace": (
        "LoadFile",
        {"path": "big.csv", "table": "replace", "mode": "replace", "connection": "there"},
    ),
    "mirror": ("MirrorTable", {"source_table": "big", "target_table": "mirror",
                               "target_connection": "there"}),
    "sync": ("SyncTable", {"source_table": "big", "target_table": "sync", "primary_key": "id",
                           "target_connection": "there"}),
    "query": ("RunSql", {"sql": _ROWS, "into": "query", "connection": "there"}),
}  # fmt: skip


@pytest.fixture
def disk(debian: Server, place: str) -> Iterator[Path]:
    """A disk of 4 MB with the tablespace in which new tables of the database are made."""
    with small_disk("4m") as found:
        folder = found / "space"
        folder.mkdir(mode=0o700)
        give(folder, found)
        debian.execute(f"CREATE TABLESPACE small OWNER etl LOCATION '{folder}'")
        yield found
        debian.execute(f"DROP DATABASE {place} WITH (FORCE)", "DROP TABLESPACE small")


def test_a_write_whose_targets_disk_is_full_says_so_and_leaves_the_target_as_it_was(
    disk: Path, debian: Server, place: str, database: str, redis_url: str, tmp_path: Path
) -> None:
    there = debian.url_for(place, "etl")
    for name in _JOBS:
        run_as_owner(
            there,
            f"CREATE TABLE {name} (id integer PRIMARY KEY, pad text) TABLESPACE small",
            f"INSERT INTO {name} VALUES (0, 'kept')",
        )
    run_as_owner(database, f"CREATE TABLE big AS {_ROWS}")
    headrace = _project(tmp_path, database, redis_url, there)

    done = headrace("run", "p", "--json", timeout=120)

    errors = {job["step"]: job["error"] for job in done.json["jobs"]}
    assert errors.keys() == _JOBS.keys()
    for name, error in errors.items():
        assert "No space left on device" in error, (name, error)
        assert len(error.splitlines()) <= 3, error
    assert _seen(there) == {name: [(0, "kept")] for name in _JOBS}
    assert disk.exists()


def _project(folder: Path, database: str, redis_url: str, there: str) -> Headrace:
    steps = [{"id": name, "job": job, "with": with_} for name, (job, with_) in _JOBS.items()]
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "p.yaml").write_text(json.dumps({"name": "p", "steps": steps}))
    lines = "".join(f"{n},{'x' * 1000}\n" for n in range(1, 6001))
    (folder / "pipelines" / "big.csv").write_text("id,pad\n" + lines)
    config = {"connections": {"there": there}, "retry": {"limit": 0}}
    (folder / "config.yaml").write_text(json.dumps(config))
    return Headrace(folder, {"DATABASE_URL": database, "REDIS_URL": redis_url,
                             "HEADRACE_HOME": str(folder / "home")})  # fmt: skip


def _seen(url: str) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    with closing(connect(url)) as opened, opened.cursor() as cursor:
        for name in _JOBS:
            cursor.execute(f"SELECT * FROM {name}")
            found[name] = cursor.fetchall()
    return found
