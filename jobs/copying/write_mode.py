"""Says what becomes of the rows of a load: added, put in place of others, or written by key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.statements.previews import NEEDS_STAGED, named_table, of_store
from headrace.jobs.tables.expectations import NOTHING_EXPECTED, Expectation, Expected
from headrace.jobs.tables.key_merge import written_by_key
from headrace.jobs.tables.row_replacement import ReplaceStrategy, insert_statement
from headrace.jobs.tables.schema_drift import OnSchemaChange
from headrace.jobs.tables.staging_table import STAGED
from headrace.jobs.tables.table_catalog import Column, Table, named, unquoted
from headrace.template import Preview, RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Mode = Literal["append", "replace", "merge", "insert_only"]
Order = Literal["asc", "desc"]

_BY_KEY = ("merge", "insert_only")
# Which the table cannot be made to have while it keeps its other rows, or its own types.
_OTHER_TYPES = ("sync_all_columns", "recreate")


@dataclass(frozen=True, slots=True)
class WriteMode:
    """How staged rows get into their table.

    `key` are the columns of `merge` and `insert_only`, none: the table's primary key. `sort` says
    which of the rows with one key stays.
    """

    mode: Mode = "append"
    strategy: ReplaceStrategy = "insert_from_staging"
    key: tuple[str, ...] = ()
    sort: tuple[tuple[str, Order], ...] = ()
    on_schema_change: OnSchemaChange = "fail"
    expect: Expectation = NOTHING_EXPECTED

    @classmethod
    def read(
        cls,
        mode: Mode,
        *,
        replace_strategy: ReplaceStrategy = "insert_from_staging",
        primary_key: str | Sequence[str] | None = None,
        dedup_sort: Mapping[str, Order] | None = None,
        on_schema_change: OnSchemaChange = "fail",
        expect: Expected | None = None,
    ) -> Self:
        """Read a job's parameters.

        Raises:
            InvalidPayload: two of them do not go together.
        """
        if mode not in _BY_KEY and (primary_key is not None or dedup_sort):
            given = "primary_key" if primary_key is not None else "dedup_sort"
            raise InvalidPayload(f"{given} needs mode: merge or mode: insert_only")
        if on_schema_change == "recreate" and mode != "replace":
            raise InvalidPayload(
                "on_schema_change: recreate drops the table with its rows: it needs mode: replace"
            )
        if primary_key is not None and not primary_key:
            raise InvalidPayload("primary_key must have at least one column")
        key = [primary_key] if isinstance(primary_key, str) else primary_key or ()
        return cls(
            mode,
            replace_strategy,
            tuple(map(unquoted, key)),
            tuple((unquoted(name), order) for name, order in (dedup_sort or {}).items()),
            on_schema_change,
            Expectation.read(expect),
        )

    @property
    def by_key(self) -> bool:
        """Whether rows are matched by key."""
        return self.mode in _BY_KEY

    @property
    def stages(self) -> bool:
        """Whether rows wait in a temporary table before the target is touched."""
        return self.mode != "append" or self.on_schema_change != "fail"

    @property
    def adds_new_columns(self) -> bool:
        """Whether a column that the table lacks is no error."""
        return self.on_schema_change != "fail"

    @property
    def changes_types(self) -> bool:
        """Whether declared types may differ from the table's."""
        return self.on_schema_change in _OTHER_TYPES

    def key_of(self, target: Table, columns: Sequence[Column], source: str) -> list[str]:
        """Return the names of the key's columns, which the rows must have.

        Raises:
            JobFailure: there is none, or the rows lack one of its columns.
        """
        if not self.key and not target.primary_key:
            raise JobFailure(
                f"{target.written} has no primary key: name the columns that identify a row, as "
                "in `primary_key: [id]`"
            )
        if not self.key:
            names = {column.name for column in columns}
            missing = [name for name in target.primary_key if name not in names]
            if missing:
                raise JobFailure(
                    f"{source}: has no column {missing[0]!r}, which is in the primary key of "
                    f"{target.written}"
                )
            return target.primary_key
        return [column.name for column in named(columns, self.key, source)]

    def preview(self, table: str, columns: list[str], connection: str | None) -> Iterator[Preview]:
        """Yield the statements that bring staged rows with these columns into the table."""
        if self.mode == "replace":
            yield from of_store(table, connection, columns, self.strategy)
        elif self.stages:
            yield Preview(self._write(table, columns), connection, unexplained=NEEDS_STAGED)

    def _write(self, table: str, columns: list[str]) -> RenderedSql:
        if not self.by_key:
            return insert_statement(named_table(table), columns, always=False)
        key = list(self.key) or ["primary_key"]
        names = list(dict.fromkeys([*key, *columns]))
        update = self.mode == "merge"
        return written_by_key(named_table(table), names, key, delete=False, update=update)

    def drop_duplicates(
        self, session: "Session", key: Sequence[str], columns: Sequence[Column], source: str
    ) -> int:
        """Leave one staged row of each key, and return how many went.

        Raises:
            JobFailure: there is no column of a name that `dedup_sort` has.
        """
        order = dict(self.sort)
        sort = [
            {"name": column.name, "descending": order[name] == "desc"}
            for name in order
            for column in named(columns, [name], source)
        ]
        statement = packaged_sql("drop_duplicates", staged=STAGED, key=key, sort=sort)
        return max(0, execute(session, statement).rowcount)


APPEND = WriteMode()
