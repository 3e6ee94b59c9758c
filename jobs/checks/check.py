"""A check as it is declared, what was measured for it, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from headrace.errors import InvalidPayload
from headrace.errors.numbers import number_of
from headrace.jobs.checks.bounds import Bound, Number, shown
from headrace.jobs.sql.query_result import as_json
from headrace.template import RenderedSql, quote_identifier

Level = Literal["error", "warn"]

ROWS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `table` and `filter` name the rows, `given` has the keys of its kind.

    `sentence` is what a failure is called where the check was declared in a short form, such as
    `not_null`.
    """

    kind: str
    name: str
    bound: Bound
    table: str | None = None
    filter: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    level: Level = "error"
    sentence: str = ""

    @property
    def rows(self) -> RenderedSql:
        """The rows that it is about, for FROM: the table, filtered."""
        text = quote_identifier(self.table)
        if self.filter is not None:
            # On a line of its own, so that a comment at its end hides nothing.
            text += f" WHERE ({self.filter}\n)"
        return RenderedSql(text, {})

    @property
    def in_percent(self) -> bool:
        """Whether the share of the rows is judged, and not their number."""
        return bool(self.given.get("metric") == "percent")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a check has found: the value to judge, and rows that are as they must not be.

    `detail` is told with the value. `count` is the number of such rows, of which `sample` has the
    first ones. `base` is the value that a metric is compared with.
    """

    value: Number | None
    detail: str = ""
    count: int = 0
    sample: tuple[Mapping[str, Any], ...] = ()
    base: Number | None = None
    agrees: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """A check with what was measured for it."""

    check: Check
    measured: Measured

    @property
    def passed(self) -> bool:
        """Whether the value is as it must be."""
        return self.measured.agrees and self.check.bound.holds(self.measured.value)

    @property
    def verdict(self) -> str:
        """`passed`, `warned` or `failed`."""
        if self.passed:
            return "passed"
        return "warned" if self.check.level == "warn" else "failed"

    @property
    def told(self) -> str:
        """What a failure, or the log, says of it."""
        check, measured = self.check, self.measured
        if check.sentence and not self.passed:
            return check.sentence.format(value=shown(measured.value), rows=self._rows())
        value = f"{shown(measured.value)}{check.bound.unit if measured.value is not None else ''}"
        value += f", {check.bound}" if check.bound.limits else ""
        detail = f" ({measured.detail})" if measured.detail else ""
        rows = f": {self._rows()}" if measured.count and not self.passed else ""
        return f"{check.name}: {value}{detail}{rows}"

    @property
    def reason(self) -> str:
        """Why a row of it is as it must not be."""
        return f"{self.check.name}: {self.check.bound}"

    def as_result(self) -> dict[str, Any]:
        """Return what a job's result says of it."""
        found = {
            "check": self.check.name,
            "value": as_json(self.measured.value),
            "bound": str(self.check.bound),
            "level": self.check.level,
            "verdict": self.verdict,
        }
        if self.measured.detail:
            found["detail"] = self.measured.detail
        if self.measured.base is not None:
            found["base"] = as_json(self.measured.base)
        return found

    def _rows(self) -> str:
        count, sample = self.measured.count, self.measured.sample[:ROWS_TOLD]
        listed = "; ".join(_shown(row) for row in sample)
        more = f"; and {count - len(sample)} more" if count > len(sample) else ""
        return f"{number_of(count, 'row')} ({listed}{more})"


@dataclass(frozen=True, slots=True)
class FailureTable:
    """Where failing keys are kept: a table, and the most rows for each check."""

    table: str
    limit: int = 100

    @classmethod
    def of(cls, given: Mapping[str, Any] | None) -> "FailureTable | None":
        """Read the key `store_failures`.

        Raises:
            InvalidPayload: it is anything else.
        """
        if given is None:
            return None
        unknown = given.keys() - {"table", "limit"}
        table, limit = given.get("table"), given.get("limit", 100)
        if unknown or not isinstance(table, str):
            raise InvalidPayload("store_failures takes a table, and a limit: {table: dq.failure}")
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 10_000:
            raise InvalidPayload(f"the limit of store_failures is 1 to 10000, not {limit!r}")
        return cls(table, limit)


def _shown(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r:.80}" for name, value in row.items())
