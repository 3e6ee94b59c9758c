"""Runs SQL that a user wrote: a file or inline, one or more statements."""

from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult
from sqlalchemy.orm import Session

from jobs.base import execute
from runner import jobapi
from runner.errors import JobFailure, RefusedSql
from runner.template import (
    RenderedSql,
    first_word,
    has_word,
    needs_autocommit,
    refuse_transaction_control,
    render,
)

ROWS_KEPT = 100
_READS = ("SELECT", "VALUES", "TABLE")


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
    try:
        return Source(path.read_text(encoding="utf-8-sig"), sql_path, path)
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise JobFailure(f"{sql_path}:{line}: is not UTF-8: {error.reason}") from None


def render_script(source: Source, params: dict[str, Any] | None) -> list[RenderedSql]:
    """Return the statements of a user's SQL, ready to run in the job's transaction.

    Templates see `params`, `run.id`, `run.logical_date`, `logical_date` and `job`.

    Raises:
        TemplateError: the template fails.
        RefusedSql: it holds transaction control, or nothing at all.
    """
    statements = rendered_whole(source, params).statements()
    if not statements:
        raise RefusedSql(f"{source.name}: holds no statement")
    return statements


def rendered_whole(source: Source, params: dict[str, Any] | None) -> RenderedSql:
    """Return the same in one piece. Raises as `render_script`, but takes nothing at all."""
    rendered = render(source.text, _context(params), name=source.name)
    try:
        refuse_transaction_control(rendered.marked)
    except RefusedSql as error:
        raise RefusedSql(f"{source.name}: {error}") from None
    return rendered


def run_statements(
    target: Session | Connection, statements: list[RenderedSql], *, keep: int = ROWS_KEPT
) -> dict[str, Any]:
    """Run statements in turn and return the last one's outcome, see `outcome`.

    Raises:
        RefusedSql: one of them cannot run inside a transaction, and `target` is a session.
    """
    result: dict[str, Any] = {}
    for statement in statements:
        if isinstance(target, Session):
            refuse_outside_transaction(statement)
        reads = isinstance(target, Session) and _only_reads(statement)
        with execute(target, statement, stream=reads) as cursor:
            result = outcome(cursor, keep)
    return result


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


def outcome(cursor: CursorResult[Any], keep: int = ROWS_KEPT) -> dict[str, Any]:
    """Return `{row_count}`, with the first `keep` rows and `columns` where there are rows."""
    if not cursor.returns_rows:
        return {"row_count": max(0, cursor.rowcount)}
    columns = list(cursor.keys())
    rows: list[dict[str, Any]] = []
    count = 0
    for row in cursor:
        if count < keep:
            rows.append(dict(zip(columns, map(as_json, row), strict=True)))
        count += 1
    return {"row_count": count, "columns": columns, "rows": rows}


def as_json(value: Any) -> Any:
    """Return a column's value as JSON has it.

    Dates and times are ISO 8601, a span is its seconds. `numeric` becomes a number, exact where
    it is whole; cast it to text in the SQL where every decimal place counts.
    """
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    return int(value) if value == value.to_integral_value() else float(value)


def _only_reads(statement: RenderedSql) -> bool:
    text = statement.marked
    return first_word(text) in _READS and not has_word(text, "INTO")


def _context(params: dict[str, Any] | None) -> dict[str, Any]:
    attempt = jobapi.current()
    return {
        "params": params or {},
        "logical_date": attempt.logical_date,
        "run": {"id": attempt.run_id, "logical_date": attempt.logical_date},
        "job": {"id": attempt.job_id, "attempt": attempt.attempt, "step": attempt.step},
    }
