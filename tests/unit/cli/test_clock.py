"""A time that a person writes without an offset is on the schedule's clock."""

from pathlib import Path

import pytest

from tests.support.cli import Headrace

PIPELINE = """
name: daily
schedule: {cron: "0 0 * * *", timezone: America/New_York}
params:
  day: {type: date, default: "{{ run.logical_date | date }}"}
  since: {type: datetime, default: "2026-11-01T00:30"}
steps:
  - id: fill
    job: RunSql
    with:
      sql: >-
        SELECT {{ params.day }}::date, {{ logical_date }}, {{ logical_date - days(1) }},
        {{ params.day | datetime }}
"""


@pytest.fixture
def headrace(tmp_path: Path) -> Headrace:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "daily.yaml").write_text(PIPELINE)
    return Headrace(tmp_path, {})


@pytest.mark.parametrize(
    "written", ["2026-11-03", "2026-11-03T00:00", "2026-11-03T05:00Z", "2026-11-03T06:00+01:00"]
)
def test_a_logical_date_without_an_offset_is_on_the_schedules_clock(
    headrace: Headrace, written: str
):
    done = headrace("plan", "daily", "--logical-date", written, "-p", "since=2026-11-03T08:00")

    assert done.code == 0, done.err
    assert "logical date 2026-11-03 00:00:00 -05:00 America/New_York" in done.out
    assert 'param day = "2026-11-03"' in done.out
    assert 'since = "2026-11-03T08:00:00-05:00"' in done.out


def test_sql_sees_the_schedules_clock_too(headrace: Headrace):
    # The clocks were set back at two o'clock: the day before was of 25 hours.
    done = headrace("plan", "daily", "--logical-date", "2026-11-02")

    assert done.code == 0, done.err
    assert "2026-11-02T00:00:00-05:00" in done.out or "2026-11-02 00:00:00-05:00" in done.out
    assert "2026-11-01 00:00:00-04:00" in done.out or "2026-11-01T00:00:00-04:00" in done.out
    assert 'since = "2026-11-01T00:30:00-04:00"' in done.out
