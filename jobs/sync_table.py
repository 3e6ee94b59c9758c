"""SyncTable: carry over what has changed."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from jobs.base import BaseJob, execute, logger
from jobs.previews import ALL_COLUMNS, NEEDS_STAGED, of_stage_table
from jobs.staging import stage_table
from jobs.tables import STAGED, lock_name, store_staged, table_exists
from runner.errors import InvalidPayload, JobFailure
from runner.template import Preview, RenderedSql


class SyncTable(BaseJob):
    """Update a table from another by key: only rows that differ are written.

    The target is created where it is missing. The result is
    `{inserted, updated, deleted, table}`.

    Parameters:
        source_table: the table or view to read.
        target_table: the table to bring up to date.
        key: the column, or columns, by which rows correspond; never null in the source.
        columns: the columns to carry over, key included; default all of the source's.
        delete: remove rows from the target that the source no longer has.
        source_connection: the database of the source; default `connection`.
        target_connection: the database of the target; default `connection`.
    """

    result_keys = ("inserted", "updated", "deleted", "table")

    def __init__(
        self,
        source_table: str,
        target_table: str,
        key: str | list[str],
        columns: list[str] | None = None,
        delete: bool = False,
        source_connection: str | None = None,
        target_connection: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_table, self.target_table = source_table, target_table
        self.key = [key] if isinstance(key, str) else key
        if columns is not None and not set(self.key) <= set(columns):
            raise InvalidPayload("columns must include the key")
        self.columns, self.delete = columns, delete
        self.source_connection = source_connection or self.connection
        self.target_connection = target_connection or self.connection

    def handle(self) -> dict[str, Any]:
        logger.info("Synchronising %s into %s", self.source_table, self.target_table)
        with self.session(self.target_connection) as target:
            found = stage_table(
                self,
                target,
                self.source_table,
                self.columns,
                source_connection=self.source_connection,
                target_connection=self.target_connection,
            )
            result = self._apply(target, [column.name for column in found])
        logger.info("Synchronised %s: %s", self.target_table, result)
        return {**result, "table": self.target_table}

    def preview(self) -> Iterator[Preview]:
        source, target = self.source_connection, self.target_connection
        yield from of_stage_table(self.source_table, self.columns, source, target)
        lock = self.sql("sync_lock", table=self.target_table)
        yield Preview(lock, target, f"where {self.target_table} is missing, it is created instead")
        columns = self.columns or [*self.key, *ALL_COLUMNS]
        rest = [column for column in columns if column not in self.key]
        steps = {"sync_delete": self.delete, "sync_update": rest, "sync_insert": True}
        for template in [name for name, wanted in steps.items() if wanted]:
            sql = self._statement(template, rest if template == "sync_update" else columns)
            yield Preview(sql, target, unexplained=NEEDS_STAGED)

    def _apply(self, session: Session, columns: list[str]) -> dict[str, int]:
        self._check_keys(session, columns)
        lock_name(session, self.target_table)
        if not table_exists(session, self.target_table):
            count = store_staged(session, self.target_table)
            return {"inserted": count, "updated": 0, "deleted": 0}
        execute(session, self.sql("sync_lock", table=self.target_table))
        rest = [column for column in columns if column not in self.key]
        deleted = self._step(session, "sync_delete", columns) if self.delete else 0
        updated = self._step(session, "sync_update", rest) if rest else 0
        inserted = self._step(session, "sync_insert", columns)
        return {"inserted": inserted, "updated": updated, "deleted": deleted}

    def _step(self, session: Session, template: str, columns: list[str]) -> int:
        return execute(session, self._statement(template, columns)).rowcount

    def _statement(self, template: str, columns: list[str]) -> RenderedSql:
        return self.sql(
            template, table=self.target_table, staged=STAGED, key=self.key, columns=columns
        )

    def _check_keys(self, session: Session, columns: list[str]) -> None:
        missing = [name for name in self.key if name not in columns]
        if missing:
            raise JobFailure(f"{self.source_table} has no key column {missing[0]!r}")
        statement = self.sql("sync_check_keys", staged=STAGED, key=self.key)
        row = execute(session, statement).mappings().first()
        if row is not None:
            values = ", ".join(f"{name}={row[name]}" for name in self.key)
            raise JobFailure(
                f"{self.source_table}: the key {values} is null or stands {row['times']} times"
            )
