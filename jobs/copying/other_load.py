"""Loads files into a table of another database than PostgreSQL.

The rows come to a temporary table of the control database first: PostgreSQL reads their texts, so
that a value means there what it means everywhere else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobapi import OtherDatabase
from headrace.jobs.copying.file_reading import DataFile
from headrace.jobs.copying.row_intake import Loaded
from headrace.jobs.copying.table_load import TableLoad
from headrace.jobs.copying.write_mode import APPEND, WriteMode
from headrace.jobs.others.dialect import OtherTable
from headrace.jobs.others.dialects import dialect_of
from headrace.jobs.others.texts import texts_of
from headrace.jobs.others.writing import OtherTarget
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.masks import Mask
from headrace.jobs.tables.staging_table import drop_staged, make_staging
from headrace.jobs.tables.table_catalog import Column, Table, find_table
from headrace.template import quote_name, split_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class OtherLoad:
    """A load as it is declared, whose table is in `database`."""

    load: TableLoad
    database: OtherDatabase

    def run(
        self, session: "Session", files: Sequence[DataFile], masks: Mapping[str, Mask]
    ) -> Loaded:
        """Load the files, all of them or nothing; `session` is the control database's.

        Raises:
            JobFailure: a row does not fit.
        """
        table, how = self.load.table, self.load.how
        found = dialect_of(self.database).table(self.database, table)
        if found is None and not self.load.create:
            raise JobFailure(
                f"there is no table {table} in {self.database.name} ({self.database.product});"
                " `create: true` creates it"
            )
        key = list(how.key) or [c.name for c in found.columns if c.in_key] if found else how.key
        place = f"pg_temp.{quote_name(_last(table))}"
        loaded = self._staged(session, place, files, masks, found, tuple(key))
        staged = find_table(session, place)
        assert staged is not None, "it was just filled"
        columns = [one for one in staged.columns if one.name in loaded.columns]
        written = OtherTarget(
            self.database,
            table,
            columns,
            key=key if how.by_key else (),
            mode=how.mode,
            expect=how.expect,
            source=self.load.name,
        ).write(self._rows(session, staged, columns))
        drop_staged(session, _last(table))
        return replace(
            loaded,
            inserted=written.inserted,
            updated=written.updated,
            by_key=how.by_key,
        )

    def _staged(
        self,
        session: "Session",
        place: str,
        files: Sequence[DataFile],
        masks: Mapping[str, Mask],
        found: OtherTable | None,
        key: tuple[str, ...],
    ) -> Loaded:
        drop_staged(session, _last(self.load.table))
        if found is not None:
            make_staging(session, _columns_of(found), _last(self.load.table))
        by_key = self.load.how.by_key
        how = WriteMode("merge", key=key, sort=self.load.how.sort) if by_key else APPEND
        load = replace(self.load, table=place, how=how, create=found is None)
        try:
            return load.run(session, files, None, masks)
        except JobFailure as error:
            raise JobFailure(str(error).replace(place, self.load.table)) from None

    def _rows(
        self, session: "Session", staged: Table, columns: Sequence[Column]
    ) -> Iterator[tuple[str | None, ...]]:
        names = [column.name for column in columns]
        query = packaged_sql("select_names", table=staged.sql, columns=names)
        return texts_of(session, query, names)


def _columns_of(found: OtherTable) -> list[Column]:
    """Return the columns that a file may fill, in PostgreSQL's types."""
    return [
        Column(one.name, one.type)
        for one in found.columns
        if one.type is not None and not one.generated
    ]


def _last(table: str) -> str:
    return split_name(table)[-1]
