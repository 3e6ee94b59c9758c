"""Names of tables that jobs make, and the temporary table in which rows wait for their target."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.local_settings import set_locally
from headrace.jobs.tables.table_catalog import (
    Column,
    Table,
    find_table,
    split_table,
    writable_table,
)
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

STAGED = "headrace_staged_rows"
CHANGES = "headrace_changed_rows"
STAGED_SQL = RenderedSql(f"pg_temp.{quote_name(STAGED)}", {})


def stage_rows(session: "Session", query: RenderedSql, name: str = STAGED) -> int:
    """Keep the query's rows in a temporary table until the job ends; returns their number."""
    drop_staged(session, name)
    return _run(session, "stage_rows", staged=name, query=query)


def make_staging(session: "Session", columns: Sequence[Column], name: str = STAGED) -> None:
    """Make an empty temporary table with these columns: their types, and nothing else of them.

    The types are the server's own words (see `Column.type`), not a user's.
    """
    drop_staged(session, name)
    declared = RenderedSql(", ".join(column.declared for column in columns), {})
    _run(session, "make_staging", staged=name, columns=declared)


def drop_staged(session: "Session", name: str = STAGED, *, view: bool = False) -> None:
    """Drop the temporary table, if it is there; or the view of a table elsewhere."""
    if view:
        _run(session, "drop_temporary_view", view=name)
        return
    if execute(session, packaged_sql("temporary_table", name=name)).scalar():
        _run(session, "drop_table", table=f"pg_temp.{name}", if_exists=False, cascade=False)


def rename_staged(session: "Session", old: str, new: str) -> None:
    """Give a temporary table another name."""
    _run(session, "rename_staged", old=old, new=new)


@contextmanager
def staged_as(session: "Session", name: str) -> Iterator[None]:
    """Let the temporary table `name` be the one with the staged rows, within the block."""
    rename_staged(session, name, STAGED)
    yield
    rename_staged(session, STAGED, name)


def staged_table(session: "Session", name: str = STAGED) -> Table:
    """Return what the catalogue knows of the staged rows."""
    found = find_table(session, f"pg_temp.{name}")
    assert found is not None, "nothing is staged"
    return found


def create_schema(session: "Session", table: str) -> None:
    """Create the schema of `table` where it is missing.

    Raises:
        JobFailure: it is missing, and the session's role may not make it.
    """
    schema, _ = split_table(table)
    if schema is None or schema == "pg_temp" or _schema_state(session, schema)["there"]:
        return
    _hold(session, "", schema)
    state = _schema_state(session, schema)
    if state["there"]:
        return
    if not state["may_create"]:
        role, database = quote_name(state["role"]), quote_name(state["database"])
        raise JobFailure(
            f"there is no schema {schema}, and the role {state['role']} cannot create one: run "
            f"CREATE SCHEMA {quote_name(schema)} AUTHORIZATION {role}, or GRANT CREATE ON "
            f"DATABASE {database} TO {role}"
        )
    _run(session, "create_schema", schema=schema)


def lock_name(session: "Session", table: str) -> None:
    """Hold off every other job that creates or refills `table`, until this transaction ends.

    What the other one has made is known to this session afterwards.
    """
    schema, name = split_table(table)
    _hold(session, schema, name)


def lock_rows(session: "Session", target: Table) -> None:
    """Hold off other writers of an existing table until this transaction ends; readers go on.

    Raises:
        JobFailure: the table is not any more what it was when `target` was read.
    """
    if target.kind == "f":
        return  # PostgreSQL has no lock for a table that is somewhere else.
    _run(session, "lock_rows", table=target.sql)
    now = writable_table(session, target.written)
    if now is None or (now.oid, now.columns) != (target.oid, target.columns):
        raise JobFailure(
            f"{target.written} was changed by somebody else while its rows were being prepared: "
            "run the job again"
        )


def _hold(session: "Session", schema: str | None, name: str) -> None:
    # Whoever waits here holds up nobody, and is to wait for the other's whole load.
    with set_locally(session, ("lock_timeout", "0")):
        _run(session, "lock_name", schema=schema, name=name)


def _schema_state(session: "Session", schema: str) -> Any:
    return execute(session, packaged_sql("schema_state", schema=schema)).mappings().one()


def _run(session: "Session", template: str, **values: Any) -> int:
    return max(0, execute(session, packaged_sql(template, **values)).rowcount)
