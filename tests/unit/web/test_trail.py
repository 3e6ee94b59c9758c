"""The audit trail is written on, whatever keeps it from one row or another."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from headrace.model.caller import Caller, Role, Via
from headrace.web import trail
from headrace.web.trail import Trail, _deed
from tests.support.fake_database import FakeDatabase

SCOPE: dict[str, Any] = {"type": "http", "path": "/runs", "client": ("10.0.0.1", 4)}
CALLER = Caller("ops", Role.OPERATOR, Via.TOKEN)


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be waited for."""
    monkeypatch.setattr(trail, "_TOGETHER_S", 0.0)
    monkeypatch.setattr(trail, "_FLUSH_EVERY_S", 0.0)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - a thread gets there
            await asyncio.sleep(0.001)


def during(
    writing: str, one: Callable[[], Trail], deeds: Callable[[Trail], Awaitable[None]]
) -> None:
    """Do something while a task of the trail runs."""

    async def run() -> None:
        made = one()
        task = asyncio.create_task(getattr(made, writing)())
        try:
            await deeds(made)
        finally:
            task.cancel()

    asyncio.run(run())


def test_outcomes_that_cannot_be_written_do_not_keep_later_ones_from_it(
    database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    async def deeds(one: Trail) -> None:
        database.answers["end_deeds"] = RuntimeError("oh")
        await one.end(await one.begin(SCOPE, CALLER, "cancel a run"), 201)
        await until(lambda: bool(caplog.records))
        del database.answers["end_deeds"]
        await one.end(await one.begin(SCOPE, CALLER, "cancel a run"), 404)
        await until(lambda: len(database.values_of("end_deeds")) == 2)
        assert not one._ended.is_set(), "it waits for the next one"

    during("keep_ending", lambda: Trail(database), deeds)

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.message == "outcomes cannot be written to the audit trail"
    written = [(one["outcomes"], one["statuses"]) for one in database.values_of("end_deeds")]
    assert written == [(["done"], [201]), (["failed"], [404])]


def test_refusals_that_cannot_be_written_do_not_keep_later_ones_from_it(
    database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)

    async def deeds(one: Trail) -> None:
        database.answers["count_refusals"] = RuntimeError("oh")
        one._refusals.note(_deed(SCOPE, None, "read"), 401)
        await until(lambda: bool(caplog.records))
        del database.answers["count_refusals"]
        one._refusals.note(_deed(SCOPE, CALLER, "cancel a run"), 403)
        await until(lambda: database.values_of("count_refusals")[-1]["actor"] == "ops")

    during("keep_writing", lambda: Trail(database), deeds)

    # It may have been tried more than once before the table was there again.
    assert {record.message for record in caplog.records} == {"refusals cannot be written"}
    *earlier, last = [(one["actor"], one["status"]) for one in database.values_of("count_refusals")]
    # The first one could not be written, and is counted on.
    assert len(earlier) == len(caplog.records) + 1
    assert set(earlier) == {("unknown", 401)}
    assert last == ("ops", 403)
