"""Copies between PostgreSQL and another database, or between two others."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace import jobapi
from headrace.errors import InvalidPayload
from headrace.jobapi import OtherDatabase
from headrace.jobs.others.dialect import OtherTable
from headrace.jobs.others.dialects import dialect_of
from headrace.jobs.others.reading import OtherRows, Row, rows_of_query
from headrace.jobs.others.texts import texts_of
from headrace.jobs.others.writing import OtherTarget
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.statements.previews import named_table
from headrace.jobs.tables.table_catalog import Column, Table, unquoted
from headrace.jobs.transfer.merging import Merge
from headrace.jobs.transfer.query_source import from_query, opened_query
from headrace.jobs.transfer.selection import Selection
from headrace.jobs.transfer.source import Source, open_source, opened
from headrace.model.connection import PRODUCTS
from headrace.template import Preview, RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from headrace.jobs.base import BaseJob as _Job
    from headrace.jobs.tables.masks import Mask
    from headrace.jobs.transfer.watermark import Incremental
else:
    _Job = object  # A part of a job, and no job by itself.


def other_rows(
    database: OtherDatabase, table: str, query: str | None, selection: Selection
) -> tuple[Table, Table, OtherRows]:
    """Return a table, or a query, the model of what is copied of it, and its rows.

    Raises:
        JobFailure: the table or a named column is missing, or has a type without a counterpart.
    """
    if query is None:
        found = dialect_of(database).readable(database, table)
        read_from = RenderedSql(found.sql, {})
    else:
        rows = rows_of_query(database, RenderedSql(query, {}), table)
        found, read_from = OtherTable(table, tuple(rows.columns.values())), rows.rows
    whole = found.as_table()
    model, _ = selection.of(whole)
    own = {selection.renamed.get(one.name, one.name): one for one in found.columns}
    for column in model.columns:
        own[column.name].refuse_unknown(table)
    return whole, model, OtherRows(database, table, read_from, own, selection.where)


def refuse_for_others(
    product: str, *, masked: bool, incremental: bool, chunked: bool, same: bool
) -> None:
    """Refuse what a copy from or to another database cannot do.

    Raises:
        InvalidPayload: naming the parameter.
    """
    if same:
        raise InvalidPayload(
            f"source and target are the same {product} connection: RunSql with `into` copies"
            " inside one database"
        )
    if chunked:
        raise InvalidPayload(
            f"chunk_size works between two databases of PostgreSQL, not with {product}"
        )
    if masked:
        raise InvalidPayload(f"mask works between two databases of PostgreSQL, not with {product}")
    if incremental:
        raise InvalidPayload(
            f"incremental works between two databases of PostgreSQL, not with {product}: `where`"
            " can name the rows that are new"
        )


def refuse_for_target(product: str, merge: Merge) -> None:
    """Refuse what a target that is not PostgreSQL cannot be given.

    Raises:
        InvalidPayload: naming the parameter.
    """
    for name, given, able in (
        ("merge_strategy", merge.strategy, ("upsert", "insert_only")),
        ("delete_missing", merge.delete_missing, ("none", "hard")),
        ("on_schema_change", merge.on_schema_change, ("fail",)),
    ):
        if given not in able:
            raise InvalidPayload(f"{name}: {given} does not work in {product}: {', '.join(able)}")
    if merge.update_columns is not None:
        raise InvalidPayload(f"update_columns does not work in {product}")


class SyncsOthers(_Job):
    """The part of SyncTable that knows of other databases than PostgreSQL."""

    if TYPE_CHECKING:
        source_table: str
        target_table: str
        query: str | None
        key: list[str]
        source_connection: str | None
        target_connection: str | None
        selection: Selection
        masks: Mapping[str, Mask]
        incremental: Incremental | None
        chunk_size: int | None
        merge: Merge

    @property
    def with_others(self) -> bool:
        """Whether source or target is not PostgreSQL."""
        return bool(self._others())

    def rehearse(self) -> None:
        """See `BaseJob`."""
        self.refuse_for_others()
        super().rehearse()

    def refuse_for_others(self) -> None:
        """Refuse what a copy from or to another database cannot do.

        Raises:
            InvalidPayload: naming the parameter.
        """
        for product in self._others():
            refuse_for_others(
                product,
                masked=bool(self.masks),
                incremental=self.incremental is not None,
                chunked=self.chunk_size is not None,
                same=self.source_connection == self.target_connection,
            )
        if self.kind_of(self.target_connection) != "postgresql":
            refuse_for_target(PRODUCTS[self.kind_of(self.target_connection)], self.merge)

    @contextmanager
    def opened(self, target: "Session", selection: Selection) -> Iterator[Source]:
        """Open the source; `target` is the target's session."""
        connection = self.source_connection
        if self.kind_of(connection) != "postgresql":
            with jobapi.current().other(connection or "", read_only=True) as database:
                table, model, rows = other_rows(database, self.source_table, self.query, selection)
                yield Source(table, model, {}, selection, target, local=False, other=rows)
        elif self.query is None:
            with open_source(
                self, target, self.source_table, selection,
                source_connection=connection, target_connection=self.target_connection,
            ) as source:  # fmt: skip
                yield source
        elif connection == self.target_connection:
            yield opened_query(target, self.query, selection, local=True)
        else:
            with self.session(connection, read_only=True) as session:
                yield opened_query(session, self.query, selection, local=False)

    def into_other(self) -> dict[str, int]:
        """Bring the table of another database to the rows of the source.

        Raises:
            JobFailure: a value or a column does not fit.
        """
        merge = self.merge
        with (
            jobapi.current().other(self.target_connection or "") as database,
            self._texts() as (columns, rows),
        ):
            written = OtherTarget(
                database,
                self.target_table,
                columns,
                key=[unquoted(name) for name in self.key],
                mode="insert_only" if merge.strategy == "insert_only" else "merge",
                deletes=merge.delete_missing == "hard",
                expect=merge.expect,
                source=self.source_table,
            ).write(rows)
        return {
            "inserted": written.inserted,
            "updated": written.updated,
            "deleted": written.deleted,
        }

    def other_preview(self) -> Preview:
        """Return the statement that reads the source, as far as it is known before."""
        rows = packaged_sql(
            "other_select",
            values=RenderedSql("*", {}),
            rows=from_query(self.query) if self.query else named_table(self.source_table),
            where=None if self.selection.where is None else RenderedSql(self.selection.where, {}),
        )
        return Preview(rows, self.source_connection, f"its rows go to {self.target_table} by key")

    @contextmanager
    def _texts(self) -> Iterator[tuple[list[Column], Iterator[Row]]]:
        if self.kind_of(self.source_connection) != "postgresql":
            with jobapi.current().other(self.source_connection or "", read_only=True) as database:
                _, model, other = other_rows(
                    database, self.source_table, self.query, self.selection
                )
                yield list(model.columns), other.read([column.name for column in model.columns])
            return
        with self.session(self.source_connection, read_only=True) as session:
            source = self._here(session)
            names = [column.name for column in source.columns]
            rows = texts_of(session, source.query(names), names)
            # Enums and domains are what their values are.
            yield [replace(one, type=one.plain or one.type) for one in source.columns], rows

    def _here(self, session: "Session") -> Source:
        if self.query is not None:
            return opened_query(session, self.query, self.selection, local=False)
        return opened(session, self.source_table, self.selection, local=False)

    def _others(self) -> list[str]:
        kinds = map(self.kind_of, (self.source_connection, self.target_connection))
        return [PRODUCTS[kind] for kind in kinds if kind != "postgresql"]
