"""Programs on a schema that a later version has made."""

from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from headrace.store.migrations import LATEST
from tests.support.cli import Headrace
from tests.support.ports import free_port
from tests.support.servers import connect

MADE_BY_ANOTHER = "has version 9999, made by Headrace 9.9.9"


@pytest.fixture
def headrace(tmp_path: Path, database: str, redis_url: str) -> Headrace:
    (tmp_path / "pipelines").mkdir()
    return Headrace(
        tmp_path,
        {
            "DATABASE_URL": database,
            "REDIS_URL": redis_url,
            "HEADRACE_HOME": str(tmp_path / "home"),
            "HEADRACE_PORT": str(free_port()),
        },
    )


def upgrade(database: str, *, works_from: str) -> None:
    """Upgrade the schema as the next version might."""
    with closing(connect(database)) as line, line.cursor() as cursor:
        cursor.execute("UPDATE headrace.alembic_version SET version_num = '9999'")
        cursor.execute(
            "UPDATE headrace.installation SET works_from = %s, version = '9.9.9'", (works_from,)
        )
        line.commit()


def test_a_program_starts_on_a_newer_schema_that_admits_it_and_tells_and_ends_when_it_does_not(
    headrace: Headrace, database: str
):
    upgrade(database, works_from=LATEST)
    with ExitStack() as stack:
        started = [
            stack.enter_context(headrace.started(role)) for role in ("web", "daemon", "worker")
        ]
        for one, begun in zip(
            started, ("serving on", "leading, term 1", "serving high"), strict=True
        ):
            one.wait_for(begun)
            assert f"{MADE_BY_ANOTHER}; this is Headrace" in one.output()
            assert "may work with it" in one.output()

        upgrade(database, works_from="9998")

        for one in started:
            assert one.process.wait(timeout=60) == 2, one.output()
            assert "Use the newer Headrace here, too" in one.output()

    reads = (["runs"], ["plan", "sales", "--diff"], ["db", "upgrade", "--check"])
    for command in (["web"], ["daemon"], ["worker"], *reads):
        refused = headrace(*command)
        assert refused.code == 2
        assert MADE_BY_ANOTHER in refused.out + refused.err
