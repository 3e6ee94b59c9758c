"""Divides what is to be read into parts, for several connections."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from headrace.errors import InvalidPayload
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.transfer.source import Source
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_SIZE = re.compile(r"\s*(\d+)\s*(kB|MB|GB|TB)\s*", re.IGNORECASE)
_MOST_JOBS = 16
_UNITS = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of the table with this number, as one connection reads them."""

    table: int
    source: Source
    bytes: int

    def read_by(self, session: "Session") -> Source:
        """Return what another session reads, which sees the same snapshot."""
        return replace(self.source, session=session)


def read_jobs(jobs: int, split_tables_larger_than: str | None) -> tuple[int, int | None]:
    """Read the two parameters: connections, and bytes.

    Raises:
        InvalidPayload: one of them makes no sense.
    """
    if not 1 <= jobs <= _MOST_JOBS:
        raise InvalidPayload(f"jobs is a number from 1 to {_MOST_JOBS}, not {jobs}")
    if jobs == 1 and split_tables_larger_than is not None:
        raise InvalidPayload("split_tables_larger_than needs jobs, more than one of them")
    return jobs, read_size(split_tables_larger_than)


def read_size(written: str | None) -> int | None:
    """Read a size as PostgreSQL writes it, `2GB`, as bytes.

    Raises:
        InvalidPayload: it is none.
    """
    if written is None:
        return None
    found = _SIZE.fullmatch(written)
    if found is None or int(found[1]) == 0:
        raise InvalidPayload(
            f"split_tables_larger_than is a size such as 500MB or 2GB, not {written!r}"
        )
    return int(found[1]) * _UNITS[found[2].lower()]


def parts_of(number: int, source: Source, most_bytes: int | None) -> Iterator[Part]:
    """Yield the parts of a table: its partitions, and page ranges of what is larger.

    A view is one part, and a table whose policies or heirs an access to its parts would pass over.
    """
    table = source.table
    rows = []
    if table.kind in "rp" and not table.filtered and not table.heirs:
        found = execute(source.session, packaged_sql("table_parts", oid=table.oid))
        rows = list(found.mappings())
    if not rows or not all(row["readable"] for row in rows):
        yield Part(number, source, 0)
        return
    # Conditions may name the table.
    alias = quote_name(table.name)
    for row in rows:
        own = source
        if table.kind == "p":
            own = replace(source, read_from=RenderedSql(f"{row['name']} AS {alias}", {}))
        ranges = _ranges(row["bytes"], row["page"], most_bytes) if row["divisible"] else [""]
        for condition in ranges:
            conditions = (RenderedSql(condition, {}),) if condition else ()
            part = replace(own, conditions=(*own.conditions, *conditions))
            yield Part(number, part, row["bytes"] // len(ranges))


def _ranges(size: int, page: int, most_bytes: int | None) -> list[str]:
    """Return conditions on ctid that together let every row pass once."""
    count = 1 if most_bytes is None else -(-size // most_bytes)
    if count <= 1:
        return [""]
    pages = max(1, -(-size // page // count))
    bounds = list(range(pages, -(-size // page), pages))
    edges = [None, *bounds, None]
    found = []
    for low, high in pairwise(edges):
        # The last one is open: the table may have grown since it was measured.
        words = [f"ctid >= '({low},0)'::tid"] if low is not None else []
        words += [f"ctid < '({high},0)'::tid"] if high is not None else []
        found.append(" AND ".join(words))
    return found
