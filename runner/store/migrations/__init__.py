"""The schema `headrace`, made and changed by numbered files under `versions/`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import SchemaMismatch
from headrace.model.version import __version__
from headrace.store.connect import make_engine
from headrace.store.outages import reported

if TYPE_CHECKING:
    from sqlalchemy import Connection

FOLDER = Path(__file__).parent
# Of both kinds of files: a migration need not have SQL.
LATEST = max(path.name[:4] for path in (FOLDER / "versions").glob("[0-9][0-9][0-9][0-9]_*.*"))
# The oldest version of the schema whose programs may work with the newest one, while hosts are
# brought up to date one after the other.
WORKS_FROM = "0014"

# Any number; only that nobody else takes it. Two daemons that start together migrate once.
_LOCK = 0x68656164


@dataclass(frozen=True, slots=True)
class Schema:
    """Schema of a database: `version` is None without one of Headrace's."""

    version: str | None
    works_from: str | None = None
    made_by: str | None = None
    installation: str | None = None

    @property
    def usable(self) -> bool:
        """Tell whether this version can work with it as it is."""
        if self.version == LATEST:
            return True
        return self.newer and self.works_from is not None and self.works_from <= LATEST

    @property
    def newer(self) -> bool:
        """Tell whether a later version of Headrace has made it."""
        return self.version is not None and self.version > LATEST

    @property
    def remark(self) -> str | None:
        """What is told where a later version has made it, and this one may work with it."""
        if not (self.newer and self.usable):
            return None
        return (
            f"the control database's schema has version {self.version}, made by Headrace"
            f" {self.made_by or 'of a later version'}; this is Headrace {__version__}, which may"
            f" work with it, and knows versions up to {LATEST}. Upgrade it soon"
        )

    def require(self) -> None:
        """Refuse to work with it where that cannot be.

        Raises:
            SchemaMismatch: The message says what to do.
        """
        if self.usable:
            return
        if self.version is None:
            raise SchemaMismatch(
                "the control database has no schema of Headrace's yet;"
                " `headrace db upgrade` makes it (so do `headrace up` and `headrace daemon`)"
            )
        if self.newer:
            raise SchemaMismatch(
                f"the control database's schema has version {self.version}, made by Headrace"
                f" {self.made_by or 'of a later version'}; this is Headrace {__version__}, which"
                f" knows versions up to {LATEST}. Use the newer Headrace here, too"
            )
        raise SchemaMismatch(
            f"the control database's schema has version {self.version}, and Headrace"
            f" {__version__} needs {LATEST}; run `headrace db upgrade` (`headrace up` and"
            " `headrace daemon` do it, too)"
        )


def run_sql(name: str) -> None:
    """Run one file of `versions/` on the migration's connection."""
    from alembic import op

    sql = (FOLDER / "versions" / name).read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))


def upgrade(
    database_url: str, *, first: Callable[[str], None] = lambda _version: None
) -> tuple[str | None, str] | None:
    """Bring the database's schema to the newest version. Does nothing where it is there.

    `first` is called with the version of a schema that is about to be changed. Returns the
    versions before and after, None where nothing was to be done.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
        SchemaMismatch: The schema is of a later version, which this one cannot work with.
        ConfigError: The role may not make the schema.
    """
    from sqlalchemy import text

    from headrace.store.migrations.schema import give_search_path

    engine = make_engine(database_url, application_name="headrace:migrate")
    try:
        with reported(), engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            schema = look(connection)
            give_search_path(connection)
            if schema.version == LATEST or schema.newer:
                schema.require()
                return None
            if schema.version is not None:
                first(schema.version)
            _run_alembic(connection)
            connection.execute(
                text(
                    "UPDATE headrace.installation SET works_from = :works_from, version = :made_by"
                ),
                {"works_from": WORKS_FROM, "made_by": __version__},
            )
            return schema.version, LATEST
    finally:
        engine.dispose()


def look(connection: "Connection") -> Schema:
    """Return what the connected database has."""
    return look_by(lambda sql: connection.exec_driver_sql(sql).one_or_none())


def look_by(row_of: Callable[[str], Sequence[Any] | None]) -> Schema:
    """Return what a database has, given a function that returns the row of a query."""
    there = row_of(
        "SELECT to_regclass('headrace.alembic_version') IS NOT NULL,"
        "       to_regclass('headrace.installation') IS NOT NULL"
    )
    assert there is not None
    if not there[0]:
        return Schema(None)
    found = row_of("SELECT version_num FROM headrace.alembic_version")
    version = found[0] if found is not None else None
    if not there[1]:
        return Schema(version)
    row = row_of("SELECT works_from, version, id FROM headrace.installation")
    assert row is not None
    return Schema(version, *row)


def _run_alembic(connection: "Connection") -> None:
    # Imported here: Alembic costs a worker's start 0.2 s, and only a migration needs it.
    from alembic import command
    from alembic.config import Config

    from headrace.store.migrations.schema import make_schema

    make_schema(connection)
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
