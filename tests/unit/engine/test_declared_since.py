"""Up to when the instants of a schedule count as processed, and what is said of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.engine.scheduling.declared_since import TOLERANCE, declared, seen_until
from headrace.model.pipeline import Pipeline

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ONE = Pipeline(name="one", file="", folder="", version="", steps=())


@pytest.mark.parametrize(
    ("seen", "as_declared", "until", "told"),
    [
        (NOON - SECOND, True, NOON - SECOND, None),
        (NOON, True, NOON, None),
        (NOON - SECOND, None, NOON - SECOND, None),
        (NOON - SECOND, False, NOON, "INFO one: its schedule is new or was changed; "),
        (NOON, False, NOON, "INFO one: its schedule is new or was changed; "),
        (NOON + TOLERANCE, True, NOON, None),
        (NOON + TOLERANCE, False, NOON, None),
        (
            NOON + TOLERANCE + SECOND, True, NOON,
            "WARNING one: its schedule was processed up to 2026-05-04 12:",
        ),
    ],
)  # fmt: skip
def test_what_a_schedule_owes_begins_where_it_was_seen_last(
    caplog: pytest.LogCaptureFixture,
    seen: datetime, as_declared: bool | None, until: datetime, told: str | None,
) -> None:  # fmt: skip
    row: dict[str, Any] = {"seen_until": seen, "declared": None}
    if as_declared is not None:
        row["declared"] = declared(ONE) if as_declared else "another"
    with caplog.at_level("INFO"):
        assert seen_until(ONE, row, NOON) == until

    said = [f"{record.levelname} {record.getMessage()}" for record in caplog.records]
    assert [one.startswith(told or "-") for one in said] == ([] if told is None else [True])


def test_a_new_pipeline_owes_nothing_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert seen_until(ONE, None, NOON) == NOON
    assert caplog.records == []
