"""SyncTable: carry over what has changed."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.statements.previews import ALL_COLUMNS, NEEDS_STAGED, named_table, of_stage_table
from headrace.jobs.tables.expectations import Expectation, Expected
from headrace.jobs.tables.row_replacement import Written, written_by_key
from headrace.jobs.tables.row_storage import Staged, merge_staged
from headrace.jobs.tables.schema_drift import KeepingTable
from headrace.jobs.tables.staging_table import lock_name
from headrace.jobs.tables.table_catalog import Table, named, unquoted
from headrace.jobs.transfer.first_copy import first_copy
from headrace.jobs.transfer.source import Source, open_source, stage
from headrace.template import Preview


class SyncTable(BaseJob):
    """Update a table from another by key: only rows that differ are written.

    An existing target keeps its definition, owner, privileges and other columns; a missing one is
    created, with the key, and NOT NULL, constant defaults and comments of the source. The
    sequences of its columns continue after the copied values. Two values differ if they are
    stored differently: 1.0 and 1.00 do. A trigger or a rule of the target that prevents the insert,
    update or deletion of a row fails the job. The result is
    `{inserted, updated, deleted, table}`.

    Parameters:
        source_table: the table or view to read.
        target_table: the table to update.
        key: the column, or columns, that match rows; never null in the source.
        columns: the columns to copy, key included; default all of the source's.
        delete: remove rows from the target that the source no longer has.
        on_schema_change: what to do if the target lacks a column, or has one that cannot take
            the source's values: fail; ignore new columns; append_new_columns; sync_all_columns,
            which also changes types.
        expect: fail, and save nothing, if the numbers are others: `rows` (read from the source),
            as in ">0"; `max_delete`, rows or a share of the target's rows that may be deleted,
            as in 5%.
        source_connection: the database of the source; default `connection`.
        target_connection: the database of the target; default `connection`.
    """

    result_keys: ClassVar = {"inserted": int, "updated": int, "deleted": int, "table": str}
    tables_read = ("source_table",)
    tables_written = ("target_table",)
    tables_made = ("target_table",)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        source_table: str,
        target_table: str,
        key: str | list[str],
        *,
        columns: list[str] | None = None,
        delete: bool = False,
        on_schema_change: KeepingTable = "fail",
        expect: Expected | None = None,
        source_connection: str | None = None,
        target_connection: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_table, self.target_table = source_table, target_table
        self.key = [key] if isinstance(key, str) else key
        if not self.key:
            raise InvalidPayload("key must have at least one column")
        if columns is not None and not set(map(unquoted, self.key)) <= set(map(unquoted, columns)):
            raise InvalidPayload("columns must include the key")
        self.columns, self.delete, self.on_schema_change = columns, delete, on_schema_change
        self.expect = Expectation.read(expect)
        self.source_connection = source_connection or self.connection
        self.target_connection = target_connection or self.connection

    def handle(self) -> dict[str, Any]:
        logger.info("Synchronising %s into %s", self.source_table, self.target_table)
        with (
            self.session(self.target_connection) as target,
            open_source(
                self,
                target,
                self.source_table,
                self.columns,
                source_connection=self.source_connection,
                target_connection=self.target_connection,
            ) as source,
        ):
            written = self._merge(target, source)
        result = asdict(written)
        logger.info("Synchronised %s: %s", self.target_table, result)
        return {**result, "table": self.target_table}

    def _merge(self, target: Session, source: Source) -> Written:
        key = self._key_in(source.model)
        lock_name(target, self.target_table)
        rows = first_copy(target, self.target_table, source, key)
        if rows is not None:
            self.expect.check_rows(rows, self.target_table)
            return Written(inserted=rows)
        rows = stage(source, target, self.target_table)
        return merge_staged(
            target,
            self.target_table,
            Staged(rows, source.model),
            key,
            delete=self.delete,
            on_schema_change=self.on_schema_change,
            expect=self.expect,
        )

    def preview(self) -> Iterator[Preview]:
        source, target = self.source_connection, self.target_connection
        yield from of_stage_table(self.source_table, self.columns, source, target)
        table = named_table(self.target_table)
        lock = self.sql("lock_rows", table=table)
        yield Preview(lock, target, f"where {self.target_table} is missing, it is created instead")
        key = [unquoted(name) for name in self.key]
        columns = [unquoted(name) for name in self.columns or [*key, *ALL_COLUMNS]]
        write = written_by_key(table, columns, key, delete=self.delete)
        yield Preview(write, target, unexplained=NEEDS_STAGED)

    def _key_in(self, model: Table) -> list[str]:
        try:
            return [column.name for column in named(model.columns, self.key, "")]
        except JobFailure:
            there = {column.name for column in model.columns}
            missing = next(name for name in self.key if unquoted(name) not in there)
            raise JobFailure(f"{self.source_table} has no key column {missing!r}") from None
