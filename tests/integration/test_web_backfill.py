"""Backfills: one run for each instant, none twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from headrace.engine.application import Headrace
from headrace.engine.operations.backfill import MOST_INSTANTS, backfill, bounds
from headrace.errors import InvalidParams
from headrace.model.pipeline import Pipeline, Schedule
from tests.support.processes import wait_until
from tests.support.web import client_of, installation

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path) as found:
        yield found


@pytest.fixture
def client(headrace: Headrace) -> Iterator[TestClient]:
    with client_of(headrace) as found:
        yield found


def test_a_backfill_starts_one_run_for_each_instant_of_the_days(client: TestClient):
    answer = client.post(
        "/pipelines/chain/backfill", json={"from": "2026-01-01", "to": "2026-01-02"}
    )

    runs = answer.json()["items"]
    assert answer.status_code == 201
    assert [run["logical_date"] for run in runs] == [
        (START + timedelta(hours=hour)).isoformat() for hour in range(48)
    ]
    assert {run["trigger"] for run in runs} == {"backfill"}
    jobs = client.get(f"/runs/{runs[0]['id']}").json()["jobs"]
    assert [job["status"] for job in jobs] == ["queued", "waiting", "waiting"]


def test_an_instant_is_never_filled_twice(client: TestClient):
    days = {"from": "2026-01-01", "to": "2026-01-01"}
    client.post("/pipelines/chain/backfill", json=days)

    again = client.post("/pipelines/chain/backfill", json={**days, "to": "2026-01-02"})

    assert len(again.json()["items"]) == 24
    assert len(client.get("/runs?limit=100").json()["items"]) == 48


def test_the_trail_says_which_runs_a_backfill_has_started(client: TestClient, headrace: Headrace):
    hours = {"from": "2026-01-01T00:00", "to": "2026-01-01T01:00"}
    runs = client.post("/pipelines/chain/backfill", json=hours).json()["items"]
    assert len(runs) == 2

    def trail() -> list[dict[str, Any]]:
        return headrace.database.rows("audit", before=None, limit=9)

    wait_until(lambda: trail()[0]["outcome"] != "begun", what="the outcome")
    told = [(row["action"], row["concerns"]) for row in trail()]
    assert told == [("backfill", f"run {', '.join(run['id'] for run in runs)}")]


def test_a_dry_run_names_the_missing_instants_and_starts_nothing(client: TestClient):
    hours = {"from": "2026-01-01T00:00", "to": "2026-01-01T02:00"}
    client.post("/pipelines/chain/backfill", json={**hours, "to": "2026-01-01T00:30"})

    answer = client.post("/pipelines/chain/backfill", json={**hours, "dry_run": True})

    assert answer.status_code == 200
    assert [row["logical_date"][11:13] for row in answer.json()["items"]] == ["01", "02"]
    assert len(client.get("/runs").json()["items"]) == 1


@pytest.mark.parametrize(
    ("start", "end", "status", "told"),
    [
        ("0001-01-01", "0001-01-01", 422, "begins where the calendar does"),
        ("9999-12-31", "9999-12-31", 200, '"items":[]'),
        ("0002-01-01", "9999-12-31", 422, f"more than {MOST_INSTANTS} instants"),
    ],
)
def test_a_stretch_may_reach_to_the_edges_of_the_calendar(
    client: TestClient, start: str, end: str, status: int, told: str
):
    days = {"from": start, "to": end, "dry_run": True}

    answer = client.post("/pipelines/chain/backfill", json=days)

    assert (answer.status_code, told in answer.text) == (status, True), answer.text


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
def test_a_day_at_the_edge_of_the_calendar_is_one_on_any_clock(zone: str):
    every_hour = Schedule(cron="0 * * * *", timezone=zone)
    declared = Pipeline("p", "p.yaml", "", "", (), schedules=(every_hour,))
    begins, ends = bounds(declared, "0001-01-01", "9999-12-31")

    assert (begins.year, ends.year) == (1, 9999)


def test_a_thousand_instants_are_filled_in_a_few_transactions(headrace: Headrace):
    rows = backfill(headrace, "chain", START, START + timedelta(hours=999))

    assert len(rows) == 1000
    assert len({row["logical_date"] for row in rows}) == 1000
    assert headrace.sender.lengths(["medium"]) == {"medium": 1000}


def test_the_future_is_left_to_the_schedule(headrace: Headrace):
    now = datetime.now(UTC)

    rows = backfill(headrace, "chain", now - timedelta(hours=1), now + timedelta(days=1))

    assert [row["logical_date"] <= datetime.now(UTC) for row in rows] == [True] * len(rows)
    assert len(rows) <= 2


def test_a_stretch_of_too_many_instants_is_refused(headrace: Headrace):
    with pytest.raises(InvalidParams, match=str(MOST_INSTANTS)):
        backfill(headrace, "chain", START - timedelta(days=3650), START)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"from": "yesterday", "to": "2026-01-01"}, "yesterday"),
        ({"from": "2026-02-30", "to": "2026-03-01"}, "2026-02-30"),
        ({"from": "2026-01-02", "to": "2026-01-01"}, "ends"),
        ({"from": "0001-01-01T00:00+14:00", "to": "2026-01-01"}, "0001"),
        ({"from": "2026-01-01"}, "to"),
    ],
)
def test_a_stretch_that_cannot_be_read_answers_422(
    client: TestClient, body: dict[str, str], words: str
):
    answer = client.post("/pipelines/chain/backfill", json=body)

    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_a_pipeline_without_a_schedule_has_nothing_to_fill(client: TestClient):
    answer = client.post(
        "/pipelines/plain/backfill", json={"from": "2026-01-01", "to": "2026-01-02"}
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-params")


def test_days_are_those_of_the_schedules_own_clock():
    berlin = Pipeline(
        "p", "p.yaml", "", "", (), schedules=(Schedule(cron="0 1 * * *", timezone="Europe/Berlin"),)
    )

    start, end = bounds(berlin, "2026-07-01", "2026-07-01")

    assert start == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert end == datetime(2026, 7, 1, 21, 59, 59, 999999, tzinfo=UTC)
    assert bounds(berlin, "2026-07-01T00:00+00:00", "2026-07-02")[0].hour == 0
    assert bounds(berlin, "20260701", "20260701") == (start, end)
    assert bounds(berlin, "2026-W27-3", "2026-W27-3") == (start, end)
