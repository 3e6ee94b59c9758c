"""Sets what the text of values depends on, for as long as a file is read or written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headrace.jobs.files.copy_streams import options_of
from headrace.jobs.sql.packaged import execute, packaged_sql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


# What is exported can be read again, whatever the session has set.
_PORTABLE = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}


@contextmanager
def dates_year_first(session: "Session") -> Iterator[bool]:
    """Read dates as year-month-day within the block, where nobody has set another order.

    Yields whether that is so: then a year of two digits cannot be told from a day.
    """
    told = "datestyle" in options_of(session).lower()
    row = execute(session, packaged_sql("date_order", told=told)).one()
    yield not row.meant
    _set(session, {"datestyle": row.setting})


@contextmanager
def portable(session: "Session", *, utc: bool = False) -> Iterator[None]:
    """Have values written within the block as every session reads them; times in UTC if asked."""
    before = _set(session, _PORTABLE | ({"timezone": "UTC"} if utc else {}))
    yield
    _set(session, before)


def make_read_only(session: "Session") -> None:
    """Refuse what writes until the savepoint ends that the session is in."""
    _set(session, {"transaction_read_only": "on"})


def _set(session: "Session", settings: dict[str, str]) -> dict[str, str]:
    """Set these until the transaction ends, and return what they were."""
    before = {}
    for name, value in settings.items():
        statement = packaged_sql("set_locally", name=name, value=value)
        before[name] = execute(session, statement).scalars().one()
    return before
