"""Finds values that a cast would round, cut or take out of their time zone without a word."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.schema_drift import Pair
from headrace.jobs.tables.staging_table import STAGED_SQL
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_LIMITS = re.compile(r"\([\d,]+\)")
_TEXTS = {"text", "character varying", "character", "name", '"char"'}
_FLOATS = {"real", "double precision"}
_INTEGERS = ["smallint", "integer", "bigint", "numeric"]
_ZONED = {"timestamp with time zone", "time with time zone"}
_TIMES = {"date", "timestamp without time zone", "time without time zone", "interval"} | _ZONED
_SCALARS = {*_TEXTS, *_FLOATS, *_INTEGERS, *_TIMES, "oid"}


@dataclass(frozen=True, slots=True)
class Loss:
    """How many values of a column are not stored as they are; `example` is one of them."""

    pair: Pair
    values: int
    example: str

    @property
    def of_zone(self) -> bool:
        """Whether what is lost is the instant itself."""
        return _loses_zone(_base(_type(self.pair.given)), _base(_type(self.pair.target)))


def tell_losses(
    session: "Session", target: Table, pairs: Sequence[Pair], source: Table | None
) -> None:
    """Refuse to store staged values otherwise than `source`, the table they come from, has them.

    The rows of a query (`source` is None) are what its author makes of them: there it is told.

    Raises:
        JobFailure: naming the first such column, and what can be done.
    """
    for loss in _losses(session, pairs):
        if source is not None:
            raise JobFailure(_refusal(target, loss, source))
        logger.warning(
            "%s: %s of column %s rounded or cut to fit %s, %s for example",
            target.written, number_of(loss.values, "value"), loss.pair.target.name,
            loss.pair.target.type, loss.example,
        )  # fmt: skip


def cast_of(pair: Pair) -> str:
    """Return the staged value as an expression of the target's type, all its digits kept.

    PostgreSQL's own cast of a float to numeric keeps 15 digits.
    """
    name = quote_name(pair.given.name)
    if _base(_type(pair.given)) in _FLOATS and _base(_type(pair.target)) == "numeric":
        return f"{name}::text::{pair.target.type}"
    return name


def _losses(session: "Session", pairs: Sequence[Pair]) -> Iterator[Loss]:
    looked_at = [pair for pair in pairs if _may_lose(pair)]
    if not looked_at:
        return
    columns = [
        {"name": pair.given.name, "lost": RenderedSql(_lost(pair), {})} for pair in looked_at
    ]
    statement = packaged_sql("value_losses", table=STAGED_SQL, columns=columns)
    found = tuple(execute(session, statement).one())
    for pair, values, example in zip(looked_at, found[::2], found[1::2], strict=True):
        if values:
            yield Loss(pair, values, example)


def _may_lose(pair: Pair) -> bool:
    given, own = _type(pair.given), _type(pair.target)
    if given == own or (given.endswith("[]")) != (own.endswith("[]")):
        return False
    before, after = _base(given), _base(own)
    if not {before, after} <= _SCALARS:
        return False
    if before in _INTEGERS and after in _INTEGERS and not _LIMITS.search(own):
        return _INTEGERS.index(after) < _INTEGERS.index(before)
    is_wider = after == "text" or (before == after and not _LIMITS.search(own))
    return not is_wider


def _lost(pair: Pair) -> str:
    name, given, own = quote_name(pair.given.name), _type(pair.given), _type(pair.target)
    before, after = _base(given), _base(own)
    if _loses_zone(before, after):
        return f"{name} IS NOT NULL"
    back = "text" + "[]" * given.endswith("[]") if before in _TEXTS else given
    there = cast_of(pair)
    return f"{name}::{back} IS DISTINCT FROM ({there}::{own})::{back}"


def _loses_zone(before: str, after: str) -> bool:
    return before in _ZONED and after in _TIMES and after not in _ZONED


def _type(column: Column) -> str:
    """Return a column's type; a domain holds what its base does."""
    return column.plain if column.kind == "d" and column.plain else column.type


def _base(type_: str) -> str:
    return _LIMITS.sub("", type_).removesuffix("[]")


def _refusal(target: Table, loss: Loss, source: Table) -> str:
    name, own, given = loss.pair.target.name, loss.pair.target.type, loss.pair.given.type
    if loss.of_zone:
        what = f"has no time zone: {loss.values} values, {loss.example} for example, would be"
        what += " stored without the instant that they mean"
        view = f"names the zone ({quote_name(name)} AT TIME ZONE 'UTC')"
    else:
        what = f"cannot hold {loss.values} of the values, {loss.example} for example, as they are"
        view = f"makes them fit ({quote_name(name)}::{own})"
    return (
        f"{target.written}: column {name} ({own}) {what}. {source.written} has them as {given}: "
        f"ALTER TABLE {target.sql.display} ALTER COLUMN {quote_name(name)} TYPE {given}, or set "
        f"on_schema_change: sync_all_columns, or copy from a view that {view}"
    )
