"""The statements of checks before they run."""

from collections.abc import Iterator, Sequence

from headrace.jobs.checks.check import Check
from headrace.jobs.checks.kinds import KINDS
from headrace.jobs.sql.packaged import packaged_sql
from headrace.template import Preview, RenderedSql


def previews_of(checks: Sequence[Check], connection: str | None) -> Iterator[Preview]:
    """Yield what measures each check, where one statement does."""
    for check in checks:
        kind = KINDS[check.kind]
        note = f"{check.name}: {check.bound}"
        if check.kind == "failed_rows":
            if "query" in check.given:
                sql = RenderedSql(check.given["query"], {})
            else:
                assert kind.condition is not None
                sql = packaged_sql(
                    "check_condition", rows=check.rows, condition=kind.condition(check)
                )
            yield Preview(sql, connection, note)
        elif kind.statement is not None:
            yield Preview(kind.statement(check), connection, note)
        elif check.table is not None:
            yield Preview(packaged_sql("count_rows", table=check.table), connection, note)
