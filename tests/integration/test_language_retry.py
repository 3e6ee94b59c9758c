"""Which errors a job is tried again after."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import InvalidPayload
from tests.support.by_hand import ByHand, by_hand


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


RETRIED = {
    "[DivisionByZero]": "retrying",  # the driver's error behind SQLAlchemy's
    "[KeyError, DBAPIError]": "retrying",  # a class above
    "[OperationalError]": "failed",
    "'division by (zero|nothing)'": "retrying",
    "'(?i)DEADLOCK'": "failed",
}


@pytest.mark.parametrize("when", RETRIED)
def test_only_the_errors_that_are_named_are_tried_again(hand: ByHand, when: str) -> None:
    hand.declare(
        f"""
name: picky
steps:
  - id: divide
    job: RunSql
    with: {{sql: select 1 / 0}}
    retry: {{limit: 1, delay: 1h, when: {when}}}
"""
    )

    run = hand.run("picky")

    job = hand.jobs(run)["divide"]
    assert job["status"] == RETRIED[when], job["error"]
    assert job["retry_count"] == (1 if RETRIED[when] == "retrying" else 0)
    assert run["status"] == ("running" if RETRIED[when] == "retrying" else "failed")


def test_a_dispatched_job_may_say_it_too(hand: ByHand) -> None:
    dispatch = hand.headrace.dispatcher.dispatch_row
    row = dispatch("FailedJob", {}, retry={"limit": 1, "when": ["KeyError"]})

    hand.work()

    after = hand.headrace.database.row("job", id=row["id"])
    assert after is not None
    assert after["status"] == "failed"
    with pytest.raises(InvalidPayload, match=r"retry\.when"):
        dispatch("FailedJob", {}, retry={"when": "("})
    with pytest.raises(InvalidPayload, match=r"retry\.when"):
        dispatch("FailedJob", {}, retry={"when": [1]})
