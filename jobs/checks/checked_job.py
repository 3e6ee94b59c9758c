"""The base of jobs that write: `checks` judge what they have written before it is visible.

What reads and judges them is imported where there are checks: most steps that write have none, and
commands load the classes of the jobs that they show.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from headrace import jobapi
from headrace.errors import InvalidPayload
from headrace.jobs.base import BaseJob
from headrace.model.connection import PRODUCTS
from headrace.template import Preview

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from headrace.jobs.checks.check import FailureTable

IN_SQL = ("checks.filter", "checks.query", "checks.expression")
"""The texts of checks that are parts of SQL, for `in_sql`."""
CHECK_RESULT: dict[str, Any] = {
    "checks": int,
    "warnings": int,
    "check_results": list[dict[str, Any]],
}
"""What `judged` adds to a result, for `result_keys`."""


class CheckedJob(BaseJob):
    """A job that writes, and whose checks judge the table after the write.

    They run in the job's own transaction: if one of them fails, nothing that the job wrote is ever
    visible. A class calls `judged` once, when all is written.

    Parameters:
        checks: what the data must be like once they are written, as in CheckData; if a check does
            not pass, nothing of the write stays. A check may name another `table`.
        store_failures: where failing keys are kept, `{table: dq.failure, limit: 100}`, even though
            the job fails; a retry replaces them.
    """

    in_sql: ClassVar[tuple[str, ...]] = IN_SQL

    def __init__(
        self,
        checks: list[dict[str, dict[str, Any] | None]] | None = None,
        store_failures: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.checks = checks or []
        self.store_failures = _failure_table(store_failures)
        if store_failures and not checks:
            raise InvalidPayload("store_failures needs checks")

    def refuse_checks_of(self, table: str | None) -> None:
        """Refuse checks that cannot be understood; call it in `__init__`, with the table written.

        Raises:
            InvalidPayload: naming the check.
        """
        if self.checks:
            from headrace.jobs.checks.declared_checks import checks_of

            checks_of(self.checks, table)

    def check_previews(self, table: str | None, connection: str | None = None) -> Iterator[Preview]:
        """Yield what measures the checks, for `preview`; arguments as of `judged`."""
        if not self.checks or self.kind_of(connection or self.connection) != "postgresql":
            return
        from headrace.jobs.checks.declared_checks import checks_of
        from headrace.jobs.checks.previews import previews_of

        unexplained = "it reads what the step writes"
        for one in previews_of(checks_of(self.checks, table), connection or self.connection):
            yield replace(one, unexplained=unexplained)

    def judged(
        self, result: dict[str, Any], table: str | None, connection: str | None = None
    ) -> dict[str, Any]:
        """Judge what the job has written to `table`, and return the result with what was found.

        `connection` is the one that the job has written to, by default its `connection`.

        Raises:
            JobFailure: a check of the level `error` did not pass.
        """
        if not self.checks:
            return result
        from headrace.jobs.checks.check import ROWS_TOLD
        from headrace.jobs.checks.declared_checks import checks_of
        from headrace.jobs.checks.judging import judge, primary_keys, record
        from headrace.jobs.checks.other_measuring import judge_other, refuse_checks_for_others

        checks = checks_of(self.checks, table)
        place = connection or self.connection
        kept = self.store_failures.limit if self.store_failures else ROWS_TOLD
        kind = self.kind_of(place)
        if kind != "postgresql":
            refuse_checks_for_others(checks, PRODUCTS[kind], stores=self.store_failures is not None)
            with jobapi.current().other(place or "") as database:
                found = judge_other(database, checks, only_reading, place, kept)
            return {**result, **record(found, {}, None, place)}

        with self.session(place, read_only=True) as session:
            found = judge(session, checks, only_reading, place, kept)
            keys = primary_keys(session, found)
        return {**result, **record(found, keys, self.store_failures, place)}


def _failure_table(given: dict[str, Any] | None) -> "FailureTable | None":
    if given is None:
        return None
    from headrace.jobs.checks.check import FailureTable

    return FailureTable.of(given)


def only_reading(connection: str | None) -> AbstractContextManager["Session"]:
    """Return a session that only reads, on a connection of that name."""
    return jobapi.current().session(connection, read_only=True)
