"""The window before a watermark that is read once more: a duration, or a number."""

import re
from dataclasses import dataclass
from typing import Any, Self

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.tables.table_catalog import Column

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision", "oid")


@dataclass(frozen=True, slots=True)
class Lag:
    """`seconds` for a cursor of times, `steps` for one of numbers."""

    written: str
    seconds: float | None = None
    steps: int | None = None

    @classmethod
    def read(cls, given: Any) -> Self | None:
        """Read `10m` or `1000`.

        Raises:
            InvalidPayload: it is neither.
        """
        if given is None:
            return None
        if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
            return cls(str(given), steps=given)
        found = _DURATION.fullmatch(str(given))
        if found is None:
            raise InvalidPayload(
                "incremental.lag is a duration, as in 10m, or a whole number for a cursor of "
                f"numbers, not {given!r}"
            )
        return cls(str(given), seconds=float(found[1]) * _SECONDS[found[2]])

    def subtracted(self, column: Column) -> str:
        """Return what stands behind the watermark in SQL.

        Raises:
            JobFailure: it does not fit the cursor's type.
        """
        is_number = column.type.startswith(_NUMBERS)
        is_time = column.type.startswith(("timestamp", "date"))
        if self.seconds is not None and is_time:
            return f" - make_interval(secs => {self.seconds!r})"
        if self.steps is not None and is_number:
            return f" - {self.steps}"
        raise JobFailure(
            f"incremental.lag is {self.written}, which cannot be taken from {column.name} "
            f"({column.type}): dates and times take a duration, numbers a number"
        )
