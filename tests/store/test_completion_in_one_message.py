"""The end of an attempt that has worked in a session: completion and commit in one message."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock, patch

import pytest

from headrace.engine.attempts.outcome import Handled
from headrace.errors import StaleAttempt, TransactionEnded
from headrace.store.attempts import Claimed
from tests.support.by_hand import ByHand, by_hand
from tests.support.servers import connect

PIPELINE = """
name: one
steps:
  - {id: only, job: RunSql, with: {sql: 'INSERT INTO effect VALUES (1)'}}
"""


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


def sql(hand: ByHand, statement: str) -> list[tuple[Any, ...]]:
    opened = connect(hand.executor.store.url)
    with opened.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetchall() if cursor.description else []
    opened.close()
    return found


def handled(hand: ByHand) -> tuple[Claimed, Handled]:
    """A step that has worked, and is not completed."""
    hand.declare(PIPELINE)
    sql(hand, "CREATE TABLE public.allowed AS SELECT 1 AS n")
    sql(hand, "ALTER TABLE public.allowed ADD PRIMARY KEY (n)")
    late = "REFERENCES public.allowed DEFERRABLE INITIALLY DEFERRED"
    sql(hand, f"CREATE TABLE public.effect (n integer {late})")
    hand.headrace.start_run("one", {})
    ((job_id,),) = sql(hand, "SELECT id::text FROM headrace.job")
    claimed = hand.executor.store.claim(job_id, 0)
    assert claimed is not None
    ended = hand.executor.handle(claimed)
    assert isinstance(ended, Handled)
    return claimed, ended


def test_one_message_completes_and_commits_and_puts_the_session_in_order(hand: ByHand) -> None:
    claimed, ended = handled(hand)
    raw = hand.executor.store.raw
    raw.plain = counted = Mock(side_effect=raw.plain)

    completed = hand.executor.complete(claimed, ended)

    # The number is asked of the transaction; one cursor writes the values, one sends all.
    assert counted.call_count == 2
    assert (completed.run_id, completed.recount) == (claimed.run_id, False)
    assert sql(hand, "SELECT status FROM headrace.job") == [("completed",)]
    assert sql(hand, "SELECT n FROM effect") == [(1,)]
    assert raw.get_transaction_status() == 0


def test_a_dependant_that_came_while_the_job_ran_is_let_go(hand: ByHand) -> None:
    claimed, ended = handled(hand)
    below = hand.headrace.dispatcher.dispatch(
        "RunSql", {"sql": "SELECT 1"}, depends_on=[str(claimed.id)]
    )

    completed = hand.executor.complete(claimed, ended)

    assert completed.recount
    hand.executor.progress.release_dependants([claimed.id], completed)
    status = f"SELECT status FROM headrace.job WHERE id = '{below}'"
    assert sql(hand, status) == [("queued",)]
    assert sql(hand, "SELECT n FROM effect") == [(1,)]


def test_an_attempt_that_was_given_up_leaves_nothing(hand: ByHand) -> None:
    claimed, ended = handled(hand)
    lost = json.dumps([{"id": str(claimed.id), "attempt": 1}])
    hand.headrace.database.rows(
        "lose_attempts", attempts=lost, outcome="crashed", error="lost", crash_budget=3
    )

    with pytest.raises(StaleAttempt):
        hand.executor.complete(claimed, ended)

    hand.executor.sessions.roll_back()
    assert sql(hand, "SELECT status FROM headrace.job") == [("queued",)]
    assert sql(hand, "SELECT n FROM effect") == []


def test_what_only_the_commit_finds_out_fails_the_job_and_leaves_nothing(hand: ByHand) -> None:
    claimed, ended = handled(hand)
    sql(hand, "DELETE FROM public.allowed")

    with pytest.raises(Exception, match="violates foreign key"):
        hand.executor.complete(claimed, ended)

    hand.executor.sessions.roll_back()
    assert hand.executor.sessions.verdict() is None
    assert sql(hand, "SELECT status FROM headrace.job") == [("started",)]
    assert sql(hand, "SELECT n FROM effect") == []


def test_what_puts_the_session_in_order_may_fail_once_all_is_committed(hand: ByHand) -> None:
    claimed, ended = handled(hand)
    raw = hand.executor.store.raw
    raw.settings_sql = "SELECT 1/0; "

    completed = hand.executor.complete(claimed, ended)

    assert completed.run_id == claimed.run_id
    assert raw.closed
    assert sql(hand, "SELECT status FROM headrace.job") == [("completed",)]
    assert sql(hand, "SELECT n FROM effect") == [(1,)]


@pytest.mark.parametrize("passed", [False, True])
def test_a_transaction_that_the_job_has_ended_is_not_completed(hand: ByHand, passed: bool) -> None:
    claimed, ended = handled(hand)
    raw = hand.executor.store.raw
    with raw.plain() as cursor:
        cursor.execute("COMMIT; BEGIN; SELECT pg_current_xact_id()")
    raw.mark.passed = passed

    with pytest.raises(TransactionEnded):
        hand.executor.complete(claimed, ended)

    hand.executor.sessions.roll_back()
    told = hand.executor.sessions.verdict()
    assert told == "its SQL ended the transaction; its earlier changes are committed"
    assert sql(hand, "SELECT status FROM headrace.job") == [("started",)]


ITEMS = """
name: many
steps:
  - id: each
    foreach: {items: [1, 2, 3]}
    job: RunSql
    with: {sql: 'INSERT INTO effect VALUES ({{ params.n }})', params: {n: '{{ item }}'}}
  - {id: last, depends_on: [each], job: RunSql, with: {sql: 'SELECT count(*) FROM effect'}}
"""


def test_the_last_item_lets_the_next_step_go_whatever_the_messages_are(hand: ByHand) -> None:
    hand.declare(ITEMS)
    sql(hand, "CREATE TABLE public.effect (n integer)")
    run = hand.headrace.start_run("many", {})
    store = hand.executor.store

    with patch.object(store, "complete", side_effect=store.complete) as whole:
        hand.work()

    assert sql(hand, "SELECT status FROM headrace.run") == [("completed",)]
    assert hand.jobs(run)["last"]["result"]["rows"] == [{"count": 3}]
    # The items but for the last, and the last step, are completed in one message each.
    assert whole.call_count == 1
