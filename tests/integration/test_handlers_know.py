"""What handlers may say of a run, and what a dispatch does that waits for ended jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.by_hand import ByHand, by_hand

OK = "job: RunSql, with: {sql: select 1}"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


def test_a_handler_can_say_what_failed_and_why(hand: ByHand) -> None:
    hand.declare(
        """
name: tells
steps:
  - {id: load, job: FailedJob, retry: {limit: 0}}
  - {id: other, job: RunSql, with: {sql: select 1}}
handlers:
  failure:
    - id: note
      job: RunSql
      when: "run.duration_s >= 0 and 'load' in run.failed_steps"
      with:
        sql: "select {{ params.why }} as why, {{ params.steps }} as steps, {{ params.run }} as run"
        params:
          why: "{{ steps.load.error }}"
          steps: "{{ run.failed_steps }}"
          run: "{{ run.id }}"
"""
    )

    run = hand.run("tells")

    (row,) = hand.jobs(run)["note"]["result"]["rows"]
    assert "This is a custom exception" in row["why"]
    assert row["steps"] == ["load"]
    assert row["run"] == str(run["id"])


def test_a_job_that_waits_for_a_completed_one_is_queued_at_once(hand: ByHand) -> None:
    dispatcher = hand.headrace.dispatcher
    done = dispatcher.dispatch("RunSql", {"sql": "select 1"})
    hand.work()

    row = dispatcher.dispatch_row("RunSql", {"sql": "select 2"}, depends_on=[done])

    assert row["status"] == "queued"
    assert hand.work() == ["RunSql"]


def test_a_job_below_one_that_waits_runs_once_that_has_completed(hand: ByHand) -> None:
    dispatcher = hand.headrace.dispatcher
    done = dispatcher.dispatch("RunSql", {"sql": "select 1"})
    hand.work()
    first = dispatcher.dispatch("RunSql", {"sql": "select 2"})
    below = dispatcher.dispatch_row("RunSql", {"sql": "select 3"}, depends_on=[done, first])

    assert (below["status"], below["deps_left"]) == ("waiting", 1)
    assert hand.work() == ["RunSql", "RunSql"]


def test_a_job_below_a_failed_one_is_skipped_and_says_why(hand: ByHand) -> None:
    dispatcher = hand.headrace.dispatcher
    bad = dispatcher.dispatch("FailedJob", {}, retry=0)
    hand.work()

    row = dispatcher.dispatch_row("RunSql", {"sql": "select 2"}, depends_on=[bad])

    assert (row["status"], row["skip_reason"]) == ("skipped", "upstream_failed")
    assert row["finished_at"] is not None
