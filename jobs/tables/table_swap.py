"""Puts a new table with the staged rows in the place of an old one, which is dropped.

Rows and indexes are made beside it, while readers go on; they wait for the exchange of names only.
What others have made of the old table would be lost: then it is refused, with their names.
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.errors.numbers import listed
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.carried_grants import grants_of, revoke_default_grants
from headrace.jobs.tables.key_merge import overriding
from headrace.jobs.tables.staging_table import STAGED
from headrace.jobs.tables.table_catalog import Column, Table, find_table
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_SHOWN = 10


def refuse_obstacles(session: "Session", target: Table) -> None:
    """Refuse to exchange a table that others refer to, or that has what cannot be carried over.

    Raises:
        JobFailure: naming what it is.
    """
    found = list(execute(session, packaged_sql("swap_obstacles", oid=target.oid)).scalars())
    if found:
        raise JobFailure(
            f"replace_strategy: swap makes a new table in the place of {target.written}, which "
            f"would lose, or cannot go without: {listed(found, _SHOWN)}. Take "
            "insert_from_staging, or truncate_and_insert"
        )


def swap(session: "Session", target: Table, columns: Sequence[Column], rows: int) -> None:
    """Let a new table with the staged rows be the target; `rows` is their number.

    Owner, privileges, comments, options, constraints, indexes and sequences are those of the old
    one. Writers must be held off (`staging_table.lock_rows`).

    Raises:
        JobFailure: as `refuse_obstacles`, or the new table has not taken all rows.
    """
    refuse_obstacles(session, target)
    token = f"headrace_{secrets.token_hex(6)}"
    made = RenderedSql(f"{quote_name(target.schema)}.{token}", {})
    facts = execute(session, packaged_sql("swap_facts", oid=target.oid)).one()
    _create(session, target, made, facts)
    revoke_default_grants(session, made)
    _fill(session, made, target, columns, rows)
    indexes = list(execute(session, packaged_sql("swap_indexes", oid=target.oid)))
    for number, one in enumerate(indexes):
        _run(session, _index(one, f"{token}_{number}", made))
    if not facts.own:
        # Before its sequences are linked to it: these have the same owner.
        _run(session, f"ALTER TABLE {made.display} OWNER TO {facts.owner}")
    _continue(session, target, made)
    grants = grants_of(session, target)
    logger.info("Exchanging %s for the new table", target.written)
    execute(session, packaged_sql("drop_exactly", table=target.sql))
    _run(session, f"ALTER TABLE {made.display} RENAME TO {quote_name(target.name)}")
    _name_again(session, target, indexes, token)
    for grant in grants:
        execute(session, grant)


def _create(session: "Session", target: Table, made: RenderedSql, facts: Any) -> None:
    def as_sql(text: str | None) -> RenderedSql | None:
        return None if text is None else RenderedSql(text, {})

    statement = packaged_sql(
        "swap_create",
        made=made,
        table=target.sql,
        unlogged=facts.unlogged,
        options=as_sql(facts.options),
        tablespace=as_sql(facts.tablespace),
    )
    execute(session, statement)
    if target.comment:
        what = RenderedSql("TABLE", {})
        execute(session, packaged_sql("comment", what=what, name=made, comment=target.comment))


def _fill(
    session: "Session", made: RenderedSql, target: Table, columns: Sequence[Column], rows: int
) -> None:
    statement = packaged_sql(
        "insert_staged", table=made, staged=STAGED, columns=[column.name for column in columns],
        always=overriding(columns),
    )  # fmt: skip
    stored = execute(session, statement).rowcount
    if stored != rows:
        raise JobFailure(f"the new {target.written} took {stored} of {rows} rows")


def _index(one: Any, name: str, made: RenderedSql) -> str:
    if one.is_constraint:
        return f"ALTER TABLE {made.display} ADD CONSTRAINT {name} {one.rest}"
    unique = "UNIQUE " if one.is_unique else ""
    return f"CREATE {unique}INDEX {name} ON {made.display}{one.rest}"


def _continue(session: "Session", target: Table, made: RenderedSql) -> None:
    """Let the sequences go on where they are."""
    for one in list(execute(session, packaged_sql("swap_sequences", oid=target.oid))):
        if one.is_identity:
            sequence = RenderedSql(one.name, {})
            statement = packaged_sql(
                "swap_continue", made=made.display, column=one.column, sequence=sequence
            )
            execute(session, statement)
        else:
            column = f"{made.display}.{quote_name(one.column)}"
            _run(session, f"ALTER SEQUENCE {one.name} OWNED BY {column}")


def _name_again(session: "Session", target: Table, indexes: Sequence[Any], token: str) -> None:
    table, schema = target.sql.display, quote_name(target.schema)
    for number, one in enumerate(indexes):
        old, name = f"{token}_{number}", quote_name(one.name)
        if one.is_constraint:
            _run(session, f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {name}")
        else:
            _run(session, f"ALTER INDEX {schema}.{old} RENAME TO {name}")
        if one.clustered:
            _run(session, f"ALTER TABLE {table} CLUSTER ON {name}")
        if one.comment:
            what, place = RenderedSql("INDEX", {}), RenderedSql(f"{schema}.{name}", {})
            execute(session, packaged_sql("comment", what=what, name=place, comment=one.comment))
    now = find_table(session, target.written)
    assert now is not None and (now.schema, now.name) == (target.schema, target.name)


def _run(session: "Session", statement: str) -> None:
    execute(session, RenderedSql(statement, {}))
