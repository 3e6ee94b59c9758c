"""What a copy takes of a table: which columns, under which names, masked or not, and which rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.masks import Mask
from headrace.jobs.tables.table_catalog import Column, Table, named, unquoted
from headrace.template import RenderedSql, quote_name

_RENAME = re.compile(r"\s*(.+?)\s+[aA][sS]\s+(.+?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selection:
    """The parameters `columns`, `select`, `where` and `mask`, read.

    `only` are the columns that are taken, None takes all but those `left_out`; `renamed` says
    what a column is called in the target. `masks` go by the source's names.
    """

    only: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    where: str | None = None
    masks: Mapping[str, Mask] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        columns: Sequence[str] | None = None,
        select: Sequence[str] | None = None,
        where: str | None = None,
        masks: Mapping[str, Mask] | None = None,
    ) -> Self:
        """Read `select`: `name`, `-name` (all but this one), `name as other`.

        Names alone are those that are taken; with `-name` or renamings only, all others are, too.

        Raises:
            InvalidPayload: they contradict each other.
        """
        taken, left_out, renamed = [], [], {}
        for one in select or ():
            rename = _RENAME.fullmatch(one)
            if one.startswith("-"):
                left_out.append(one[1:].strip())
            elif rename is not None:
                renamed[unquoted(rename[1])] = unquoted(rename[2])
            else:
                taken.append(one)
        if columns is not None and select is not None:
            raise InvalidPayload("columns and select say the same: keep one of them")
        if taken and left_out:
            raise InvalidPayload(
                f"select takes {taken[0]!r} and leaves out {left_out[0]!r}: what it does not name "
                "is left out anyway"
            )
        only = tuple(columns) if columns is not None else None
        if taken:
            only = (*taken, *renamed)
        if where is not None and not where.strip():
            raise InvalidPayload("where is empty: leave it out to take all rows")
        return cls(only, tuple(left_out), renamed, where, masks or {})

    def of(self, table: Table) -> tuple[Table, dict[str, RenderedSql]]:
        """Return the table with the columns as the target gets them, and the value of each.

        It has its primary key where all of that is taken, and only hashes mask it.

        Raises:
            JobFailure: a column is missing, or two would have the same name.
        """
        taken = list(table.columns)
        if self.only is not None:
            taken = named(table.columns, self.only, table.written)
        gone = {column.name for column in named(table.columns, self.left_out, table.written)}
        named(table.columns, [*self.renamed, *self.masks], table.written)
        masks = {unquoted(name): mask for name, mask in self.masks.items()}
        columns: list[Column] = []
        values: dict[str, RenderedSql] = {}
        for column in taken:
            if column.name in gone:
                continue
            name = self.renamed.get(column.name, column.name)
            if name in values:
                raise JobFailure(f"{table.written}: two columns would be called {name!r}")
            value = RenderedSql(quote_name(column.name), {})
            masked = column
            if column.name in masks:
                masked, value = masks[column.name].applied(column)
            columns.append(replace(masked, name=name))
            values[name] = value
        if sum(column.in_key for column in columns) < len(table.primary_key):
            columns = [replace(column, in_key=False) for column in columns]
        return replace(table, columns=tuple(columns)), values

    def query(
        self,
        table: RenderedSql,
        values: Mapping[str, RenderedSql],
        names: Sequence[str],
        conditions: Sequence[RenderedSql] = (),
    ) -> RenderedSql:
        """Return the SELECT of these columns, of the rows that meet all conditions."""
        # A comment at the end of `where` does not hide the parenthesis.
        own = [RenderedSql(f"{self.where}\n", {})] if self.where is not None else []
        columns = [{"name": name, "value": values[name]} for name in names]
        return packaged_sql(
            "select_values", table=table, columns=columns, conditions=[*own, *conditions]
        )
