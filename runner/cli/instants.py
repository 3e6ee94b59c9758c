"""The next instants of schedules, for what the command line shows of them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.model.pipeline import Schedule
    from headrace.plan.upcoming_instants import PreviewRow

_UPCOMING = 5


def next_instants(schedules: "Sequence[Schedule]") -> "list[PreviewRow]":
    """Return the next instants of all schedules together."""
    from headrace.plan.upcoming_instants import preview

    now = datetime.now(UTC)
    rows = [row for one in schedules for row in preview(one, now, _UPCOMING)]
    return sorted(rows, key=lambda row: row.instant)[:_UPCOMING]
