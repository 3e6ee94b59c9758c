"""The dialects by kind of database."""

from headrace.jobapi import OtherDatabase
from headrace.jobs.others.dialect import Dialect
from headrace.jobs.others.duckdb_dialect import DuckdbDialect
from headrace.jobs.others.mysql_dialect import MysqlDialect
from headrace.jobs.others.sqlite_dialect import SqliteDialect

_KINDS: dict[str, type[Dialect]] = {
    "sqlite": SqliteDialect,
    "mysql": MysqlDialect,
    "duckdb": DuckdbDialect,
}


def dialect_of(database: OtherDatabase) -> Dialect:
    """Return the dialect of a database."""
    return _KINDS[database.kind]()
