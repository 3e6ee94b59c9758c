"""Reads rows of PostgreSQL as texts, which other databases are given."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from headrace.jobs.others.reading import Row
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.local_settings import set_locally
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_PORTABLE = (
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("timezone", "UTC"),
)


def texts_of(session: "Session", query: RenderedSql, names: Sequence[str]) -> Iterator[Row]:
    """Yield a query's rows, each value as PostgreSQL writes it, times in UTC."""
    statement = packaged_sql("texts_of_rows", query=query, columns=names)
    with set_locally(session, *_PORTABLE):
        for row in execute(session, statement, stream=True):
            yield tuple(row)
