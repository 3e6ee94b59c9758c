"""Parameters are checked by what the file declares, wherever a run starts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import InvalidParams
from tests.support.by_hand import ByHand, by_hand


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("name", "bad"),
    [("region", "mars"), ("code", "x1"), ("n", 11), ("day", "2019-12-31"), ("list", [])],
)
def test_a_value_that_the_file_forbids_starts_no_run(hand: ByHand, name: str, bad: object) -> None:
    hand.declare(
        """
name: strict
params:
  region: {enum: [eu, us], default: eu}
  code: {pattern: "[A-Z][0-9]+", default: A1}
  n: {type: integer, min: 1, max: 10, default: 1}
  day: {type: date, min: 2020-01-01, default: 2020-01-01}
  list: {type: list, min: 1, default: [1]}
steps:
  - {id: only, job: RunSql, with: {sql: select 1}}
"""
    )

    with pytest.raises(InvalidParams, match=name):
        hand.headrace.start_run("strict", {name: bad})

    assert hand.run("strict")["status"] == "completed"
