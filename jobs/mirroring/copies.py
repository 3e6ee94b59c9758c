"""Which tables are copied, and where to: patterns, and what a step says of single tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from headrace.errors import InvalidPayload, JobFailure, RefusedSql
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.masks import Mask
from headrace.jobs.tables.table_catalog import readable_table, split_table
from headrace.jobs.transfer.selection import Selection
from headrace.template import quote_name, split_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


@dataclass(frozen=True, slots=True)
class Copy:
    """One table: `source`, read as `selection` says, goes to `target`."""

    source: str
    target: str
    selection: Selection


@dataclass(frozen=True, slots=True)
class _There:
    """A table of the source."""

    schema: str
    name: str
    visible: bool = True
    of_extension: bool = False

    def is_named(self, schema: str | None, name: str) -> bool:
        return self.name == name and (self.visible if schema is None else self.schema == schema)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One of `tables`; `*` stands for any letters, `?` for one."""

    written: str

    @property
    def text(self) -> str:
        return self.written.removeprefix("!").strip()

    @property
    def excludes(self) -> bool:
        return self.written.startswith("!")

    @property
    def is_wild(self) -> bool:
        return any(mark in self.text for mark in "*?")

    def means(self, table: _There) -> bool:
        if not self.is_wild:
            return table.is_named(*split_table(self.text))
        schema, dot, name = self.text.rpartition(".")
        if not _glob(name).fullmatch(table.name):
            return False
        return bool(_glob(schema).fullmatch(table.schema)) if dot else table.visible


@dataclass(frozen=True, slots=True)
class Choice:
    """The parameters `tables`, `target_schema`, `where` and `mask` for several tables.

    `where` goes by table, `masks` by table and column.
    """

    patterns: tuple[_Pattern, ...]
    target_schema: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, Mask] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        tables: Sequence[str],
        target_schema: str | None,
        where: Mapping[str, str],
        masks: Mapping[str, Mask],
    ) -> Self:
        """Read the parameters.

        Raises:
            InvalidPayload: one of them cannot be read.
        """
        patterns = tuple(_Pattern(one) for one in tables)
        for one in patterns:
            if not one.is_wild:
                split_table(one.text)
        if all(one.excludes for one in patterns):
            raise InvalidPayload(
                'tables names none to copy: write patterns such as "public.*", and after them '
                'what is left out, such as "!public.audit_*"'
            )
        for name in masks:
            if len(_parts(name)) < 2:
                raise InvalidPayload(
                    f"mask: {name} is no column of a table: with tables it is written table.column"
                )
        for name, condition in where.items():
            if not condition.strip():
                raise InvalidPayload(f"where of {name} is empty: leave it out to take all rows")
        return cls(patterns, target_schema, where, masks)

    def copies(self, session: "Session", masks: Mapping[str, Mask]) -> list[Copy]:
        """Return what is to be copied, by the source's catalogue; `masks` are those with salt.

        Raises:
            JobFailure: a pattern means no table, or two tables would go to one.
        """
        tables = self._chosen(session)
        selections = {table: Selection() for table in tables}
        for name, condition in self.where.items():
            table = _found(tables, _parts(name), f"where names {name}")
            if selections[table].where is not None:
                raise JobFailure(f"where names {name} twice: join the conditions by AND")
            selections[table] = replace(selections[table], where=condition)
        for name, mask in masks.items():
            *of, column = _parts(name)
            table = _found(tables, of, f"mask names {name}")
            if quote_name(column) in selections[table].masks:
                raise JobFailure(f"mask names {name} twice: keep one of them")
            known = {**selections[table].masks, quote_name(column): mask}
            selections[table] = replace(selections[table], masks=known)
        found: dict[str, Copy] = {}
        for table, selection in selections.items():
            source = written(table.schema, table.name)
            target = written(self.target_schema or table.schema, table.name)
            if target in found:
                raise JobFailure(
                    f"{found[target].source} and {source} would both go to {target}: leave one of "
                    "them out, or copy them in steps of their own"
                )
            found[target] = Copy(source, target, selection)
        return list(found.values())

    def _chosen(self, session: "Session") -> list[_There]:
        rows = execute(session, packaged_sql("tables_there")).mappings()
        there = [_There(**row) for row in rows]
        chosen: list[_There] = []
        for pattern in self.patterns:
            if pattern.excludes:
                continue
            new = _meant(session, pattern, there)
            chosen += [table for table in new if table not in chosen]
        for pattern in self.patterns:
            if not pattern.excludes:
                continue
            left = [table for table in chosen if not pattern.means(table)]
            if len(left) == len(chosen):
                logger.warning('"%s" of tables leaves nothing out', pattern.written)
            chosen = left
        if not chosen:
            raise JobFailure("tables leaves out all that it names: nothing is left to copy")
        return sorted(chosen, key=lambda table: (table.schema, table.name))


def written(schema: str, name: str) -> str:
    """Return a table's name as a user writes it."""
    return ".".join(one if _PLAIN.fullmatch(one) else quote_name(one) for one in (schema, name))


def _meant(session: "Session", pattern: _Pattern, there: Sequence[_There]) -> list[_There]:
    found = [table for table in there if pattern.means(table)]
    if not pattern.is_wild and not found:
        # A view, or a table that no pattern means; otherwise it says that there is none.
        named = readable_table(session, pattern.text)
        return [_There(named.schema, named.name)]
    own = [table for table in found if not (pattern.is_wild and table.of_extension)]
    for table in found:
        if table not in own:
            logger.info("%s.%s belongs to an extension and is left out", table.schema, table.name)
    if not own:
        raise JobFailure(f'"{pattern.written}" of tables means no table of the source')
    return own


def _found(tables: Sequence[_There], parts: Sequence[str], said: str) -> _There:
    schema = parts[-2] if len(parts) > 1 else None
    found = [
        table
        for table in tables
        if table.name == parts[-1] and (schema is None or table.schema == schema)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise JobFailure(f"{said}, which several tables are called: write the schema, too")
    names = ", ".join(written(table.schema, table.name) for table in tables)
    raise JobFailure(f"{said}, which is none of the tables: {names}")


def _parts(name: str) -> list[str]:
    try:
        return list(split_name(name))
    except RefusedSql as error:
        raise InvalidPayload(str(error)) from None


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)
