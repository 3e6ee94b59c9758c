"""A database with the schema of an older version."""

from alembic import command
from alembic.config import Config

from headrace.store.connect import make_engine
from headrace.store.migrations import FOLDER


def bring_to(url: str, version: str) -> None:
    """Bring an empty database to a version of the schema."""
    engine = make_engine(url, application_name="test")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA headrace")
        config = Config()
        config.set_main_option("script_location", str(FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, version)
    engine.dispose()
