"""Arguments that Python code dispatches: a worker reads them as they were given."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.by_hand import ByHand, by_hand

JOB = """
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from headrace import BaseJob

class Colour(Enum):
    RED = "red"

class Tell(BaseJob):
    def __init__(
        self,
        every: timedelta = timedelta(0),
        at: datetime | None = None,
        on: date | None = None,
        price: Decimal | None = None,
        colour: Colour | None = None,
        among: set[int] = frozenset(),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.told = [every, at, on, price, colour, sorted(among)]

    def handle(self):
        return {"told": repr(self.told).replace("datetime.", "")}
"""


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "tell.py").write_text(JOB)
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


def test_what_python_code_dispatches_is_what_the_job_gets(hand: ByHand) -> None:
    colour = sys.modules[hand.headrace.registry.get("Tell").cls.__module__].Colour.RED
    given: dict[str, Any] = {
        "every": timedelta(days=14, microseconds=250),
        "at": datetime(2026, 2, 3, 10, tzinfo=UTC),
        "on": date(2026, 2, 3),
        "price": Decimal("1234567890123.4567"),
        "colour": colour,
        "among": {3, 1},
    }
    dispatcher = hand.headrace.dispatcher

    ids = [dispatcher.dispatch("Tell", given), *dispatcher.dispatch_many("Tell", [given])]
    hand.work()

    for id_ in ids:
        row = hand.headrace.database.row("job", id=id_)
        assert row is not None
        assert row["result"] == {
            "told": "[timedelta(days=14, microseconds=250),"
            " datetime(2026, 2, 3, 10, 0, tzinfo=timezone.utc),"
            " date(2026, 2, 3), Decimal('1234567890123.4567'), <Colour.RED: 'red'>, [1, 3]]"
        }, row["error"]
