"""RebuildIndex: rebuild an index, all of a table's, or all of a schema's."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.base import BaseJob, logger
from headrace.jobs.sql.packaged import execute
from headrace.jobs.tables.maintenance import maintained
from headrace.jobs.tables.server_progress import watched
from headrace.template import Preview, RenderedSql, quote_identifier

if TYPE_CHECKING:
    from sqlalchemy import Connection

_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


class RebuildIndex(BaseJob):
    """Run REINDEX. It cannot run in a transaction; it is safe to repeat.

    If `concurrently` is true, it first drops the invalid indexes (`…_ccnew`) that a stopped
    attempt has left. It fails if a rebuilt index cannot be used. The result is `{indexes}`, the
    names of those that were rebuilt.

    Parameters:
        index: one index, with its schema.
        table: a table, all of whose indexes are rebuilt.
        schema: a schema, all of whose tables' indexes are rebuilt, table by table. Give one of the
            three.
        concurrently: do not block readers and writers meanwhile; takes longer.
        min_bloat: rebuild only indexes of which such a share, as in 30%, is estimated to be empty.
            Only B-trees of analysed tables can be estimated; the others are left, and logged.
    """

    transactional = False
    result_keys: ClassVar = {"indexes": list[str]}

    def __init__(
        self,
        index: str | None = None,
        table: str | None = None,
        concurrently: bool = True,
        *,
        schema: str | None = None,
        min_bloat: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if [index, table, schema].count(None) != 2:
            raise InvalidPayload("RebuildIndex takes one of index, table and schema")
        share = None if min_bloat is None else _SHARE.fullmatch(min_bloat.strip())
        if min_bloat is not None and (share is None or float(share[1]) > 100):
            raise InvalidPayload(f"min_bloat is a share such as 30%, not {min_bloat!r}")
        self.index, self.table, self.schema = index, table, schema
        self.concurrently = concurrently
        self.min_bloat = float(share[1]) / 100 if share else None

    def handle(self) -> dict[str, list[str]]:
        with self.autocommit(patient=self.concurrently) as connection:
            if self.index is not None:
                rebuilt = self._rebuild_one(connection, quote_identifier(self.index))
            else:
                tables = maintained(connection, self.table, self.schema, "rebuild indexes of")
                rebuilt = [
                    name for one in tables for name in self._rebuild_of(connection, one.name)
                ]
        logger.info("Rebuilt %s", ", ".join(rebuilt) or "no index: none needs it")
        return {"indexes": rebuilt}

    def _rebuild_one(self, connection: "Connection", index: str) -> list[str]:
        found = execute(connection, self.sql("table_of_index", index=index))
        tables = {str(row.index_name): str(row.table) for row in found}
        if not tables:
            raise JobFailure(f"there is no index {self.index}")
        if self.min_bloat is not None:
            bloated = [
                name
                for one, table in tables.items()
                for name in self._bloated(connection, table, one)
            ]
            for name in bloated:
                self._reindex(connection, index=name)
            return bloated
        self._reindex(connection, index=index)
        return list(tables)

    def _rebuild_of(self, connection: "Connection", table: str) -> Iterator[str]:
        """Rebuild the indexes of a table and yield their names."""
        if self.min_bloat is not None:
            for name in self._bloated(connection, table):
                self._reindex(connection, index=name)
                yield name
            return
        found = execute(connection, self.sql("indexes_of", table=table))
        names = [str(name) for name in found.scalars()]
        if names:
            self._reindex(connection, table=table)
        yield from names

    def _bloated(
        self, connection: "Connection", table: str, index: str | None = None
    ) -> Iterator[str]:
        statement = self.sql("index_bloat", table=table, index=index)
        for one in list(execute(connection, statement)):
            if one.bloat is None:
                logger.warning("%s is left: how much of it is empty cannot be estimated", one.name)
            elif one.bloat >= (self.min_bloat or 0):
                logger.info("%s: some %.0f %% of it are empty", one.name, one.bloat * 100)
                yield str(one.name)

    def _reindex(self, connection: "Connection", **what: str) -> None:
        """Rebuild an index, or those of a table; the names are quoted."""
        names: dict[str, str | None] = {"index": None, "table": None, **what}
        if self.concurrently:
            self._drop_leftovers(connection, names)
        logger.info("Rebuilding %s", what.get("index") or f"all indexes of {what['table']}")
        with watched(connection):
            execute(connection, self._statement(names))
        invalid = self._named(connection, "rebuild_invalid", names)
        if invalid:
            raise JobFailure(
                f"after REINDEX these indexes cannot be used: {', '.join(invalid)}; "
                "drop and create them again"
            )

    def _drop_leftovers(self, connection: "Connection", names: dict[str, str | None]) -> None:
        """Drop what earlier attempts, stopped on their way, have left: writers keep it up."""
        for index in self._named(connection, "rebuild_leftovers", names):
            logger.info("Dropping %s, left by a stopped REINDEX", index)
            drop = self.sql("drop_index_concurrently", index=RenderedSql(index, {}))
            execute(connection, drop)

    def _named(
        self, connection: "Connection", template: str, names: dict[str, str | None]
    ) -> list[str]:
        return [str(name) for name in execute(connection, self.sql(template, **names)).scalars()]

    def preview(self) -> Iterator[Preview]:
        if self.schema is not None:
            return
        note = "" if self.min_bloat is None else "if it needs it"
        names = {
            "index": self.index and quote_identifier(self.index),
            "table": self.table and quote_identifier(self.table),
        }
        yield Preview(self._statement(names), self.connection, note)

    def _statement(self, names: dict[str, str | None]) -> RenderedSql:
        named = {name: text and RenderedSql(text, {}) for name, text in names.items()}
        return self.sql("rebuild_index", concurrently=self.concurrently, **named)
