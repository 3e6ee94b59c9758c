"""Brings a table to the rows that a copy has read, by the strategy that a step asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import Expectation
from headrace.jobs.tables.kept_rows import refuse_heirs
from headrace.jobs.tables.key_merge import Written
from headrace.jobs.tables.row_replacement import insert_statement
from headrace.jobs.tables.row_storage import Staged, merge_staged, ready_by_key
from headrace.jobs.tables.schema_drift import KeepingTable
from headrace.jobs.tables.sequences import advance_sequences
from headrace.jobs.tables.staging_table import STAGED, drop_staged, lock_name, lock_rows
from headrace.jobs.tables.table_catalog import Table, named, unquoted, writable_table
from headrace.jobs.tables.table_creation import make_of_staged
from headrace.jobs.transfer.history import History, HistoryGiven, store_versions
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MergeStrategy = Literal["upsert", "delete_insert", "insert_only", "scd2"]
DeleteMissing = Literal["none", "hard", "soft"]
DELETED_AT = "_deleted_at"


@dataclass(frozen=True, slots=True)
class Merge:
    """How rows are merged; the parameters of the same names."""

    strategy: MergeStrategy = "upsert"
    delete_missing: DeleteMissing = "none"
    update_columns: tuple[str, ...] | None = None
    history: History = field(default_factory=History)
    on_schema_change: KeepingTable = "fail"
    expect: Expectation = field(default_factory=Expectation)

    @classmethod
    def read(
        cls,
        strategy: MergeStrategy,
        delete_missing: DeleteMissing,
        update_columns: Sequence[str] | None,
        scd2: HistoryGiven | None,
        on_schema_change: KeepingTable,
        expect: Expectation,
    ) -> Self:
        """Read the parameters.

        Raises:
            InvalidPayload: one of them cannot be read, or has no use with the strategy.
        """
        if scd2 is not None and strategy != "scd2":
            raise InvalidPayload("scd2 belongs to merge_strategy: scd2")
        updated = None if update_columns is None else tuple(map(unquoted, update_columns))
        history = History.read(scd2)
        return cls(strategy, delete_missing, updated, history, on_schema_change, expect)

    def check(self, key: Sequence[str], *, incremental: bool, deletes: bool) -> None:
        """Refuse parameters that contradict each other; `deletes` is what `delete` says.

        Raises:
            InvalidPayload: naming both.
        """
        if deletes and self.delete_missing != "hard":
            raise InvalidPayload("delete: true is delete_missing: hard: keep one of them")
        if self.strategy == "scd2" and self.delete_missing != "none":
            raise InvalidPayload(
                "merge_strategy: scd2 deletes nothing: scd2.hard_deletes: invalidate ends the "
                "versions of missing keys"
            )
        if self.strategy == "delete_insert" and self.delete_missing == "soft":
            raise InvalidPayload(
                "delete_missing: soft marks rows that stay, and merge_strategy: delete_insert "
                "keeps none of a key: take hard, or another strategy"
            )
        if self.update_columns is not None and not self.update_columns:
            raise InvalidPayload(
                "update_columns must have at least one column: merge_strategy: insert_only changes "
                "none"
            )
        if self.update_columns is not None and self.strategy != "upsert":
            raise InvalidPayload(f"update_columns has no use with {self.strategy}")
        if self.update_columns is not None and set(self.update_columns) & set(map(unquoted, key)):
            raise InvalidPayload("update_columns must not have the key: rows are found by it")
        if incremental and (self.delete_missing != "none" or self.history.invalidates):
            raise InvalidPayload(
                "incremental reads only what is new, so nobody can tell what is missing: leave "
                "delete_missing (or scd2.hard_deletes) out, and let a step without incremental "
                "delete now and then"
            )

    def check_chunks(self, size: int, *, incremental: bool) -> None:
        """Refuse what cannot be done before all rows are there; `size` is `chunk_size`.

        Raises:
            InvalidPayload: naming it.
        """
        if size < 1:
            raise InvalidPayload(f"chunk_size must be at least 1, not {size}")
        if self.delete_missing != "none" or self.history.invalidates:
            raise InvalidPayload(
                "what is missing is known only when all rows are there: leave delete_missing (or "
                "scd2.hard_deletes) out beside chunk_size"
            )
        if self.strategy == "delete_insert" and incremental:
            raise InvalidPayload(
                "with incremental a chunk goes by the cursor, and delete_insert needs all rows of "
                "a key at once: leave chunk_size out"
            )

    def refuse_unknown(self, model: Table) -> None:
        """Refuse `update_columns` that are not read: nothing would be updated.

        Raises:
            JobFailure: naming the first such column.
        """
        named(model.columns, self.update_columns or (), f"what is read of {model.written}")

    @property
    def plain(self) -> bool:
        """Whether an empty table ends up with just the source's rows and columns."""
        return self.strategy in ("upsert", "insert_only") and self.delete_missing != "soft"


def key_of(
    key: str | list[str] | None, primary_key: str | list[str] | None, columns: list[str] | None
) -> list[str]:
    """Read the parameters `key` and `primary_key`, which are one.

    Raises:
        InvalidPayload: both are given, or none, or `columns` lacks it.
    """
    if key is not None and primary_key is not None:
        raise InvalidPayload("key is another name of primary_key: keep one of them")
    given = primary_key if key is None else key
    if given is None:
        raise InvalidPayload("primary_key is missing: the columns that match rows")
    found = [given] if isinstance(given, str) else given
    if not found:
        raise InvalidPayload("primary_key must have at least one column")
    if columns is not None and not set(map(unquoted, found)) <= set(map(unquoted, columns)):
        raise InvalidPayload("columns must include the key")
    return found


def merge(
    session: "Session", table: str, staged: Staged, key: Sequence[str], how: Merge
) -> dict[str, int]:
    """Merge the staged rows; returns how many rows were inserted, updated, deleted.

    Raises:
        JobFailure: as `row_storage.merge_staged`.
    """
    if how.strategy == "scd2":
        written = store_versions(
            session,
            table,
            staged,
            key,
            how.history,
            policy=how.on_schema_change,
            expect=how.expect,
        )
        return _numbers(written)
    if how.strategy == "delete_insert":
        return _numbers(_delete_insert(session, table, staged, key, how))
    soft = how.delete_missing == "soft"
    marked, restored = _mark(session, table, key, how.expect) if soft else (0, 0)
    written = merge_staged(
        session,
        table,
        staged,
        list(key),
        delete=how.delete_missing == "hard",
        update=how.update_columns or how.strategy == "upsert",
        on_schema_change=how.on_schema_change,
        expect=how.expect,
    )
    if not soft:
        return _numbers(written)
    _add_mark(session, table)
    return {**_numbers(written), "deleted": marked, "restored": restored}


def _numbers(written: Written) -> dict[str, int]:
    return {
        "inserted": written.inserted,
        "updated": written.updated,
        "deleted": written.deleted,
    }


def _mark(
    session: "Session", table: str, key: Sequence[str], expect: Expectation
) -> tuple[int, int]:
    """Mark the rows that are missing, and take the mark from those that are back."""
    lock_name(session, table)
    if writable_table(session, table) is None:
        return 0, 0
    target = _add_mark(session, table)
    missing = [name for name in key if name not in {column.name for column in target.columns}]
    if missing:
        raise JobFailure(f"{table} has no column {missing[0]!r}, which is the key")
    lock_rows(session, target)
    condition = RenderedSql(f"{quote_name(DELETED_AT)} IS NULL", {})
    count = packaged_sql("count_where", table=target.sql, condition=condition)
    before = int(execute(session, count).scalar() or 0)
    given = {"table": target.sql, "mark": DELETED_AT, "staged": STAGED, "key": list(key)}
    marked = execute(session, packaged_sql("mark_deleted", **given)).rowcount
    expect.check_deleted(marked, before, table)
    return marked, execute(session, packaged_sql("unmark_deleted", **given)).rowcount


def _add_mark(session: "Session", table: str) -> Table:
    target = writable_table(session, table)
    assert target is not None, "it was looked up"
    if DELETED_AT in {column.name for column in target.columns}:
        return target
    logger.info("%s gets the column %s", table, DELETED_AT)
    column = RenderedSql(f"{quote_name(DELETED_AT)} timestamptz", {})
    execute(session, packaged_sql("add_column", table=target.sql, column=column))
    found = writable_table(session, table)
    assert found is not None, "it was just changed"
    return found


def _delete_insert(
    session: "Session", table: str, staged: Staged, key: Sequence[str], how: Merge
) -> Written:
    """Delete all rows of each key that has come, and insert what has come; keys may repeat."""
    how.expect.check_rows(staged.rows, table)
    _refuse_null_key(session, staged, key)
    lock_name(session, table)
    target = writable_table(session, table)
    if target is None:
        # No key but the source's own: `key` may repeat.
        make_of_staged(session, table, staged.rows, model=staged.model)
        return Written(inserted=staged.rows)
    columns = ready_by_key(session, target, staged, key, how.on_schema_change, unique=False)
    refuse_heirs(session, target, key)
    count = packaged_sql("count_where", table=target.sql, condition=RenderedSql("true", {}))
    before = int(execute(session, count).scalar() or 0)
    given = {"table": target.sql, "staged": STAGED, "key": list(key)}
    gone = 0
    if how.delete_missing == "hard":
        gone = execute(session, packaged_sql("delete_missing", **given)).rowcount
        how.expect.check_deleted(gone, before, table)
    replaced = execute(session, packaged_sql("delete_keys", **given)).rowcount
    names = [column.name for column in columns]
    always = any(column.identity == "a" for column in columns)
    stored = execute(session, insert_statement(target.sql, names, always=always)).rowcount
    if stored != staged.rows:
        raise JobFailure(
            f"{target.written} took {stored} of {staged.rows} rows: a trigger or a rule of it "
            "keeps the others away"
        )
    advance_sequences(session, target, names)
    drop_staged(session)
    return Written(inserted=stored, deleted=gone + replaced)


def _refuse_null_key(session: "Session", staged: Staged, key: Sequence[str]) -> None:
    if execute(session, packaged_sql("null_key", staged=STAGED, key=list(key))).scalar():
        source = staged.model.written if staged.model else "the source"
        raise JobFailure(f"{source}: the key {', '.join(key)} is null in some rows")
