"""A hop of a chain: completion, claim of the next job and commit in one message."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from headrace.engine.attempts.outcome import Handled
from headrace.engine.workers.hand_over import HandOver
from headrace.store.attempts import Claimed
from headrace.store.follower import Follower
from tests.support.by_hand import ByHand, by_hand
from tests.support.servers import connect

_STEP = "{{id: {id}, job: RunSql, with: {{sql: 'INSERT INTO effect VALUES ({n})'}}{more}}}"
_A = ", depends_on: [a]"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        sql(made, "CREATE TABLE public.effect (n integer)")
        yield made


def sql(hand: ByHand, statement: str) -> list[tuple[Any, ...]]:
    opened = connect(hand.executor.store.url)
    with opened.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetchall() if cursor.description else []
    opened.close()
    return found


def first_of(hand: ByHand, *steps: str) -> tuple[Claimed, Handled]:
    """The first step of a pipeline, claimed and run."""
    hand.declare("name: one\nsteps:\n" + "".join(f"  - {step}\n" for step in steps))
    hand.headrace.start_run("one", {})
    ((job_id,),) = sql(hand, "SELECT id::text FROM headrace.job WHERE step = 'a'")
    claimed = hand.executor.store.claim(job_id, 0)
    assert claimed is not None
    ended = hand.executor.handle(claimed)
    assert isinstance(ended, Handled)
    return claimed, ended


def step(name: str, number: int, more: str = "") -> str:
    return _STEP.format(id=name, n=number, more=more)


def statuses(hand: ByHand) -> dict[str, str]:
    return dict(sql(hand, "SELECT step, status FROM headrace.job"))


def hand_over(hand: ByHand, *queues: str) -> HandOver:
    return HandOver(hand.executor, Mock(queues=queues or ("medium",)), Mock())


def test_one_message_completes_a_step_and_claims_the_next_which_goes_on_in_its_transaction(
    hand: ByHand,
) -> None:
    claimed, ended = first_of(
        hand, step("a", 1), step("b", 2, _A), step("c", 3, ", depends_on: [b]")
    )
    raw = hand.executor.store.raw
    raw.plain = counted = Mock(side_effect=raw.plain)
    over = hand_over(hand)

    completed, following = over.at_once(claimed, ended) or (None, None)

    # One cursor each writes the two parts, the third sends them.
    assert counted.call_count == 3
    assert completed is not None
    assert completed.released == ()
    assert following is not None
    assert (following.step, following.attempt, following.dependents) == ("b", 1, 1)
    assert statuses(hand) == {"a": "completed", "b": "started", "c": "waiting"}
    again = hand.executor.handle(following)
    assert isinstance(again, Handled)
    assert (over.at_once(following, again) or (None, None))[1].step == "c"  # type: ignore[union-attr]
    assert sql(hand, "SELECT n FROM effect ORDER BY n") == [(1,), (2,)]


@pytest.mark.parametrize(
    "steps",
    [
        (step("a", 1), step("b", 2), step("c", 3, ", depends_on: [a, b]")),
        (step("a", 1), step("b", 2, _A), step("c", 3, _A)),
        (step("a", 1), step("b", 2, _A + ", when: '{{ 1 == 1 }}'")),
        (step("a", 1), step("b", 2, _A + ", queue: low")),
        (step("a", 1),),
    ],
    ids=["waits for another", "two below", "condition", "other queue", "none below"],
)
def test_where_it_is_not_one_job_that_is_released_nothing_is_done(
    hand: ByHand, steps: tuple[str, ...]
) -> None:
    claimed, ended = first_of(hand, *steps)

    assert hand_over(hand).at_once(claimed, ended) is None

    assert statuses(hand)["a"] == "started"
    hand.executor.complete(claimed, ended)
    assert statuses(hand)["a"] == "completed"
    assert sql(hand, "SELECT n FROM effect") == [(1,)]


def test_an_attempt_that_is_over_hands_nothing_on_and_leaves_nothing(hand: ByHand) -> None:
    claimed, ended = first_of(hand, step("a", 1), step("b", 2, _A))
    sql(hand, "UPDATE headrace.job SET status = 'queued', attempt = 2 WHERE step = 'a'")

    assert hand_over(hand).at_once(claimed, ended) is None

    hand.executor.sessions.roll_back()
    assert statuses(hand) == {"a": "queued", "b": "waiting"}
    assert sql(hand, "SELECT n FROM effect") == []


def test_a_follower_that_was_cancelled_meanwhile_is_none() -> None:
    assert Follower("", (None,) * 20).claimed is None
