"""A home and a database of an older version: looked at, they stay as they are; upgraded, told."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from headrace.store import embedded
from headrace.store.connect import make_engine
from headrace.store.embedded.place import place_of
from headrace.store.embedded.postgres import programs
from headrace.store.migrations import FOLDER, LATEST, look, upgrade
from tests.support.cli import Headrace
from tests.support.servers import connect

OLD = "0009"
PLAIN = "name: plain\nsteps: [{id: only, job: Fibonacci, with: {n: 1}}]\n"


def make_old(url: str) -> None:
    """Bring an empty database to an older version, with a job and a table of the user's."""
    engine = make_engine(url, application_name="test")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA headrace")
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, OLD)
        connection.exec_driver_sql("CREATE TABLE public.mine AS SELECT 42 AS answer")
    engine.dispose()


def version(url: str) -> str | None:
    engine = make_engine(url, application_name="test")
    with engine.begin() as connection:
        found = look(connection).version
    engine.dispose()
    return found


@pytest.fixture
def old_home(own_home: Path) -> Iterator[str]:
    """A home of an older version; yields its database's URL."""
    with embedded.use(own_home) as servers:
        make_old(servers.database_url)
        yield servers.database_url


@pytest.fixture
def headrace(tmp_path: Path, own_home: Path) -> Headrace:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "plain.yaml").write_text(PLAIN)
    return Headrace(tmp_path, {"HEADRACE_HOME": str(own_home), "HEADRACE_PORT": "0"})


LOOKS = (
    ("runs",),
    ("jobs", "--json"),
    ("queues",),
    ("prune", "--older-than", "30d"),
    ("worker",),
    ("web",),
)


@pytest.mark.timeout(240)
def test_a_look_at_an_older_home_changes_nothing_and_says_what_to_do(
    headrace: Headrace, old_home: str
) -> None:
    for arguments in LOOKS:
        done = headrace(*arguments)
        assert done.code == 2, (arguments, done)
        said = done.out + done.err
        assert f"version {OLD}" in said, (arguments, said)
        assert "headrace db upgrade" in said
        assert "Traceback" not in said
    assert version(old_home) == OLD


@pytest.mark.timeout(300)
def test_before_an_embedded_home_is_upgraded_a_dump_is_kept_and_told(
    headrace: Headrace, old_home: str, own_home: Path
) -> None:
    done = headrace("db", "upgrade")

    assert (done.code, version(old_home)) == (0, LATEST)
    (kept,) = (own_home / "backups").iterdir()
    assert str(kept) in done.err + done.out
    assert f"from version {OLD} to {LATEST}" in done.err + done.out
    assert kept.stat().st_mode & 0o077 == 0
    listed = subprocess.run(
        [programs(place_of(own_home)) / "pg_restore", "--list", kept],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "TABLE DATA public mine" in listed
    assert "TABLE DATA headrace job" in listed
    assert "installation" not in listed
    assert headrace("runs").code == 0


@pytest.mark.timeout(240)
def test_a_check_says_by_its_exit_code_whether_an_upgrade_is_needed_and_changes_nothing(
    headrace: Headrace, old_home: str
) -> None:
    done = headrace("db", "upgrade", "--check")
    assert (done.code, version(old_home)) == (1, OLD)
    assert f"version {OLD}; `headrace db upgrade` brings it to {LATEST}" in done.out

    upgrade(old_home)
    done = headrace("db", "upgrade", "--check", "--json")
    assert done.json == {"upgrade_needed": False, "version": LATEST, "newest": LATEST}
    assert done.code == 0

    refused = headrace("db", "downgrade")
    assert refused.code == 2
    assert "there is no downgrade" in refused.err
    assert "restore the backup" in refused.err
    assert headrace("db", "url", "--check").code == 2


@pytest.mark.timeout(300)
def test_where_the_dump_cannot_be_kept_nothing_is_upgraded(
    headrace: Headrace, old_home: str, own_home: Path
) -> None:
    (own_home / "backups").write_text("in the way")

    done = headrace("db", "upgrade")

    assert done.code == 2
    assert "backups" in done.err
    assert version(old_home) == OLD


@pytest.mark.timeout(240)
def test_a_run_that_brings_its_own_daemon_upgrades_the_home_and_tells(
    headrace: Headrace, old_home: str, own_home: Path
) -> None:
    done = headrace("run", "plain", timeout=110)

    assert done.code == 0, done
    assert list((own_home / "backups").iterdir())
    assert version(old_home) == LATEST


@pytest.mark.timeout(240)
def test_every_program_refuses_a_schema_that_is_too_new_with_a_sentence(
    headrace: Headrace, old_home: str
) -> None:
    upgrade(old_home)
    with connect(old_home) as line, line.cursor() as cursor:
        cursor.execute("UPDATE headrace.alembic_version SET version_num = '9999'")
        cursor.execute("UPDATE headrace.installation SET works_from = '9000', version = '9.0'")
    for arguments in (("runs",), ("worker",), ("db", "upgrade"), ("up",), ("run", "plain")):
        done = headrace(*arguments)
        said = done.out + done.err
        assert done.code == 2, (arguments, said)
        assert "9999, made by Headrace 9.0" in said, (arguments, said)
        assert "Traceback" not in said


def test_a_migration_without_sql_counts_as_well() -> None:
    """The newest version is read from both kinds of files."""
    names = [path.name for path in (FOLDER / "versions").iterdir()]
    assert max(name[:4] for name in names if name[:4].isdigit()) == LATEST
