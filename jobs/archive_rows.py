"""ArchiveRows: move old rows to another table, or to files."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from headrace import jobapi
from headrace.errors import InvalidPayload
from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, IN_SQL, CheckedJob
from headrace.jobs.copying.archive_file import refuse_keys, write_picked
from headrace.jobs.files.atomic_files import to_write
from headrace.jobs.sql.packaged import execute
from headrace.jobs.statements.previews import named_table
from headrace.jobs.tables import archive_limits
from headrace.jobs.tables.archive_ages import age_of, cutoff_of, seconds_of
from headrace.jobs.tables.archive_forecast import of_archive
from headrace.jobs.tables.archive_losses import refuse_unfit_table
from headrace.jobs.tables.archive_moving import (
    Branch,
    Verify,
    children_of,
    delete_picked,
    make_archives,
    move_picked,
    tell_batch,
    tell_moved,
)
from headrace.jobs.tables.archive_partitions import (
    drop_one_by_one,
    forecast_partitions,
    move_partitions,
    refuse_row_keys,
)
from headrace.jobs.tables.archive_picking import Pick, pick_rows
from headrace.jobs.tables.row_forecast import Looking
from headrace.jobs.tables.server_progress import watched
from headrace.jobs.tables.table_catalog import split_table
from headrace.jobs.transfer.archive_previews import of_partitions, of_rows
from headrace.jobs.transfer.archived_rows import transfer_picked
from headrace.model.forecast import Forecast
from headrace.template import Preview

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class ArchiveRows(CheckedJob):
    """Move old rows to an archive table, or to files: none is lost, none is duplicated.

    If the archive table is missing, it is created like the source table; an existing one keeps
    its definition and must have the columns. Rows to which others refer by ON DELETE CASCADE,
    SET NULL or SET DEFAULT are moved only if those are named in `children`.

    Without `batch_size` all of it is one transaction. With it, each batch is committed by itself:
    its rows leave there and arrive here at once, and a retry goes on after the last one. Readers
    see the batches that are done. The result is `{row_count, into, before}`, with `batches`
    and `left`, the old rows that others held, and with `children`, the rows of each; with `path`
    it is `{row_count, path, files, before}`.

    With `path` each batch is a file of its own, with run, job and batch in its name, that is
    complete before its rows are deleted and never written over. If a step fails for good, its last
    file may hold rows that are still in the table; another attempt replaces that file.

    With `partitions: detach` whole partitions leave the table, those whose range ends before the
    bound; younger ones keep their old rows. An archive table that is partitioned by the same
    column, or is missing, takes them as they are; for another one, for files and for another
    connection their rows are copied, and they are dropped. With files or another connection each
    partition is committed by itself. One whose rows row level security hides from the role is not
    dropped. The result has `partitions`, their names.

    Parameters:
        table: the table to take rows from.
        into: the archive table.
        path: files instead, below `output_folders`: `archive/order.parquet` (or .csv, .tsv,
            .jsonl, also packed as .gz or .zst) becomes `archive/order-<run>-<job>-00001.parquet`.
        column: the date or time column that decides a row's age.
        older_than: age in s, m, h, d or w, such as `90d`, counted back from the run's logical
            date, so that a later repetition moves the same rows.
        before: a date or time instead: rows before it are moved.
        where: a condition in SQL that the rows to move meet, too, such as `status = 'closed'`.
        limit: the greatest number of rows to move, the oldest first; without `batch_size`.
        order: asc moves the oldest rows first, desc the newest of the old ones.
        batch_size: rows a batch, each committed by itself.
        batch_limit: the greatest number of batches of a run.
        wait: pause between two batches (duration).
        lock_wait: how long to wait for rows that others hold (duration); then those are left and
            counted. Without it the attempt fails after `lock_timeout` and is retried.
        children: tables whose rows refer to the moved ones and move with them, to the schema of
            `into`: `{shop.order_line: order_id}`; with children of their own,
            `{shop.order_line: {key: order_id, children: {…}}}`.
        keep_rows: true copies the rows and deletes none; what the archive has by its primary key
            is not copied twice. On another connection it gets the present values, and all old
            rows are read: without `limit` and `batch_size`.
        verify: none, count (the archive stored as many rows) or checksum (and the same values),
            before anything is deleted. Files are always counted.
        vacuum: what to do with the table after the last batch: true, or analyze to refresh its
            statistics, too. Needs `batch_size`.
        target_connection: the connection of the archive, if it is another one (null: the control
            database); the table needs a primary key then.
        partitions: detach takes whole partitions of a table that is partitioned by range of
            `column`; `batch_limit` is the greatest number of them.
    """

    paths: ClassVar = {"path": to_write}
    in_sql: ClassVar[tuple[str, ...]] = ("where", *IN_SQL)
    result_keys: ClassVar = {
        "row_count": int,
        "into": str,
        "path": str,
        "files": int,
        "before": str,
        "batches": int,
        "left": int,
        "partitions": list[str],
        "children": dict,
        **CHECK_RESULT,
    }
    tables_written = ("table", "into")
    tables_made = ("into",)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        table: str,
        into: str | None = None,
        older_than: str | None = None,
        before: str | None = None,
        limit: int | None = None,
        *,
        column: str,
        where: str | None = None,
        order: Literal["asc", "desc"] = "asc",
        batch_size: int | None = None,
        batch_limit: int | None = None,
        wait: str | None = None,
        lock_wait: str | None = None,
        children: dict[str, Any] | None = None,
        keep_rows: bool = False,
        verify: Verify = "count",
        vacuum: bool | Literal["analyze"] = False,
        target_connection: str | None = None,
        path: str | None = None,
        partitions: Literal["detach"] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        archive_limits.refuse_all_but_one(into=into, path=path)
        self.table, self.into, self.path, self.column = table, into or table, path, column
        self.before, self.limit, self.verify, self.vacuum = before, limit, verify, vacuum
        self.batch_size, self.batch_limit, self.detaches = batch_size, batch_limit, bool(partitions)
        self.keep_rows, self.target_connection = keep_rows, target_connection
        # Where it is given, null is the control database, and not "the same one".
        self.across = "target_connection" in self.payload and target_connection != self.connection
        self.apart = self.across or path is not None
        self._refuse_together(older_than, wait, children)
        self.age = None if older_than is None else age_of("older_than", older_than)
        self.wait_s = seconds_of("wait", wait) or 0.0
        self.branch = Branch(table, self.into, children=tuple(children_of(children, self.into)))
        how = order == "desc", keep_rows, seconds_of("lock_wait", lock_wait)
        self.pick = Pick(table, self.into, column, where, *how, known=not self.across)
        self.refuse_checks_of(self.into)

    def handle(self) -> dict[str, Any]:
        cutoff = self._cutoff()
        logger.info("Archiving rows of %s before %s", self.table, cutoff)
        if self.detaches:
            result = self._detach(cutoff)
        elif self.batch_size is None and not self.apart:
            with self.session() as session:
                counts = self._move(session, cutoff, self.limit)
            result = self._result(cutoff, counts)
        else:
            result = self._in_batches(cutoff)
        tell_moved(result["row_count"], self.path or self.into)
        return self.judged(result, self.into)

    def _detach(self, cutoff: str) -> dict[str, Any]:
        given = self, self.pick, cutoff, self.batch_limit
        if self.apart:
            names, total, files = drop_one_by_one(*given, self._carry)
        else:
            (names, total), files = move_partitions(*given, self.verify), 0
        result = {**self._result(cutoff, {self.table: total}), "partitions": names}
        return result | ({"files": files} if self.path is not None else {})

    def _carry(self, session: "Session", number: int, table: str) -> tuple[int, int]:
        """Copy picked rows to a file or another connection; returns how many, and how many new."""
        branch = Branch(table, self.into)
        if self.path is not None:
            count = write_picked(session, branch, self.path, number)
            return count, count
        label = f"attempt {jobapi.current().attempt}, batch {number}"
        with jobapi.current().batch(label, self.target_connection) as target:
            assert target is not None, "a label is used once an attempt"
            # Committed there as this ends. A retry finds the rows there by their keys.
            return transfer_picked(session, target, branch, verify=self.verify)

    def _in_batches(self, cutoff: str) -> dict[str, Any]:
        totals: dict[str, int] = {}
        number = done = 0
        while self.batch_limit is None or number < self.batch_limit:
            number += 1
            with self.batch(f"batch {number}") as session:
                if session is None:
                    continue  # An earlier attempt has committed it.
                counts = self._move(session, cutoff, self.batch_size or self.limit, number)
            moved = counts[self.table]
            for table, count in counts.items():
                totals[table] = totals.get(table, 0) + count
            done += moved > 0
            if moved:
                tell_batch(number, moved, totals[self.table])
            if self.batch_size is None or moved < self.batch_size:
                break
            if self.wait_s:
                time.sleep(self.wait_s)
        if self.vacuum:
            name, analyze = named_table(self.table), self.vacuum == "analyze"
            vacuum = self.sql("vacuum_named", table=name, analyze=analyze, full=False)
            with self.autocommit() as connection, watched(connection):
                execute(connection, vacuum)
        result = self._result(cutoff, totals)
        result["files" if self.path is not None else "batches"] = done
        if self.pick.lock_wait_s is not None:
            with self.session(read_only=True) as session:
                result["left"] = int(execute(session, self.pick.left(cutoff)).scalar_one())
        return result

    def _move(
        self, session: "Session", cutoff: str, limit: int | None, number: int = 1
    ) -> dict[str, int]:
        """Move rows in a session, at most so many, and return how many of each table."""
        into = self.table if self.apart else self.into
        refuse_unfit_table(session, self.table, into, self.column, apart=self.apart)
        if not self.apart:
            make_archives(session, self.branch)
        pick_rows(session, self.pick, cutoff, limit)
        if not self.apart:
            return move_picked(session, self.branch, keep=self.keep_rows, verify=self.verify)
        count, new = self._carry(session, number, self.table)
        # Committed there. Whatever happens now, a retry finds the rows there by their keys.
        if not self.keep_rows:
            delete_picked(session, self.branch, {self.table: count})
        return {self.table: new if self.keep_rows else count}

    def _result(self, cutoff: str, counts: dict[str, int]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "row_count": counts.get(self.table, 0),
            **({"into": self.into} if self.path is None else {"path": self.path}),
            "before": cutoff,
        }
        children = {table: count for table, count in counts.items() if table != self.table}
        return found | ({"children": children} if children else {})

    def forecast(self) -> Forecast:
        most = self.batch_size and self.batch_limit and self.batch_size * self.batch_limit
        limits = self._cutoff(), self.batch_limit if self.detaches else most or self.limit
        files = self.path and f"files at {self.path}"
        elsewhere = files or (f"{self.into} on another connection" if self.across else None)
        with self.session() as session:
            looking = Looking(self, self.connection, session)
            if self.detaches:
                return forecast_partitions(looking, self.pick, *limits, elsewhere)
            return of_archive(looking, self.branch, self.pick, *limits, elsewhere=elsewhere)

    def preview(self) -> Iterator[Preview]:
        split_table(self.into)
        if self.detaches:
            yield from of_partitions(self.table, self.connection)
        else:
            target = self.target_connection if self.across else self.connection
            yield from of_rows(
                self.branch, self.pick, self._cutoff(), self.batch_size or self.limit,
                ends=(self.connection, target), verify=self.verify, stored=self.path is None,
            )  # fmt: skip
        yield from self.check_previews(self.into)

    def _cutoff(self) -> str:
        return cutoff_of(self.age, self.before, jobapi.current().logical_date)

    def _refuse_together(
        self, older_than: str | None, wait: str | None, children: dict[str, Any] | None
    ) -> None:
        """Refuse keys that do not go together, and numbers below 1."""
        archive_limits.refuse_all_but_one(older_than=older_than, before=self.before)
        if self.path is not None:
            checksum, checks = self.verify == "checksum", bool(self.checks)
            refuse_keys(self.path, children, self.keep_rows, self.across, checks, checksum)
        elif self.table == self.into and not self.across:
            raise InvalidPayload(f"into is the table itself, {self.table}: choose another one")
        if self.detaches:
            refuse_row_keys(self.payload)
        limits = self.limit, self.batch_size, None if self.detaches else self.batch_limit
        archive_limits.refuse_limits(*limits, more=bool(wait or self.vacuum))
        batches = self.batch_size is not None or self.across
        archive_limits.refuse_in_batches(
            batches=batches, checks=bool(self.checks), across=self.across, children=bool(children)
        )
        if self.keep_rows and self.across:
            archive_limits.refuse_part_of_copy(self.limit, self.batch_size)
