"""Divides what is read into chunks, each with a commit of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import Column
from headrace.jobs.transfer.source import Source
from headrace.template import RenderedSql

Bounds = Sequence[str]
"""The values of the columns that chunks go by, as text."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one chunk reads, and where it ends; None is the end of all."""

    source: Source
    end: Bounds | None


def next_chunk(source: Source, by: Sequence[str], after: Bounds | None, size: int) -> Chunk:
    """Return the rows behind `after`, at least `size` of them.

    `by` are columns as they arrive; rows with equal values of them stay together.
    """
    columns = {column.name: column for column in source.model.columns}
    rest = source
    if after is not None:
        rest = _with(source, _bound(source, columns, by, after, above=True, null=True))
    query = rest.query(by)
    names = [{"name": name} for name in by]
    row = execute(rest.session, packaged_sql("chunk_end", by=names, query=query, size=size)).first()
    if row is None:
        return Chunk(rest, None)
    end = tuple(str(value) for value in row)
    return Chunk(_with(rest, _bound(source, columns, by, end, above=False, null=False)), end)


def _with(source: Source, condition: RenderedSql) -> Source:
    return replace(source, conditions=(*source.conditions, condition))


def _bound(
    source: Source,
    columns: Mapping[str, Column],
    by: Sequence[str],
    values: Bounds,
    *,
    above: bool,
    null: bool,
) -> RenderedSql:
    """Return the condition; with `null` rows without a value meet it, too."""
    given: list[dict[str, Any]] = [
        {
            "value": source.values[name],
            "bound": value,
            "type": RenderedSql(columns[name].type, {}),
        }
        for name, value in zip(by, values, strict=True)
    ]
    return packaged_sql("chunk_bound", by=given, above=above, null=null)
