"""Workers that PostgreSQL has no connections for: refused, or waiting, with the sum."""

from contextlib import closing
from pathlib import Path

import psycopg2

from tests.support.cli import Headrace
from tests.support.servers import connect, database_name


def limit(url: str, most: int) -> None:
    with closing(connect(url)) as line, line.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{database_name(url)}" CONNECTION LIMIT {most}')


def test_more_workers_than_the_server_has_connections_for_are_refused_with_the_sum(
    tmp_path: Path, database: str, redis_url: str
) -> None:
    (tmp_path / "pipelines").mkdir()
    headrace = Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})
    done = headrace("up", "--workers", "2000", "--no-web")
    assert done.code == 2
    said = done.out + done.err
    assert "2,000 workers, daemon and web service need 6,009 connections" in said
    assert "the server allows" in said

    limit(database, 5)
    done = headrace("worker", "--processes", "4")
    assert done.code == 2
    assert "1 worker of 4 jobs at a time" in done.out + done.err
    assert (
        f"needs 6 connections (6 for each worker), and the database {database_name(database)}"
        in (done.out + done.err)
    )


def test_a_worker_waits_while_others_hold_the_connections_that_it_needs(
    tmp_path: Path, database: str, redis_url: str
) -> None:
    (tmp_path / "pipelines").mkdir()
    headrace = Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})
    limit(database, 6)
    held = [psycopg2.connect(database) for _ in range(3)]
    with headrace.started("worker") as worker:
        worker.wait_for("PostgreSQL has too few free connections: 1 worker")
        assert "has 2 of 6 left" in worker.output()
        assert "serving" not in worker.output()
        for line in held:
            line.close()
        worker.wait_for("serving")
