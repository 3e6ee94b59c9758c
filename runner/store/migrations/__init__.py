"""The schema `headrace`, made and changed by numbered SQL files under `versions/`."""

from pathlib import Path

from sqlalchemy import Connection, text

from runner.store.connect import make_engine, reported

FOLDER = Path(__file__).parent
LATEST = max(path.name[:4] for path in (FOLDER / "versions").glob("*.sql"))

# Any number; only that nobody else takes it. Two daemons that start together migrate once.
_LOCK = 0x68656164


def run_sql(name: str) -> None:
    """Run one file of `versions/` on the migration's connection."""
    from alembic import op

    sql = (FOLDER / "versions" / name).read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))


def upgrade(database_url: str) -> None:
    """Bring the database's schema to the newest version. Does nothing where it is there.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    engine = make_engine(database_url, application_name="headrace:migrate")
    try:
        with reported(), engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            if current(connection) == LATEST:
                return
            _run_alembic(connection)
    finally:
        engine.dispose()


def current(connection: Connection) -> str | None:
    """Return the version that the connected database has, None where it has none."""
    there = connection.exec_driver_sql(
        "SELECT to_regclass('headrace.alembic_version') IS NOT NULL"
    ).scalar_one()
    if not there:
        return None
    version: str | None = connection.exec_driver_sql(
        "SELECT version_num FROM headrace.alembic_version"
    ).scalar()
    return version


def _run_alembic(connection: Connection) -> None:
    # Imported here: Alembic costs a worker's start 0.2 s, and only a migration needs it.
    from alembic import command
    from alembic.config import Config

    connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS headrace")
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
