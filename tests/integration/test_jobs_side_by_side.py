"""Jobs that work on one name at the same time, and connections that are cut."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.run_sql import RunSql
from headrace.jobs.sync_table import SyncTable
from headrace.jobs.tables.staging_table import lock_name
from tests.support.attempts import JobRunner, engine_for


def together(*tasks: Callable[[], Any]) -> list[Any]:
    """Run these at once, each in a thread; returns what they returned or raised."""
    results: list[Any] = [None] * len(tasks)
    barrier = threading.Barrier(len(tasks))

    def run(number: int, task: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = task()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[number] = error

    threads = [threading.Thread(target=run, args=one) for one in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class Warm(JobRunner):
    """A worker's connection, which has looked for the names before they are there."""

    def __init__(self, url: str, *names: str) -> None:
        engine = engine_for(url)
        self.line = engine.connect()
        for name in names:
            self.line.execute(text(f"SELECT to_regnamespace('{name}'), to_regclass('{name}.t')"))
        self.line.rollback()
        super().__init__({None: engine})

    def __call__(self, job: Any, **with_: Any) -> Any:
        line = self.line

        class One:
            def connect(self) -> Any:
                return line

        self.engines = {None: One()}  # type: ignore[dict-item]
        close, line.close = line.close, lambda: None  # type: ignore[method-assign]
        try:
            return super().__call__(job, **with_)
        finally:
            line.close = close  # type: ignore[method-assign]
            line.rollback()


@pytest.fixture
def warm(empty_database):
    made = [Warm(empty_database, "fresh") for _ in range(2)]
    yield made
    for one in made:
        one.line.close()


def test_two_steps_make_the_same_new_schema(warm, query):
    sql = "SELECT 1 AS a FROM pg_sleep(0.3)"
    results = together(
        lambda: warm[0](RunSql, sql=sql, into="fresh.t0"),
        lambda: warm[1](RunSql, sql=sql, into="fresh.t1"),
    )

    assert [type(one) for one in results] == [dict, dict], results
    assert query("SELECT count(*) FROM fresh.t0, fresh.t1") == [(1,)]


@pytest.mark.parametrize("job", [SyncTable, MirrorTable, RunSql])
def test_two_steps_make_the_same_new_table(warm, execute, query, job):
    execute("CREATE TABLE source AS SELECT 1 AS id, pg_sleep(0)::text AS t")
    with_ = {"source_table": "source", "target_table": "fresh.t"}
    if job is SyncTable:
        with_["key"] = "id"
    elif job is RunSql:
        with_ = {"sql": "SELECT 1 AS id FROM pg_sleep(0.2)", "into": "fresh.t"}

    results = together(lambda: warm[0](job, **with_), lambda: warm[1](job, **with_))

    assert [type(one) for one in results] == [dict, dict], results
    assert query("SELECT count(*) FROM fresh.t") == [(1,)]


def test_after_the_wait_for_a_name_the_session_knows_what_was_made(empty_database):
    engine = engine_for(empty_database)
    looked = "SELECT to_regnamespace('fresh')::text"
    with Session(engine) as first, Session(engine) as second:
        assert second.execute(text(looked)).scalar() is None
        lock_name(first, "fresh.t")
        first.execute(text("CREATE SCHEMA fresh"))

        def wait() -> Any:
            lock_name(second, "fresh.t")
            return second.execute(text(looked)).scalar()

        def commit() -> None:
            time.sleep(0.3)
            first.commit()

        assert together(wait, commit)[0] == "fresh"
    engine.dispose()


@contextmanager
def cutting(address: tuple[str, int], after: int) -> Iterator[int]:
    """Yield a port that leads to a server, and cuts the wire after so many bytes from there."""
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket, left: int) -> None:
        with suppress(OSError):
            while left > 0 and (data := source.recv(min(left, 8192))):
                target.sendall(data)
                left -= len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(address)
                for one in ((near, far, 1 << 60), (far, near, after)):
                    threading.Thread(target=carry, args=one, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


@pytest.mark.parametrize("kind", ["mirror", "sync"])
@pytest.mark.parametrize("after", [20_000, 400_000])
def test_a_source_that_is_cut_off_is_never_stored_as_the_whole(
    run_job: JobRunner, second: Engine, execute, query, kind, after
):
    with second.begin() as connection:
        connection.execute(text("CREATE TABLE source AS SELECT n AS id, repeat('x', 100) AS t"
                                " FROM generate_series(1, 5000) AS n"))  # fmt: skip
    execute("CREATE TABLE target (id int PRIMARY KEY, t text)")
    execute("INSERT INTO target VALUES (7, 'old')")
    with_ = {"source_table": "source", "target_table": "target", "source_connection": "cut"}
    assert second.url.port is not None
    with cutting(("127.0.0.1", second.url.port), after) as port:
        run_job.engines["cut"] = engine_for(
            second.url.set(port=port).render_as_string(hide_password=False)
        )
        job, more = (MirrorTable, {}) if kind == "mirror" else (SyncTable, {"key": "id"})
        with pytest.raises(Exception, match="server closed the connection"):
            run_job(job, **with_, **more)

    assert query("SELECT * FROM target") == [(7, "old")]
