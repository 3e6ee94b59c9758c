"""Runs SQL that a user wrote: a file or inline, one or more statements."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from headrace import jobapi
from headrace.errors import JobFailure, RefusedSql
from headrace.jobs.sql.query_result import ROWS_KEPT, outcome_direct, outcome_of
from headrace.jobs.sql.value_errors import said_of
from headrace.jobs.tables.index_state import refuse_half_built
from headrace.template import (
    RenderedSql,
    first_word,
    has_word,
    needs_autocommit,
    refuse_transaction_control,
    remember_text,
    render,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

# What is rendered is held in memory several times over.
MOST_SQL_BYTES = 10_000_000
_SHOWN_CHARACTERS = 80
_READ = 4 * _SHOWN_CHARACTERS
_READS = ("SELECT", "VALUES", "TABLE", "WITH")
# INSERT and MERGE have INTO behind them, too.
_WRITES = ("INTO", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Source:
    """SQL text, and what errors call it."""

    text: str
    name: str
    path: Path | None = None


def load_source(sql: str | None, sql_path: str | None) -> Source:
    """Return inline SQL, or the file's; a file is looked up as `Folders.find_sql` says.

    Raises:
        JobFailure: neither or both are given, or there is no such file.
    """
    if (sql is None) == (sql_path is None):
        raise JobFailure("give either sql or sql_path")
    if sql_path is None:
        return Source(sql or "", "sql")
    path = jobapi.current().folders.find_sql(sql_path)
    if path.stat().st_size > MOST_SQL_BYTES:
        raise JobFailure(
            f"{sql_path} is larger than {MOST_SQL_BYTES // 1_000_000} MB, which no SQL script is;"
            " rows are loaded by LoadFile"
        )
    try:
        return Source(path.read_text(encoding="utf-8-sig"), sql_path, path)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise JobFailure(f"{sql_path}:{line}: is not UTF-8: {error.reason}") from None


def render_script(source: Source, params: dict[str, Any] | None) -> list[RenderedSql]:
    """Return the statements of a user's SQL, ready to run in the job's transaction.

    Templates see `params`, `run.id`, `run.logical_date`, `logical_date` and `job`.

    Raises:
        TemplateError: the template fails.
        RefusedSql: it holds transaction control, or nothing at all.
    """
    return _statements(rendered_whole(source, params), source.name)


def rendered_whole(source: Source, params: dict[str, Any] | None) -> RenderedSql:
    """Return the same in one piece. Raises as `render_script`, but takes nothing at all."""
    remember_text(source.name, source.text)
    rendered = render(source.text, _context(params), name=source.name)
    return _without_transaction_control(rendered, source.name)


def written_script(text: str, name: str) -> list[RenderedSql]:
    """Return the statements of SQL whose templates were rendered when the run was planned.

    Nothing in it is a template any more: braces in a value that came in are text.

    Raises:
        RefusedSql: it holds transaction control, or nothing at all.
    """
    remember_text(name, text)
    return _statements(_without_transaction_control(RenderedSql(text, {}), name), name)


def run_statements(
    target: "Session | Connection", statements: list[RenderedSql], *, keep: int = ROWS_KEPT
) -> dict[str, Any]:
    """Run statements in turn and return the last one's outcome, see `outcome`.

    Raises:
        RefusedSql: one of them cannot run inside a transaction, and `target` is a session.
    """
    from sqlalchemy import Connection

    result: dict[str, Any] = {}
    for number, statement in enumerate(statements, 1):
        if not isinstance(target, Connection):
            refuse_outside_transaction(statement)
        reads = not isinstance(target, Connection) and only_read([statement])
        with said_of(_told(number, len(statements), statement)):
            result = outcome_of(target, statement, keep=keep, stream=reads)
        if isinstance(target, Connection):
            refuse_half_built(target, statement)
    return result


def run_directly(
    target: "jobapi.Statements", statements: list[RenderedSql], *, keep: int = ROWS_KEPT
) -> dict[str, Any]:
    """Run statements in turn by the driver alone; returns and raises as `run_statements`."""
    result: dict[str, Any] = {}
    for number, statement in enumerate(statements, 1):
        refuse_outside_transaction(statement)
        with said_of(_told(number, len(statements), statement)):
            result = outcome_direct(target, statement, keep=keep, stream=only_read([statement]))
    return result


def _told(number: int, count: int, statement: RenderedSql) -> str:
    return f"statement {number} of {count}: {_begins(statement.marked[:_READ])}"


@lru_cache(maxsize=256)
def _begins(marked: str) -> str:
    """Return how a statement begins, on one line."""
    return shorten(RenderedSql(marked, {}).display, _SHOWN_CHARACTERS, placeholder=" …")


def refuse_outside_transaction(statement: RenderedSql) -> None:
    """Refuse a statement that PostgreSQL would refuse inside a transaction, with the remedy.

    Raises:
        RefusedSql: it is VACUUM or its like.
    """
    if needs_autocommit(statement.marked):
        raise RefusedSql(
            f"{first_word(statement.marked)} cannot run inside a transaction: "
            "set transaction: false"
        )


def refuse_other_than_query(statement: RenderedSql, name: str) -> None:
    """Refuse a statement of PostgreSQL that has no rows to give.

    Raises:
        RefusedSql: naming its first word.
    """
    word = first_word(statement.marked)
    if word not in _READS:
        raise RefusedSql(f"{name}: {word} is no query: write a SELECT whose rows are wrong ones")


def only_read(statements: Iterable[RenderedSql]) -> bool:
    """Return whether statements write nothing by themselves; a function in them still may."""
    return all(
        first_word(one.marked) in _READS and not any(has_word(one.marked, w) for w in _WRITES)
        for one in statements
    )


def _without_transaction_control(whole: RenderedSql, name: str) -> RenderedSql:
    try:
        refuse_transaction_control(whole.marked)
    except RefusedSql as error:
        raise RefusedSql(f"{name}: {error}") from None
    return whole


def _statements(whole: RenderedSql, name: str) -> list[RenderedSql]:
    statements = whole.statements()
    if not statements:
        raise RefusedSql(f"{name}: contains no statement")
    return statements


def _context(params: dict[str, Any] | None) -> dict[str, Any]:
    attempt = jobapi.current()
    due = attempt.logical_date
    return {
        "params": params or {},
        "logical_date": due,
        "run": {"id": attempt.run_id, "logical_date": due, "date": due and due.date()},
        "job": {"id": attempt.job_id, "attempt": attempt.attempt, "step": attempt.step},
    }
