"""MirrorTable: a full copy of a table, or of several at once."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from headrace.errors import InvalidPayload
from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, IN_SQL, CheckedJob
from headrace.jobs.mirroring.arrivals import Manner, Verify
from headrace.jobs.mirroring.copies import Choice, Copy
from headrace.jobs.mirroring.made_tables import ForeignKeys, Indexes
from headrace.jobs.mirroring.parallel_reading import ParallelReading
from headrace.jobs.mirroring.parts import read_jobs
from headrace.jobs.mirroring.snapshot_copy import copy_tables
from headrace.jobs.statements.previews import of_stage_table, of_store
from headrace.jobs.tables.expectations import Expectation, Expected
from headrace.jobs.tables.masks import MaskGiven, read_masks, salted
from headrace.jobs.tables.row_replacement import ReplaceStrategy
from headrace.jobs.tables.row_storage import Staged, store_staged
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.staging_table import lock_name
from headrace.jobs.transfer.copy_forecast import looking_at, of_mirror, together
from headrace.jobs.transfer.first_copy import first_copy
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import Source, open_source, stage
from headrace.model.forecast import Forecast
from headrace.template import Preview

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# Keys that need the way of several tables, also for one.
_OF_SNAPSHOTS = {"indexes", "foreign_keys", "reset_sequences", "verify", "jobs"}
_NO_SWAP = (
    "replace_strategy: swap puts a new table under the old name, which would lose its privileges, "
    "policies, triggers, and the views and foreign keys that refer to it, and makes readers wait: "
    "take insert_from_staging, or truncate_and_insert"
)


class MirrorTable(CheckedJob):
    """Replace all rows of one table, or of several, with those of others, also across databases.

    The rows are staged first; the targets change in one step when the job commits. An existing
    target keeps its definition, owner, privileges, indexes and other columns; a missing one is
    created, with the source's primary key, NOT NULL, constant defaults and comments. The
    sequences of its columns continue after the copied values. The job fails if a trigger or a rule
    of a target prevents the deletion of an old row or the insert of a new one, or if rows of a
    table that inherits from it would be deleted. The result is `{row_count, table}`, or with
    `tables` `{row_count, tables}`, the rows of each.

    With `tables` all are read in one snapshot of the source and published in one transaction, in
    the order of their foreign keys: a reader sees the old rows of all of them, or the new ones.

    Parameters:
        source_table: the table or view to copy.
        target_table: the table to fill. If another table's foreign key refers to it, its rows
            are written by key.
        tables: several tables instead: names and patterns, as in
            `["public.*", "!public.audit_*"]`. Views are copied only by their full names.
        target_schema: the schema of the target tables; default the source's. With `tables`.
        columns: the columns to copy; default all.
        select: the columns as a list of `name`, `-name` (all but this one) and `name as other`.
        where: a condition in SQL that the source's rows meet. With `tables` a mapping,
            `{public.orders: "day > '2026-01-01'"}`.
        mask: what to put in place of a column's values: hash, null, `partial:4` (only the last
            four characters stay), `{constant: …}`, `fake:name` and others. NULL stays NULL. With
            `tables` by table and column, `{customer.email: hash}`.
        mask_salt: the secret for hash and fake, as `{env: NAME}`, a variable of the worker.
        on_schema_change: what to do if the target lacks a column, or has one that cannot take
            the source's values: fail; ignore new columns; append_new_columns; sync_all_columns,
            which also changes types and drops columns that the source lacks; recreate, which
            drops the table with its privileges.
        replace_strategy: insert_from_staging deletes the old rows and inserts the new ones, and
            no reader waits; truncate_and_insert leaves no dead rows, but readers wait meanwhile.
            swap, a new table under the old name, is refused: it loses what others made of it.
        indexes: which indexes a table gets that the job creates: after (those of the source, made
            when the rows are there), keep (its primary key only) or none.
        foreign_keys: which foreign keys of the source such a table gets: check, not_valid (those
            rows are not checked) or none. Only those that lead to another of the tables.
        jobs: how many connections read at once, all in one snapshot; as many write to staging
            tables in the schema `headrace` of the target, and the publish is still one transaction.
        split_tables_larger_than: a size such as 2GB; larger tables, and partitions, are read in
            parts of about that size. Needs `jobs`.
        reset_sequences: whether the sequences continue after the copied values.
        verify: what is compared before the commit: none, count (rows read and rows there) or
            checksum (their values, too).
        expect: fail, and save nothing, if the numbers are others: `rows`, as in ">0";
            `max_delete`, rows or a share of the target's rows that may be deleted, as in 5%. With
            `tables` for each of them.
        source_connection: the database of the source; default `connection`.
        target_connection: the database of the target; default `connection`.
    """

    result_keys: ClassVar = {"row_count": int, "table": str, "tables": dict, **CHECK_RESULT}
    tables_read = ("source_table",)
    tables_written = ("target_table",)
    tables_made = ("target_table",)
    in_sql: ClassVar[tuple[str, ...]] = ("where", "where.*", *IN_SQL)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        source_table: str | None = None,
        target_table: str | None = None,
        *,
        tables: list[str] | None = None,
        target_schema: str | None = None,
        columns: list[str] | None = None,
        select: list[str] | None = None,
        where: str | dict[str, str] | None = None,
        mask: dict[str, MaskGiven] | None = None,
        mask_salt: dict[Literal["env"], str] | None = None,
        on_schema_change: OnSchemaChange = "fail",
        replace_strategy: ReplaceStrategy | Literal["swap"] = "insert_from_staging",
        indexes: Indexes = "after",
        foreign_keys: ForeignKeys = "check",
        jobs: int = 1,
        split_tables_larger_than: str | None = None,
        reset_sequences: bool = True,
        verify: Verify = "count",
        expect: Expected | None = None,
        source_connection: str | None = None,
        target_connection: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_table, self.target_table = source_table or "", target_table or ""
        self.columns, self.mask_salt = columns, mask_salt
        self.masks = read_masks(mask, mask_salt)
        self._refuse_together(tables, target_schema, select, where)
        self._choose(tables, target_schema, select, where)
        self.manner = Manner(
            on_schema_change, _not_swap(replace_strategy), indexes, foreign_keys, reset_sequences,
            verify, Expectation.read(expect),
        )  # fmt: skip
        self.jobs, self.most_bytes = read_jobs(jobs, split_tables_larger_than)
        self.source_connection = source_connection or self.connection
        self.target_connection = target_connection or self.connection
        self.refuse_checks_of(target_table)

    def handle(self) -> dict[str, Any]:
        if self.choice is None and not self.payload.keys() & _OF_SNAPSHOTS:
            return self._mirror_one()
        ends = (self.source_connection, self.target_connection)
        many = self.jobs > 1
        rows = copy_tables(
            self,
            self._copies,
            self.manner,
            source_connection=self.source_connection,
            target_connection=self.target_connection,
            parallel=ParallelReading(self, ends, self.jobs, self.most_bytes) if many else None,
        )
        total = sum(rows.values())
        logger.info("Mirrored %d rows into %d tables", total, len(rows))
        told: dict[str, Any] = {"table": self.target_table}
        if self.choice is not None:
            told = {"tables": rows}
        result = {"row_count": total, **told}
        return self.judged(result, self.target_table or None, self.target_connection)

    def _copies(self, source: "Session") -> list[Copy]:
        masks = salted(self.masks, self.mask_salt)
        if self.choice is not None:
            return self.choice.copies(source, masks)
        selection = replace(self.selection, masks=masks)
        return [Copy(self.source_table, self.target_table, selection)]

    def _mirror_one(self) -> dict[str, Any]:
        """Copy one table on as few connections as can be, within one database by a statement."""
        logger.info("Mirroring %s into %s", self.source_table, self.target_table)
        selection = replace(self.selection, masks=salted(self.masks, self.mask_salt))
        with (
            self.session(self.target_connection) as target,
            open_source(
                self,
                target,
                self.source_table,
                selection,
                source_connection=self.source_connection,
                target_connection=self.target_connection,
            ) as source,
        ):
            rows = self._replace(target, source)
        logger.info("Mirrored %d rows into %s", rows, self.target_table)
        result = {"row_count": rows, "table": self.target_table}
        return self.judged(result, self.target_table, self.target_connection)

    def _replace(self, target: "Session", source: Source) -> int:
        expect = self.manner.expect
        lock_name(target, self.target_table)
        rows = first_copy(target, self.target_table, source)
        if rows is not None:
            expect.check_rows(rows, self.target_table)
            return rows
        rows = stage(source, target, self.target_table)
        store_staged(
            target,
            self.target_table,
            Staged(rows, source.model),
            on_schema_change=self.manner.on_schema_change,
            strategy=self.manner.strategy,
            expect=expect,
        )
        return rows

    def forecast(self) -> Forecast:
        ends = self.source_connection, self.target_connection
        with self.session(self.source_connection, read_only=True) as session:
            copies = self._copies(session)
        found = []
        for copy in copies:
            with looking_at(self, *ends, partial(self._opened_for, copy)) as (looking, source):
                policy, expect = self.manner.on_schema_change, self.manner.expect
                found.append(of_mirror(looking, source, copy.target, policy, expect))
        return together(found)

    def _opened_for(self, copy: Copy, target: "Session") -> "AbstractContextManager[Source]":
        return open_source(
            self,
            target,
            copy.source,
            copy.selection,
            source_connection=self.source_connection,
            target_connection=self.target_connection,
        )

    def preview(self) -> Iterator[Preview]:
        source, target = self.source_connection, self.target_connection
        if self.choice is not None:
            note = "the tables that `tables` means; each is copied, and all are published together"
            yield Preview(self.sql("tables_there"), source, note)
            yield from self.check_previews(None, target)
            return
        yield from of_stage_table(self.source_table, self.columns, source, target, self.where)
        yield from of_store(self.target_table, target, self.columns, self.manner.strategy)
        yield from self.check_previews(self.target_table, target)

    def _choose(
        self,
        tables: list[str] | None,
        target_schema: str | None,
        select: list[str] | None,
        where: str | dict[str, str] | None,
    ) -> None:
        self.where = where if isinstance(where, str) else None
        self.choice: Choice | None = None
        if tables is not None:
            by_table = where if isinstance(where, dict) else {}
            self.choice = Choice.read(tables, target_schema, by_table, self.masks)
        else:
            self.selection = Selection.read(self.columns, select, self.where, self.masks)

    def _refuse_together(
        self,
        tables: list[str] | None,
        target_schema: str | None,
        select: list[str] | None,
        where: str | dict[str, str] | None,
    ) -> None:
        """Refuse keys of one table beside those of several, and the other way round.

        Raises:
            InvalidPayload: naming both.
        """
        if tables is None:
            if not (self.source_table and self.target_table):
                raise InvalidPayload(
                    "MirrorTable takes source_table and target_table, or tables, several of them"
                )
            if target_schema is not None or isinstance(where, dict):
                key = "target_schema" if target_schema is not None else "where by table"
                raise InvalidPayload(f"{key} belongs to tables")
            return
        if self.source_table or self.target_table:
            raise InvalidPayload("tables and source_table or target_table do not go together")
        if self.columns is not None or select is not None:
            raise InvalidPayload("columns and select belong to one source_table, not to tables")
        if isinstance(where, str):
            raise InvalidPayload(
                'with tables where says which one it is for: where: {public.orders: "…"}'
            )


def _not_swap(strategy: ReplaceStrategy | Literal["swap"]) -> ReplaceStrategy:
    if strategy == "swap":
        raise InvalidPayload(_NO_SWAP)
    return strategy
