"""Gives tables that a copy has made what their sources have beside rows: indexes, foreign keys."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.mirroring.key_order import ForeignKey, foreign_keys
from headrace.jobs.sql.packaged import execute, packaged_sql, refusal_of
from headrace.jobs.tables.table_catalog import Table, find_table
from headrace.jobs.transfer.made_like_source import unrenamed
from headrace.jobs.transfer.source import Source
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Indexes = Literal["after", "keep", "none"]
ForeignKeys = Literal["check", "not_valid", "none"]


def copy_indexes(session: "Session", made: Table, source: Source) -> None:
    """Make the source's indexes on a table that was made and filled.

    Raises:
        JobFailure: one of them cannot be made.
    """
    taken = unrenamed(source)
    for row in execute(
        source.session, packaged_sql("index_definitions", oid=source.table.oid)
    ).mappings():
        if row["excludes"] or not set(row["columns"] or ()) <= taken:
            why = "an exclusion constraint" if row["excludes"] else "of columns that are not copied"
            logger.warning("The index %s is left out: it is %s", row["name"], why)
            continue
        free = find_table(session, _qualified(made.schema, row["name"])) is None
        statement = packaged_sql(
            "create_index",
            table=made.sql,
            unique=row["is_unique"],
            name=row["name"] if free else None,
            body=RenderedSql(row["body"], {}),
        )
        told = f"the index {row['name']} of {source.table.written}"
        _make(session, statement, told, "indexes: keep")


def copy_foreign_keys(
    session: "Session",
    made: Mapping[int, tuple[Source, Table]],
    targets: Mapping[int, Table],
    how: ForeignKeys,
) -> None:
    """Add the source's foreign keys to tables that were made.

    `made` are these by their sources' OIDs, `targets` all tables that were written. A key that
    leads to another table is left out.

    Raises:
        JobFailure: rows break one.
    """
    if how == "none" or not made:
        return
    (session_there, *_rest) = (source.session for source, _ in made.values())
    for key in foreign_keys(session_there, list(made)):
        if key.child not in made:
            continue
        source, table = made[key.child]
        parent = targets.get(key.parent)
        if parent is None or not set(key.columns) <= unrenamed(source):
            logger.warning(
                "The foreign key %s of %s is left out: %s is not copied",
                key.name, source.table.written, key.parent_table if parent is None else "a column",
            )  # fmt: skip
            continue
        _add(session, table, parent, key, not_valid=how == "not_valid")


def _add(
    session: "Session", table: Table, parent: Table, key: ForeignKey, *, not_valid: bool
) -> None:
    statement = packaged_sql(
        "add_foreign_key",
        table=table.sql,
        name=key.name,
        columns=key.columns,
        parent=parent.sql,
        parent_columns=key.parent_columns,
        rest=RenderedSql(key.rest, {}),
        not_valid=not_valid and table.kind != "p",
    )
    told = f"the foreign key {key.name} of {table.written}"
    _make(session, statement, told, "foreign_keys: not_valid, or none")


def _make(session: "Session", statement: RenderedSql, what: str, remedy: str) -> None:
    refused = refusal_of(session, statement)
    if refused is not None:
        detail = f" ({refused.message_detail})" if refused.message_detail else ""
        raise JobFailure(
            f"{what} cannot be made in the target: {refused.message_primary}{detail}. Mend that, "
            f"or set {remedy}"
        )


def _qualified(schema: str, name: str) -> str:
    return f"{quote_name(schema)}.{quote_name(name)}"
