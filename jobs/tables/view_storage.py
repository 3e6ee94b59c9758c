"""Stores a query as a view or a materialized view, which keeps what others have given it."""

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.carried_grants import grants_of, revoke_default_grants
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.staging_table import create_schema, lock_name
from headrace.jobs.tables.table_catalog import Column, Table, find_table
from headrace.jobs.tables.view_refresh import is_concurrent, refresh
from headrace.template import RenderedSql, quote_identifier, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Materialized = Literal["table", "view", "materialized_view"]
_DRAFT = "headrace_draft"
_KINDS = {"view": "v", "materialized_view": "m"}
_WORDS = {"view": "a view", "materialized_view": "a materialized view"}
_POLICIES = {
    "view": ("fail", "append_new_columns", "recreate"),
    "materialized_view": ("fail", "recreate"),
}


def refuse_policy(kind: Materialized, policy: OnSchemaChange) -> None:
    """Refuse an `on_schema_change` that a view cannot follow.

    Raises:
        InvalidPayload: with those that it can.
    """
    known = _POLICIES.get(kind)
    if known is not None and policy not in known:
        raise InvalidPayload(
            f"on_schema_change of {_WORDS[kind]} is one of {', '.join(known)}, not {policy}"
        )


@dataclass(frozen=True, slots=True)
class View:
    """What is to be stored: `query` under the name `written`, as a view of this kind."""

    written: str
    kind: Materialized
    query: RenderedSql
    policy: OnSchemaChange = "fail"

    @property
    def name(self) -> RenderedSql:
        """Its name, quoted."""
        return RenderedSql(quote_identifier(self.written), {})

    @property
    def is_materialized(self) -> bool:
        """Whether it has rows of its own."""
        return self.kind == "materialized_view"

    def create(self, name: RenderedSql, state: Any = None, *, replace: bool = False) -> RenderedSql:
        """Return the statement that makes it, with the options of the one that it replaces."""
        options = state.options if state is not None else None
        values: dict[str, Any] = {
            "view": name,
            "query": self.query,
            "options": None if options is None else RenderedSql(options, {}),
        }
        if not self.is_materialized:
            return packaged_sql("create_view", replace=replace, **values)
        place = state.tablespace if state is not None else None
        values["tablespace"] = None if place is None else RenderedSql(place, {})
        return packaged_sql("create_materialized_view", **values)


def store_view(session: "Session", view: View) -> int | None:
    """Make the view answer the query, and return how many rows it has if it is materialized.

    One that is there keeps its options, owner, privileges and comments; a materialized view also
    its indexes, and it is only refreshed if its query is the same.

    Raises:
        JobFailure: something else has the name, or the columns have changed and `policy` does not
            say what to do.
    """
    lock_name(session, view.written)
    create_schema(session, view.written)
    execute(session, packaged_sql("draft_view", draft=_DRAFT, query=view.query))
    draft = find_table(session, f"pg_temp.{_DRAFT}")
    assert draft is not None, "it was made just now"
    there = find_table(session, view.written)
    if there is None:
        execute(session, view.create(view.name))
    else:
        _bring_up(session, view, draft, there)
    _run(session, f"DROP VIEW pg_temp.{_DRAFT}")
    stored = find_table(session, view.written)
    assert stored is not None, "it was made just now"
    if _state(session, stored, draft=0).temporary:
        raise JobFailure(
            f"the query of {view.written} reads a temporary table, so PostgreSQL made a temporary "
            "view, which would be gone after the step: read tables that stay"
        )
    if not view.is_materialized:
        return None
    return int(execute(session, packaged_sql("count_rows", table=view.written)).scalar_one())


def _bring_up(session: "Session", view: View, draft: Table, there: Table) -> None:
    """Bring a view that is there to the query."""
    if there.kind != _KINDS[view.kind]:
        raise JobFailure(
            f"{view.written} is a {there.what}, and not {_WORDS[view.kind]}: drop it first, or "
            "choose another name"
        )
    state = _state(session, there, draft=draft.oid)
    if state.same:
        if view.is_materialized:
            refresh(session, there.sql, concurrently=is_concurrent(session, view.written))
        return
    change = _changed(draft.columns, there.columns)
    if change and view.policy == "recreate":
        logger.warning(
            "%s is dropped and created again, without its privileges%s: %s",
            view.written, " and indexes" if view.is_materialized else "", change,
        )  # fmt: skip
        kind = RenderedSql(view.kind.replace("_", " ").upper(), {})
        execute(session, packaged_sql("drop_view", kind=kind, view=there.sql))
        # Its options, too: security_invoker says whose rights the view uses.
        execute(session, view.create(there.sql, state))
        return
    appended = _is_appended(draft.columns, there.columns)
    if change and not (view.policy == "append_new_columns" and appended):
        words = ["recreate (drops it with its privileges and creates it again)"]
        if appended and not view.is_materialized:
            words.insert(0, "append_new_columns")
        raise JobFailure(
            f"the query has other columns than {view.written}: {change}. Change the query, or set "
            f"on_schema_change: {', or '.join(words)}"
        )
    if view.is_materialized:
        _exchange(session, view, there, state)
    else:
        execute(session, view.create(there.sql, state, replace=True))


def _exchange(session: "Session", view: View, there: Table, state: Any) -> None:
    """Fill a new materialized view beside the old one, then put it in its place with all it had.

    Readers wait only for the exchange.
    """
    logger.info("The query of %s has changed: it is made anew", view.written)
    token = secrets.token_hex(6)
    made = RenderedSql(f"{quote_name(there.schema)}.headrace_view_{token}", {})
    execute(session, view.create(made, state))
    revoke_default_grants(session, made)
    indexes = list(execute(session, packaged_sql("view_indexes", oid=there.oid)))
    for number, index in enumerate(indexes):
        unique = "UNIQUE " if index.is_unique else ""
        _run(
            session,
            f"CREATE {unique}INDEX headrace_{token}_{number} ON {made.display} {index.rest}",
        )
    grants = grants_of(session, there)
    _run(session, f"DROP MATERIALIZED VIEW {there.sql.display}")
    _run(session, f"ALTER MATERIALIZED VIEW {made.display} RENAME TO {quote_name(there.name)}")
    schema = quote_name(there.schema)
    for number, index in enumerate(indexes):
        _run(session, f"ALTER INDEX {schema}.headrace_{token}_{number} RENAME TO {index.name}")
        _comment(session, "INDEX", f"{schema}.{index.name}", index.comment)
    _comment(session, "MATERIALIZED VIEW", there.sql.display, there.comment)
    for column in there.columns:
        place = f"{there.sql.display}.{quote_name(column.name)}"
        _comment(session, "COLUMN", place, column.comment)
    for grant in grants:
        execute(session, grant)
    if not state.own:
        _run(session, f"ALTER MATERIALIZED VIEW {there.sql.display} OWNER TO {state.owner}")


def _comment(session: "Session", what: str, name: str, comment: str | None) -> None:
    if comment is not None:
        values = {"what": RenderedSql(what, {}), "name": RenderedSql(name, {})}
        execute(session, packaged_sql("comment", comment=comment, **values))


def _changed(new: tuple[Column, ...], old: tuple[Column, ...]) -> str:
    """Return how the columns of a query differ from a view's, in words."""
    names, before = {c.name: c for c in new}, {c.name: c for c in old}
    told = [f"{c.name} ({c.type}) is new" for c in new if c.name not in before]
    told += [f"{c.name} is missing" for c in old if c.name not in names]
    told += [
        f"{c.name} is {names[c.name].declared}, and was {c.declared}"
        for c in old
        if c.name in names and names[c.name].declared != c.declared
    ]
    if not told and [c.name for c in new] != [c.name for c in old]:
        told.append("their order")
    return "; ".join(told)


def _is_appended(new: tuple[Column, ...], old: tuple[Column, ...]) -> bool:
    return [c.declared for c in new[: len(old)]] == [c.declared for c in old]


def _state(session: "Session", there: Table, *, draft: int) -> Any:
    return execute(session, packaged_sql("view_state", oid=there.oid, draft=draft)).one()


def _run(session: "Session", statement: str) -> None:
    execute(session, RenderedSql(statement, {}))
