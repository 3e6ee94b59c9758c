"""Fails a write whose numbers are not what its step expects: rows that come, rows that go."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, Self

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import Table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Expected = dict[Literal["rows", "max_delete"], int | str]
"""What `expect` takes, as in `{rows: ">0", max_delete: 5%}`."""

_COMPARED: dict[str, Callable[[int, int], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "": operator.eq,
}
_COMPARISON = re.compile(r"\s*(>=|<=|>|<|=|)\s*(\d+)\s*")
_BETWEEN = re.compile(r"\s*(\d+)\s*\.\.\s*(\d+)\s*")
_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True, slots=True)
class Limit:
    """The greatest number that passes: a count, or a share in percent of what was there."""

    written: str
    count: int | None = None
    percent: Decimal | None = None

    @classmethod
    def read(cls, given: int | str, parameter: str) -> Self:
        """Read `100` or `5%`.

        Raises:
            InvalidPayload: it is neither.
        """
        text = str(given)
        share = _SHARE.fullmatch(text)
        if share is not None and Decimal(share[1]) <= 100:
            return cls(text.strip(), percent=Decimal(share[1]))
        if text.strip().isdecimal():
            return cls(text.strip(), count=int(text))
        raise InvalidPayload(f"{parameter} is a number of rows, or a share as in 5%, not {given!r}")

    def allows(self, number: int, base: int) -> bool:
        """Return whether a number passes; exactly the limit does."""
        if self.percent is not None:
            return number * 100 <= self.percent * base
        return self.count is None or number <= self.count


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a step says of the rows that it writes (`expect`); None says nothing."""

    rows: str | None = None
    max_delete: Limit | None = None

    @classmethod
    def read(cls, given: Mapping[Literal["rows", "max_delete"], int | str] | None) -> Self:
        """Read the parameter `expect`.

        Raises:
            InvalidPayload: a value of it cannot be read.
        """
        if not given:
            return cls()
        rows, most = given.get("rows"), given.get("max_delete")
        if rows is not None and _fits(str(rows), 0) is None:
            raise InvalidPayload(
                f'expect.rows is a number or a comparison, such as ">0", "<=5000" or '
                f'"100..200", not {rows!r}'
            )
        return cls(
            None if rows is None else str(rows),
            None if most is None else Limit.read(most, "expect.max_delete"),
        )

    def check_rows(self, rows: int, table: str) -> None:
        """Fail where another number of rows has come than is expected.

        Raises:
            JobFailure: saying what was expected.
        """
        if self.rows is not None and not _fits(self.rows, rows):
            raise JobFailure(
                f"{rows} rows have come for {table}, but expect.rows is {self.rows!r}: nothing is "
                "saved"
            )

    def check_deleted(self, deleted: int, before: int, table: str) -> None:
        """Fail where more of the `before` rows would be deleted than is expected.

        Raises:
            JobFailure: with both numbers.
        """
        if self.max_delete is not None and not self.max_delete.allows(deleted, before):
            raise JobFailure(
                f"{deleted} of the {before} rows of {table} would be deleted, but "
                f"expect.max_delete is {self.max_delete.written}: nothing is saved"
            )


NOTHING_EXPECTED = Expectation()


def check_replaced(
    session: "Session", target: Table, key: list[str] | None, staged: str, expect: Expectation
) -> None:
    """Fail where replacing a table's rows by the staged ones would delete too many of them.

    With `key` those are deleted whose key is not staged, otherwise as many as there are fewer.

    Raises:
        JobFailure: with the numbers.
    """
    if expect.max_delete is None:
        return
    row = _count_replaced(session, target, key, staged)
    expect.check_deleted(max(0, row.gone), row.before, target.written)


def _count_replaced(session: "Session", target: Table, key: list[str] | None, staged: str) -> Any:
    from sqlalchemy.exc import ProgrammingError

    values = {"table": target.sql, "staged": staged, "key": key}
    try:
        with session.begin_nested():
            return execute(session, packaged_sql("count_replaced", **values, as_text=False)).one()
    except ProgrammingError:
        # A key that gets another type, with which the present one cannot be compared. Whatever
        # else is wrong is said again.
        return execute(session, packaged_sql("count_replaced", **values, as_text=True)).one()


def count_before(session: "Session", target: Table, expect: Expectation) -> int:
    """Return the number of rows before a write, 0 where `max_delete` does not ask for it."""
    if expect.max_delete is None:
        return 0
    statement = packaged_sql(
        "count_replaced", table=target.sql, staged=None, key=None, as_text=False
    )
    return int(execute(session, statement).one().before)


def _fits(expected: str, rows: int) -> bool | None:
    """Return whether a number is as expected; None: nobody can tell what is expected."""
    between = _BETWEEN.fullmatch(expected)
    if between is not None:
        return int(between[1]) <= rows <= int(between[2])
    comparison = _COMPARISON.fullmatch(expected)
    if comparison is None:
        return None
    return _COMPARED[comparison[1]](rows, int(comparison[2]))
