"""SyncTable: carry over what has changed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from headrace import jobapi
from headrace.errors import InvalidPayload
from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, IN_SQL, CheckedJob
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.statements.previews import ALL_COLUMNS, NEEDS_STAGED, named_table, of_stage_table
from headrace.jobs.tables.expectations import Expectation, Expected
from headrace.jobs.tables.key_merge import written_by_key
from headrace.jobs.tables.masks import MaskGiven, read_masks, salted
from headrace.jobs.tables.row_storage import Staged
from headrace.jobs.tables.schema_drift import KeepingTable
from headrace.jobs.tables.staging_table import STAGED_SQL, lock_name
from headrace.jobs.tables.table_catalog import Table, unquoted
from headrace.jobs.transfer.chunk_progress import chunks_reached, keep_chunks
from headrace.jobs.transfer.chunks import next_chunk
from headrace.jobs.transfer.copy_forecast import looking_at, of_sync
from headrace.jobs.transfer.first_copy import first_copy
from headrace.jobs.transfer.history import HistoryGiven
from headrace.jobs.transfer.merging import DeleteMissing, Merge, MergeStrategy, key_of, merge
from headrace.jobs.transfer.other_copy import SyncsOthers
from headrace.jobs.transfer.query_source import NAME, from_query, read_query
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import Source, key_in, stage
from headrace.jobs.transfer.watermark import Incremental, IncrementalGiven, Progress, begin
from headrace.model.forecast import Forecast
from headrace.template import Preview

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class SyncTable(SyncsOthers, CheckedJob):
    """Update a table from another by key: only rows that differ are written.

    An existing target keeps its definition, owner, privileges and other columns; a missing one is
    created, with the key, and NOT NULL, constant defaults and comments of the source. The
    sequences of its columns continue after the copied values. Two values differ if they are
    stored differently: 1.0 and 1.00 do. A trigger or a rule of the target that prevents the insert,
    update or deletion of a row fails the job. The result is
    `{inserted, updated, deleted, table}`; with soft deletes `restored`, too.

    Parameters:
        source_table: the table or view to read.
        source_sql: a SELECT to read instead; its rows travel as text.
        target_table: the table to update.
        primary_key: the column, or columns, that match rows; never null in the source. As the
            target calls them.
        key: another name of primary_key.
        columns: the columns to copy, key included; default all of the source's.
        select: the columns as a list of `name`, `-name` (all but this one) and `name as other`.
        where: a condition in SQL that the source's rows meet.
        mask: what to put in place of a column's values: hash, null, `partial:4` (only the last
            four characters stay), `{constant: …}`, `fake:name` and others. NULL stays NULL.
        mask_salt: the secret for hash and fake, as `{env: NAME}`, a variable of the worker.
        incremental: read only what is new: `{cursor: updated_at}`, the column that grows. Also
            rows that were committed late are read. `lag`, as in 10m, reads a window before the
            greatest value instead, which can use an index; `initial_value` is where to begin;
            `on_null`: include (default), exclude or fail.
        merge_strategy: upsert (default); insert_only leaves rows that are there as they are;
            delete_insert deletes all rows of each key that has come, and inserts what has come
            (a table that is created has the source's primary key then, as keys may repeat);
            scd2 keeps every version of a row.
        update_columns: the columns that an upsert changes in rows that are there; default all.
        scd2: names for `valid_from`, `valid_to` and, if it is wanted, `current`;
            `hard_deletes: invalidate` ends the versions of keys that the source no longer has.
        delete_missing: what becomes of rows that the source no longer has: none; hard deletes
            them; soft sets `_deleted_at`.
        delete: `true` is delete_missing: hard.
        on_schema_change: what to do if the target lacks a column, or has one that cannot take
            the source's values: fail; ignore new columns; append_new_columns; sync_all_columns,
            which also changes types.
        chunk_size: rows a chunk, each committed by itself, so that a retry goes on after the last
            one; readers see the chunks that are done. In the order of the cursor, or of the key.
            Not with expect, checks or deletes.
        expect: fail, and save nothing, if the numbers are others: `rows` (read from the source),
            as in ">0"; `max_delete`, rows or a share of the target's rows that may be deleted,
            as in 5%.
        source_connection: the database of the source; default `connection`.
        target_connection: the database of the target; default `connection`.
    """

    other_databases: ClassVar[tuple[str, ...]] = (
        "connection",
        "source_connection",
        "target_connection",
    )
    result_keys: ClassVar = {
        "inserted": int,
        "updated": int,
        "deleted": int,
        "restored": int,
        "chunks": int,
        "table": str,
        **CHECK_RESULT,
    }
    tables_read = ("source_table",)
    tables_written = ("target_table",)
    tables_made = ("target_table",)
    role_where = "target_connection"
    in_sql: ClassVar[tuple[str, ...]] = ("where", "source_sql", *IN_SQL)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        source_table: str | None = None,
        target_table: str | None = None,
        key: str | list[str] | None = None,
        *,
        source_sql: str | None = None,
        primary_key: str | list[str] | None = None,
        columns: list[str] | None = None,
        select: list[str] | None = None,
        where: str | None = None,
        mask: dict[str, MaskGiven] | None = None,
        mask_salt: dict[Literal["env"], str] | None = None,
        incremental: IncrementalGiven | None = None,
        merge_strategy: MergeStrategy = "upsert",
        update_columns: list[str] | None = None,
        scd2: HistoryGiven | None = None,
        delete_missing: DeleteMissing | None = None,
        delete: bool = False,
        on_schema_change: KeepingTable = "fail",
        chunk_size: int | None = None,
        expect: Expected | None = None,
        source_connection: str | None = None,
        target_connection: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._choose(source_table, source_sql, target_table)
        self.key = key_of(key, primary_key, columns)
        self.columns, self.mask_salt, self.masks = columns, mask_salt, read_masks(mask, mask_salt)
        self.selection = Selection.read(columns, select, where, self.masks)
        self.incremental, self.chunk_size = Incremental.read(incremental), chunk_size
        gone: DeleteMissing = delete_missing or ("hard" if delete else "none")
        self.merge = Merge.read(
            merge_strategy, gone, update_columns, scd2, on_schema_change, Expectation.read(expect)
        )
        self._refuse_together(deletes=delete, expects=expect is not None)
        self.source_connection = source_connection or self.connection
        self.target_connection = target_connection or self.connection
        self.refuse_checks_of(target_table)

    def _choose(
        self, source_table: str | None, source_sql: str | None, target_table: str | None
    ) -> None:
        if not target_table:
            raise InvalidPayload("target_table is missing: the table to update")
        if (source_table is None) == (source_sql is None):
            raise InvalidPayload("SyncTable takes either source_table or source_sql")
        self.query = None if source_sql is None else read_query(source_sql)
        self.source_table, self.target_table = source_table or NAME, target_table

    def _refuse_together(self, *, deletes: bool, expects: bool) -> None:
        incremental = self.incremental is not None
        self.merge.check(self.key, incremental=incremental, deletes=deletes)
        if self.chunk_size is None:
            return
        self.merge.check_chunks(self.chunk_size, incremental=incremental)
        if expects or self.checks:
            raise InvalidPayload(
                "expect and checks judge one transaction, and chunks are committed by themselves: "
                "leave chunk_size out, or check the table in a step of its own"
            )

    def handle(self) -> dict[str, Any]:
        logger.info("Synchronising %s into %s", self.source_table, self.target_table)
        self.refuse_for_others()
        selection = replace(self.selection, masks=salted(self.masks, self.mask_salt))
        if self.kind_of(self.target_connection) != "postgresql":
            result = self.into_other()
        elif self.chunk_size is not None:
            result = self._in_chunks(selection, self.chunk_size)
        else:
            with (
                self.session(self.target_connection) as target,
                self.opened(target, selection) as source,
            ):
                result = self._read(target, source)
        logger.info("Synchronised %s: %s", self.target_table, result)
        told = {**result, "table": self.target_table}
        return self.judged(told, self.target_table, self.target_connection)

    def _in_chunks(self, selection: Selection, size: int) -> dict[str, int]:
        job = jobapi.current().job_id
        totals = dict.fromkeys(("inserted", "updated", "deleted", "chunks"), 0)
        first: Progress | None = None
        after: Sequence[str] | None = None
        while True:
            number = totals["chunks"] + 1
            label = f"attempt {jobapi.current().attempt}, chunk {number}"
            with self.batch(label, self.target_connection) as target:
                assert target is not None, "a label is used once an attempt"
                with self.opened(target, selection) as source:
                    progress = self._begun(target, source)
                    first = first or progress
                    if number == 1 and progress is None:
                        after = chunks_reached(target, self.target_table, job)
                    by = [progress.cursor] if progress else self._key_in(source.model)
                    chunk = next_chunk(progress.source if progress else source, by, after, size)
                    if progress is not None and first is not None:
                        progress.go_on_from(first, ended=chunk.end is None)
                    result = self._merge(target, chunk.source, progress)
                    if progress is None:
                        keep_chunks(target, self.target_table, job, chunk.end)
            totals = {name: total + result.get(name, 1) for name, total in totals.items()}
            logger.info("Chunk %d is committed: %s", number, totals)
            after = chunk.end
            if after is None:
                return totals

    def _begun(self, target: "Session", source: Source, *, stores: bool = True) -> Progress | None:
        if stores:
            # Nobody else loads into the table between the look at the watermark and its change.
            lock_name(target, self.target_table)
        if self.incremental is None:
            return None
        return begin(
            target,
            source,
            self.incremental,
            table=self.target_table,
            connection=self.source_connection,
            stores=stores,
        )

    def _read(self, target: "Session", source: Source) -> dict[str, int]:
        progress = self._begun(target, source) if self.incremental is not None else None
        return self._merge(target, progress.source if progress else source, progress)

    def _merge(
        self, target: "Session", source: Source, progress: Progress | None
    ) -> dict[str, int]:
        key = self._key_in(source.model)
        self.merge.refuse_unknown(source.model)
        lock_name(target, self.target_table)
        rows = first_copy(target, self.target_table, source, key) if self.merge.plain else None
        if rows is not None:
            self.merge.expect.check_rows(rows, self.target_table)
            if progress is not None:
                table = named_table(self.target_table)
                progress.store(target, progress.greatest(target, table))
            return {"inserted": rows, "updated": 0, "deleted": 0}
        rows = stage(source, target, self.target_table)
        staged = Staged(rows, source.model)
        if progress is None:
            return merge(target, self.target_table, staged, key, self.merge)
        greatest = progress.greatest(target, STAGED_SQL)
        result = merge(target, self.target_table, staged, key, self.merge)
        progress.store(target, greatest)
        return result

    def forecast(self) -> Forecast:
        ends = self.source_connection, self.target_connection
        with looking_at(self, *ends, self._new_rows) as (looking, source):
            self.merge.refuse_unknown(source.model)
            return of_sync(
                looking, source, self.target_table, self._key_in(source.model), self.merge
            )

    @contextmanager
    def _new_rows(self, target: "Session") -> Iterator[Source]:
        selection = replace(self.selection, masks=salted(self.masks, self.mask_salt))
        with self.opened(target, selection) as source:
            progress = self._begun(target, source, stores=False)
            yield progress.source if progress else source

    def preview(self) -> Iterator[Preview]:
        if self.with_others:
            yield self.other_preview()
            return
        source, target = self.source_connection, self.target_connection
        if self.query is not None:
            yield Preview(packaged_sql("no_rows", query=from_query(self.query)), source)
        else:
            yield from of_stage_table(
                self.source_table, self.columns, source, target, self.selection.where
            )
        table = named_table(self.target_table)
        lock = self.sql("lock_rows", table=table)
        yield Preview(lock, target, f"where {self.target_table} is missing, it is created instead")
        key = [unquoted(name) for name in self.key]
        columns = [unquoted(name) for name in self.columns or [*key, *ALL_COLUMNS]]
        update: bool | Sequence[str] = self.merge.update_columns or self.merge.strategy == "upsert"
        write = written_by_key(
            table, columns, key, delete=self.merge.delete_missing == "hard", update=update
        )
        yield Preview(write, target, unexplained=NEEDS_STAGED)
        yield from self.check_previews(self.target_table, target)

    def _key_in(self, model: Table) -> list[str]:
        return key_in(model, self.key, self.source_table)
