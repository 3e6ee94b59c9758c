"""Publishes tables together: in one transaction, and in the order of their foreign keys.

Rows that nobody needs go first, from the last table to the first; then new ones come, from the
first to the last; then those go to which others have referred until now.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headrace.errors import JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.mirroring.arrivals import Arrived, Manner, checksum
from headrace.jobs.mirroring.key_order import Order, defer, in_order
from headrace.jobs.mirroring.made_tables import copy_foreign_keys
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.expectations import count_before
from headrace.jobs.tables.kept_rows import refuse_heirs, refuse_kept
from headrace.jobs.tables.key_merge import write_by_key
from headrace.jobs.tables.row_replacement import check_loss, insert_all, key_of, tell_cascades
from headrace.jobs.tables.row_storage import keeps_others
from headrace.jobs.tables.sequences import advance_sequences
from headrace.jobs.tables.staged_keys import check_keys
from headrace.jobs.tables.staging_table import (
    STAGED,
    drop_staged,
    lock_rows,
    rename_staged,
    staged_as,
)
from headrace.jobs.tables.table_catalog import Table, find_table
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


_VIEW = "headrace_staged_elsewhere"


def publish(session: "Session", arrived: Sequence[Arrived], manner: Manner) -> None:
    """Make each target hold exactly the rows that have arrived for it.

    Raises:
        JobFailure: a table cannot be replaced, or holds other rows afterwards.
    """
    kept = [one for one in arrived if one.staged is not None]
    for one in sorted(kept, key=lambda one: one.copy.target):
        lock_rows(session, one.target)
    order = in_order(session, [one.target.oid for one in kept])
    by_oid = {one.target.oid: one for one in kept}
    tables = [_Replacement.of(session, by_oid[oid], order, manner) for oid in order.oids]
    defer(session, order.deferred, deferred=True)
    _truncate(session, tables, order, manner)
    for table in reversed(tables):
        table.make_room()
    for table in tables:
        table.fill()
    for table in reversed(tables):
        table.drop_missing()
    defer(session, order.deferred, deferred=False)
    if manner.reset_sequences:
        for one in arrived:
            advance_sequences(session, one.target, one.names)
    for one in arrived:
        _verify(session, one, manner)
    made = {one.source.table.oid: (one.source, one.target) for one in arrived if not one.staged}
    targets = {one.source.table.oid: one.target for one in arrived}
    copy_foreign_keys(session, made, targets, manner.foreign_keys)


class _Replacement:
    """One table whose rows are replaced: all of them, or by `key`, where others refer to them."""

    def __init__(
        self,
        session: "Session",
        arrived: Arrived,
        order: Order,
        key: list[str] | None,
        manner: Manner,
    ) -> None:
        assert arrived.agreed is not None
        self.session, self.arrived, self.order = session, arrived, order
        self.target, self.agreed = arrived.target, arrived.agreed
        self.key, self.expect = key, manner.expect
        self.emptied = False
        self._before = self._gone = 0

    @classmethod
    def of(
        cls, session: "Session", arrived: Arrived, order: Order, manner: Manner
    ) -> "_Replacement":
        """Decide how a table is replaced."""
        assert arrived.agreed is not None
        key = None
        if arrived.target.referenced or keeps_others(session, arrived.target, arrived.agreed):
            key = key_of(session, arrived.target, arrived.names)
        return cls(session, arrived, order, key, manner)

    @property
    def may_be_truncated(self) -> bool:
        """Whether all rows may go, as far as the table itself is concerned."""
        return self.key is None or not keeps_others(self.session, self.target, self.agreed)

    def truncated(self) -> None:
        """Note that all rows have gone."""
        self.emptied, self.key = True, None

    @contextmanager
    def _staged(self) -> Iterator[None]:
        assert self.arrived.staged is not None
        with staged_as(self.session, self.arrived.staged):
            yield

    def check(self) -> None:
        """Refuse to delete what must stay."""
        check_loss(self.session, self.target, self.agreed.columns, self.expect)
        refuse_heirs(self.session, self.target)

    def make_room(self) -> None:
        """Delete what nobody refers to, and change the table where it has to be changed."""
        with self._staged():
            if self.key is None:
                if not self.emptied:
                    self.check()
                    self._run("delete_all")
                if self.target.sifted:
                    refuse_kept(self.session, self.target)
            else:
                self._keep_here()
                check_keys(self.session, self.key, self.target.written)
                self._before = count_before(self.session, self.target, self.expect)
                refuse_heirs(self.session, self.target, self.key)
                self._gone = self._run("delete_unreferenced", referring=self._referring()).rowcount
            for change in self.agreed.changes:
                execute(self.session, change)

    def fill(self) -> None:
        """Write what has arrived."""
        with self._staged():
            columns, rows = self.agreed.columns, self.arrived.rows
            if self.key is None:
                insert_all(self.session, self.target, columns, rows)
                return
            written = write_by_key(
                self.session, self.target, columns, self.key, delete=False, sequences=False
            )
            logger.info(
                "%s was written by key (%s): %s inserted, %d updated",
                self.target.written, ", ".join(self.key), number_of(written.inserted, "row"),
                written.updated,
            )  # fmt: skip

    def drop_missing(self) -> None:
        """Delete by key what has not arrived, and is still there."""
        if self.key is not None:
            with self._staged():
                self._gone += self._run("delete_missing").rowcount
                self.expect.check_deleted(self._gone, self._before, self.target.written)
                if self.target.sifted:
                    refuse_kept(self.session, self.target, self.key)
            if self._gone:
                logger.info("Deleted %s of %s", number_of(self._gone, "row"), self.target.written)
                tell_cascades(self.session, self.target)
        assert self.arrived.staged is not None
        drop_staged(self.session, self.arrived.staged, view=self._is_view(self.arrived.staged))

    def _is_view(self, name: str) -> bool:
        found = find_table(self.session, f"pg_temp.{name}")
        return found is not None and found.kind == "v"

    def _keep_here(self) -> None:
        """Have rows that are matched by key in a table that can have statistics and an index."""
        if self._is_view(STAGED):
            rename_staged(self.session, STAGED, _VIEW)
            view = RenderedSql(f"TABLE pg_temp.{_VIEW}", {})
            execute(self.session, packaged_sql("stage_rows", staged=STAGED, query=view))
            drop_staged(self.session, _VIEW, view=True)

    def _referring(self) -> list[dict[str, Any]]:
        return [
            {
                "table": RenderedSql(key.child_table, {}),
                "pairs": list(zip(key.columns, key.parent_columns, strict=True)),
            }
            for key in self.order.referring(self.target.oid)
        ]

    def _run(self, template: str, **values: Any) -> Any:
        common = {"table": self.target.sql, "staged": STAGED, "key": self.key}
        return execute(self.session, packaged_sql(template, **common, **values))


def _truncate(
    session: "Session", tables: Sequence[_Replacement], order: Order, manner: Manner
) -> None:
    """Empty tables at once, where that is asked for and only these tables refer to them."""
    if manner.strategy != "truncate_and_insert":
        return
    chosen = {one.target.oid: one for one in tables if one.may_be_truncated}
    while outside := {
        key.parent for key in order.keys if key.parent in chosen and key.child not in chosen
    }:
        for oid in outside:
            logger.warning(
                "%s is written by key and not truncated: other tables refer to it",
                chosen.pop(oid).target.written,
            )
    for one in chosen.values():
        with one._staged():  # noqa: SLF001 - of this module
            one.check()
    if chosen:
        names = ", ".join(one.target.sql.display for one in chosen.values())
        execute(session, packaged_sql("truncate_several", tables=RenderedSql(names, {})))
    for one in chosen.values():
        one.truncated()


def _verify(session: "Session", one: Arrived, manner: Manner) -> None:
    """Compare what the table holds now with what was read.

    Raises:
        JobFailure: it differs.
    """
    if manner.verify == "none":
        return
    target = _now(session, one)
    if target.filtered or not target.readable:
        logger.warning("%s is not verified: its role does not see all rows", target.written)
        return
    held = execute(session, packaged_sql("count_rows", table=target.written)).scalar_one()
    if held != one.rows:
        raise JobFailure(
            f"{target.written} holds {held} rows, but {one.rows} were read from "
            f"{one.copy.source}: a trigger or a rule of it keeps or adds rows"
        )
    if one.checksum is None:
        return
    names = [{"name": name, "value": _column(name)} for name in one.names]
    query = packaged_sql("select_values", table=target.sql, columns=names, conditions=[])
    if checksum(session, query, one.names) != one.checksum:
        raise JobFailure(
            f"{target.written} holds other values than were read from {one.copy.source}: a trigger "
            "changes them, or a column has another type there, which writes them differently"
        )


def _now(session: "Session", one: Arrived) -> Table:
    found = find_table(session, one.target.written)
    assert found is not None, "it was just written"
    return found


def _column(name: str) -> RenderedSql:
    from headrace.template import quote_name

    return RenderedSql(quote_name(name), {})
