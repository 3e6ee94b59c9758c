"""Describes which columns take values, and what a row gets that brings none."""

from headrace.jobs.tables.table_catalog import Column, Table


def has_default(column: Column) -> bool:
    """Return whether a row without a value for this column gets another than NULL."""
    return column.has_default or bool(column.identity)


def default_of(column: Column, target: Table) -> str:
    """Return the expression that gives a column's default."""
    if not column.identity:
        return column.default or "NULL"
    table, name = _literal(target.sql.display), _literal(column.name)
    return f"nextval(pg_get_serial_sequence({table}, {name}))"


def insertable(target: Table) -> list[Column]:
    """Return the columns that take values."""
    return [column for column in target.columns if not column.generated]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
