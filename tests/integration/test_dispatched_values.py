"""Arguments that Python code dispatches: a worker reads them as they were given."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from headrace.errors import InvalidParams, InvalidPayload
from headrace.testing import run_job
from tests.support.by_hand import ByHand, by_hand

JOB = """
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID
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
        opens: time | None = None,
        key: UUID | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.told = [every, at, on, price, colour, sorted(among), opens, key]

    def handle(self):
        return {"told": repr(self.told).replace("datetime.", "")}

class Choose(BaseJob):
    def handle(self):
        return {"colour": Colour.RED, "days": {date(2026, 2, 3)}, "at": datetime(2026, 2, 3, 10)}
"""
# What a step returns is what the next one is given.
PIPELINE = """
name: choosing
steps:
  - {id: choose, job: Choose}
  - id: tell
    job: Tell
    depends_on: [choose]
    foreach: {items: "{{ steps.choose.result.days }}", as: day}
    with: {on: "{{ day }}", colour: "{{ steps.choose.result.colour }}"}
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
        "opens": time(0, 30),
        "key": UUID(int=7),
    }
    dispatcher = hand.headrace.dispatcher

    tell: Any = hand.headrace.registry.get("Tell").cls

    ids = [dispatcher.dispatch("Tell", given), *dispatcher.dispatch_many("Tell", [given])]
    ids += [tell.dispatch(**given), *tell.dispatch_many([given])]
    hand.work()

    for id_ in ids:
        row = hand.headrace.database.row("job", id=id_)
        assert row is not None
        assert row["result"] == {
            "told": "[timedelta(days=14, microseconds=250),"
            " datetime(2026, 2, 3, 10, 0, tzinfo=timezone.utc),"
            " date(2026, 2, 3), Decimal('1234567890123.4567'), <Colour.RED: 'red'>, [1, 3],"
            " time(0, 30), UUID('00000000-0000-0000-0000-000000000007')]"
        }, row["error"]


def test_what_a_step_returns_is_what_the_next_one_gets(hand: ByHand) -> None:
    hand.declare(PIPELINE)

    run = hand.run("choosing")

    told = hand.jobs(run)["tell[0]"]
    assert told["status"] == "completed", told["error"]
    assert told["result"]["told"].startswith(
        "[timedelta(0), None, date(2026, 2, 3), None, <Colour.RED: 'red'>,"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [("a\0b", "a text has a NUL"), ("\udcff", "half a surrogate pair")],
)
def test_what_cannot_be_stored_is_refused_whoever_gives_it(
    hand: ByHand, database: str, text: str, told: str
) -> None:
    tell: Any = hand.headrace.registry.get("Tell").cls
    hand.declare("name: p\nparams: {xs: {type: list}}\nsteps: [{id: a, job: Choose}]\n")

    with pytest.raises(InvalidPayload, match=told):
        tell.dispatch(colour=text)
    with pytest.raises(InvalidPayload, match=told):
        tell.dispatch_many([{"colour": "red"}, {"colour": text}])
    for where in (None, database):
        with pytest.raises(InvalidPayload, match=told):
            run_job(tell, {"colour": text}, database=where, project=hand.headrace.settings.project)
    with pytest.raises(InvalidParams, match=f'parameter "xs" cannot be stored: .*{told}'):
        hand.headrace.start_run("p", {"xs": [text]})

    assert hand.work() == []
