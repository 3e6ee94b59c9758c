"""MirrorTable: a full copy of a table."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, IN_SQL, CheckedJob
from headrace.jobs.statements.previews import of_stage_table, of_store
from headrace.jobs.tables.expectations import Expectation, Expected
from headrace.jobs.tables.masks import MaskGiven, read_masks, salted
from headrace.jobs.tables.row_forecast import Looking
from headrace.jobs.tables.row_replacement import ReplaceStrategy
from headrace.jobs.tables.row_storage import Staged, store_staged
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.staging_table import lock_name
from headrace.jobs.transfer.copy_forecast import of_mirror
from headrace.jobs.transfer.first_copy import first_copy
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import Source, open_source, stage
from headrace.model.forecast import Forecast
from headrace.template import Preview

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class MirrorTable(CheckedJob):
    """Replace all rows of one table with those of another, also across databases.

    The rows are staged first; the target changes in one step when the job commits. An existing
    target keeps its definition, owner, privileges, indexes and other columns; a missing one is
    created, with the source's primary key, NOT NULL, constant defaults and comments. The
    sequences of its columns continue after the copied values. The job fails if a trigger or a rule
    of the target prevents the deletion of an old row or the insert of a new one, or if rows of a
    table that inherits from it would be deleted. The result is `{row_count, table}`.

    Parameters:
        source_table: the table or view to copy.
        target_table: the table to fill. If another table's foreign key refers to it, its rows
            are written by key.
        columns: the columns to copy; default all.
        select: the columns as a list of `name`, `-name` (all but this one) and `name as other`.
        where: a condition in SQL that the source's rows meet.
        mask: what to put in place of a column's values: hash, null, `partial:4` (only the last
            four characters stay), `{constant: …}`, `fake:name` and others. NULL stays NULL.
        mask_salt: the secret for hash and fake, as `{env: NAME}`, a variable of the worker.
        on_schema_change: what to do if the target lacks a column, or has one that cannot take
            the source's values: fail; ignore new columns; append_new_columns; sync_all_columns,
            which also changes types and drops columns that the source lacks; recreate, which
            drops the table with its privileges.
        replace_strategy: insert_from_staging deletes the old rows and inserts the new ones, and
            no reader waits; truncate_and_insert leaves no dead rows, but readers wait meanwhile.
        expect: fail, and save nothing, if the numbers are others: `rows`, as in ">0";
            `max_delete`, rows or a share of the target's rows that may be deleted, as in 5%.
        source_connection: the database of the source; default `connection`.
        target_connection: the database of the target; default `connection`.
    """

    result_keys: ClassVar = {"row_count": int, "table": str, **CHECK_RESULT}
    tables_read = ("source_table",)
    tables_written = ("target_table",)
    tables_made = ("target_table",)
    in_sql: ClassVar[tuple[str, ...]] = ("where", *IN_SQL)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        source_table: str,
        target_table: str,
        *,
        columns: list[str] | None = None,
        select: list[str] | None = None,
        where: str | None = None,
        mask: dict[str, MaskGiven] | None = None,
        mask_salt: dict[Literal["env"], str] | None = None,
        on_schema_change: OnSchemaChange = "fail",
        replace_strategy: ReplaceStrategy = "insert_from_staging",
        expect: Expected | None = None,
        source_connection: str | None = None,
        target_connection: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_table, self.target_table = source_table, target_table
        self.columns, self.mask_salt = columns, mask_salt
        self.masks = read_masks(mask, mask_salt)
        self.selection = Selection.read(columns, select, where, self.masks)
        self.on_schema_change, self.strategy = on_schema_change, replace_strategy
        self.expect = Expectation.read(expect)
        self.source_connection = source_connection or self.connection
        self.target_connection = target_connection or self.connection
        self.refuse_checks_of(target_table)

    def handle(self) -> dict[str, Any]:
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
        lock_name(target, self.target_table)
        rows = first_copy(target, self.target_table, source)
        if rows is not None:
            self.expect.check_rows(rows, self.target_table)
            return rows
        rows = stage(source, target, self.target_table)
        store_staged(
            target,
            self.target_table,
            Staged(rows, source.model),
            on_schema_change=self.on_schema_change,
            strategy=self.strategy,
            expect=self.expect,
        )
        return rows

    def forecast(self) -> Forecast:
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
            looking = Looking(self, self.target_connection, target)
            given = source, self.target_table, self.on_schema_change, self.expect
            return of_mirror(looking, *given)

    def preview(self) -> Iterator[Preview]:
        source, target = self.source_connection, self.target_connection
        yield from of_stage_table(
            self.source_table, self.columns, source, target, self.selection.where
        )
        yield from of_store(self.target_table, target, self.columns, self.strategy)
        yield from self.check_previews(self.target_table, target)
