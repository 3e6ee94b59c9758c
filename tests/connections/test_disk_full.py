"""A control database whose disk is full: told, waited for, and gone on after."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.connections.test_read_only import goes_on, running, wait_for, write
from tests.matrix.conftest import project
from tests.support.disks import small_disk
from tests.support.places import PASSWORD, Server, debian_programs, second_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def disk() -> Iterator[Path]:
    with small_disk("160m") as found:
        yield found


@pytest.fixture
def server(disk: Path) -> Iterator[Server]:
    with second_server(debian_programs(), under=disk) as made:
        made.execute(f"CREATE ROLE etl LOGIN PASSWORD '{PASSWORD}'", "CREATE DATABASE w OWNER etl")
        yield made


def fill(disk: Path) -> Path:
    path = disk / "fill"
    with path.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            return path


def test_a_full_disk_is_told_by_readiness_and_waited_for(
    disk: Path, server: Server, tmp_path: Path
):
    url = server.url_for("w", "etl")
    headrace = project(tmp_path, DATABASE_URL=url)
    write(headrace, {})
    with running(headrace, url) as (up, started):
        held = up.start("held")
        up.wait_started(held, "wait")
        filled = fill(disk)

        wait_for("unready", lambda: up.http.asked("/health/ready")[0] == 503)
        missing = up.http.asked("/health/ready")[1]["missing"]
        assert "PostgreSQL's disk is full" in missing["postgresql"]
        assert "No space left on device" in missing["postgresql"]

        # Some rows still fit into pages that are there.
        def refused() -> bool:
            code, answer = up.http.asked("/pipelines/once/runs", {})
            return code == 503 and "disk is full" in answer["detail"]

        wait_for("a refusal with its reason", refused)
        wait_for("the daemon's word", lambda: "disk is full" in started.output())
        up.query("select pg_sleep(8)")
        filled.unlink()

        wait_for("readiness", lambda: up.http.asked("/health/ready")[0] == 200)
        goes_on(up, held)
        for said in ("leading, term", "daemon   warning: PostgreSQL's disk is full"):
            assert started.output().count(said) == 1, started.output()
