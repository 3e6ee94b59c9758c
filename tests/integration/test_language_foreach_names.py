"""A foreach item's name is a variable in templates only, and any word elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.by_hand import ByHand, by_hand

PIPELINE = """
name: words
steps:
  - id: first
    job: RunSql
    with: {sql: select 7 as n}
  - id: each
    job: RunSql
    depends_on: [first]
    foreach: {items: [1, 2], as: result}
    with:
      sql: "select cast({{ params.of }} as text) || {{ params.own }} as said, {{ params.n }} as n"
      params:
        # The item's name as a word, as a member, as a name of its own, and in a comment.
        n: "{# the result #}{{ steps.first.result.rows[0].n }}"
        of: "result {{ steps.first.status }} is no {{ 'result' }}"
        own: "{% for result in [3] %}{{ result }}{% endfor %}{{ steps.first.status }}"
"""


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


def test_an_items_name_as_a_plain_word_beside_steps_leaves_the_file_valid_and_able_to_run(
    hand: ByHand,
) -> None:
    hand.declare(PIPELINE)
    run = hand.run("words")

    errors = {step: job["error"] for step, job in hand.jobs(run).items()}
    assert set(hand.statuses(run).values()) == {"completed"}, errors
    (row,) = hand.jobs(run)["each[1]"]["result"]["rows"]
    assert row == {"said": "result completed is no result3completed", "n": "7"}
