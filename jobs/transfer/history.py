"""Keeps every version of a row (SCD2): from when until when its values were current."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import Expectation
from headrace.jobs.tables.key_merge import Written
from headrace.jobs.tables.local_settings import enough_work_memory
from headrace.jobs.tables.row_storage import Staged, ready_by_key
from headrace.jobs.tables.schema_drift import KeepingTable
from headrace.jobs.tables.staging_table import CHANGES, STAGED, drop_staged, lock_name, staged_table
from headrace.jobs.tables.table_catalog import Column, Table, writable_table
from headrace.jobs.tables.table_creation import add_key, make_table
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

HistoryGiven = dict[Literal["valid_from", "valid_to", "current", "hard_deletes"], str]


@dataclass(frozen=True, slots=True)
class History:
    """The parameter `scd2`: the names of the columns that tell when a version was current.

    Where `valid_to` is NULL it still is; `current` says so in a boolean, too. With `invalidates`
    a version ends when its key is missing in the source.
    """

    valid_from: str = "valid_from"
    valid_to: str = "valid_to"
    current: str | None = None
    invalidates: bool = False

    @classmethod
    def read(cls, given: Mapping[Any, Any] | None) -> Self:
        """Read the parameter.

        Raises:
            InvalidPayload: it says something that is not known.
        """
        given = given or {}
        deletes = given.get("hard_deletes", "ignore")
        if deletes not in ("ignore", "invalidate"):
            raise InvalidPayload("scd2.hard_deletes is ignore or invalidate")
        found = cls(
            given.get("valid_from", "valid_from"),
            given.get("valid_to", "valid_to"),
            given.get("current"),
            deletes == "invalidate",
        )
        if len(set(found.names)) < len(found.names):
            raise InvalidPayload("scd2 gives two columns the same name")
        return found

    @property
    def names(self) -> list[str]:
        """The columns that the history adds."""
        return [self.valid_from, self.valid_to, *([self.current] if self.current else [])]


def store_versions(
    session: "Session",
    table: str,
    staged: Staged,
    key: Sequence[str],
    history: History,
    *,
    policy: KeepingTable,
    expect: Expectation,
) -> Written:
    """Bring the current versions in `table` to the staged rows; older ones stay.

    Returns how many keys are new, have a new version, and were ended.

    Raises:
        JobFailure: the table is none with versions, or as `row_storage.merge_staged`.
    """
    expect.check_rows(staged.rows, table)
    refuse_own_columns([column.name for column in staged_table(session).columns], history)
    lock_name(session, table)
    target = writable_table(session, table)
    if target is None:
        target = _made(session, table, staged, key, history)
    refuse_without(target, history)
    ready = ready_by_key(session, target, staged, key, policy, filled=history.names)
    before = _current(session, target, history)
    versions = _Versions(session, target, list(key), history)
    with enough_work_memory(session):
        written = versions.write(ready)
    expect.check_deleted(written.deleted, before, table)
    drop_staged(session)
    return written


@dataclass(frozen=True, slots=True)
class _Versions:
    """The statements that end versions and begin others, at one instant."""

    session: "Session"
    target: Table
    key: list[str]
    history: History

    def write(self, columns: Sequence[Column]) -> Written:
        names = [column.name for column in columns]
        always = any(column.identity == "a" for column in columns)
        at = self._run("history_boundary", valid_from=self.history.valid_from).scalar()
        drop_staged(self.session, CHANGES)
        rest = [name for name in names if name not in self.key]
        self._run("history_changes", changed=CHANGES, staged=STAGED, rest=rest)
        gone = 0
        if self.history.invalidates:
            gone = self._run("history_close", rows=STAGED, missing=True, at=at).rowcount
        closed = self._run("history_close", rows=CHANGES, missing=False, at=at).rowcount
        opened = self._run(
            "history_open",
            columns=names,
            valid_from=self.history.valid_from,
            changed=CHANGES,
            at=at,
            always=always,
        ).rowcount
        drop_staged(self.session, CHANGES)
        return Written(inserted=opened - closed, updated=closed, deleted=gone)

    def _run(self, template: str, **values: Any) -> Any:
        common = {
            "table": self.target.sql,
            "key": self.key,
            "valid_to": self.history.valid_to,
            "current": self.history.current,
        }
        return execute(self.session, packaged_sql(template, **common, **values))


def _made(
    session: "Session", table: str, staged: Staged, key: Sequence[str], history: History
) -> Table:
    made = make_table(session, table, staged_table(session).columns, model=staged.model)
    added = [f"{quote_name(history.valid_from)} timestamptz NOT NULL DEFAULT now()",
             f"{quote_name(history.valid_to)} timestamptz"]  # fmt: skip
    if history.current:
        added.append(f"{quote_name(history.current)} boolean NOT NULL DEFAULT true")
    for column in added:
        declared = RenderedSql(column, {})
        execute(session, packaged_sql("add_column", table=made.sql, column=declared))
    found = writable_table(session, table)
    assert found is not None, "the table was just created"
    add_key(session, found, model=None, key=[*key, history.valid_from])
    found = writable_table(session, table)
    assert found is not None, "it has a key now"
    return found


def refuse_own_columns(names: Sequence[str], history: History) -> None:
    """Refuse a source with a column that is the history's own.

    Raises:
        JobFailure: saying what to do.
    """
    taken = [name for name in history.names if name in names]
    if taken:
        raise JobFailure(
            f"the source has a column {taken[0]}, which merge_strategy: scd2 fills itself: leave "
            "it out or rename it in `select`, or give the column another name in `scd2`"
        )


def refuse_without(target: Table, history: History) -> None:
    """Refuse a table that lacks the columns of a history.

    Raises:
        JobFailure: saying how to add them.
    """
    there = {column.name for column in target.columns}
    missing = [name for name in history.names if name not in there]
    if missing:
        kind = "boolean" if missing[0] == history.current else "timestamptz"
        raise JobFailure(
            f"{target.written} has no column {missing[0]}, which merge_strategy: scd2 needs: ALTER "
            f"TABLE {target.sql.display} ADD COLUMN {quote_name(missing[0])} {kind}, or name "
            "another column in `scd2`, or let the job create the table"
        )


def _current(session: "Session", target: Table, history: History) -> int:
    condition = RenderedSql(f"{quote_name(history.valid_to)} IS NULL", {})
    statement = packaged_sql("count_where", table=target.sql, condition=condition)
    return int(execute(session, statement).scalar() or 0)
