"""A job's effect in another database is there once, whatever happens around its commit."""

from pathlib import Path

import pytest

from headrace.engine.attempts.outcome import Handled, Raised
from headrace.model.connection import NamedConnection
from headrace.store.attempts import Claimed
from tests.others.conftest import Place
from tests.support.by_hand import ByHand, by_hand


@pytest.fixture
def hand(place: Place, database: str, redis_url: str, tmp_path: Path):
    with by_hand(database, redis_url, tmp_path, {"there": NamedConnection(place.url)}) as made:
        yield made


def insert(hand: ByHand) -> str:
    with_ = {"sql": "insert into t values (1)", "connection": "there"}
    return hand.headrace.dispatcher.dispatch("RunSql", with_, retry=0)


def attempted(hand: ByHand, job: str, attempt: int) -> tuple[Claimed, Handled | Raised]:
    """Claim and handle a job, and go no further: what comes after the target's commit."""
    claimed = hand.executor.store.claim(job, attempt)
    assert claimed is not None
    return claimed, hand.executor.handle(claimed)


def test_an_attempt_that_died_after_its_commit_there_is_not_repeated(hand: ByHand, place: Place):
    place.query("create table t (id int)")
    job = insert(hand)
    claimed, handled = attempted(hand, job, 0)
    assert isinstance(handled, Handled)
    assert place.query("select * from t") == [(1,)]

    # The worker is gone before it could say so: the same job is executed again.
    again = hand.executor.handle(claimed)
    assert isinstance(again, Handled)
    hand.executor.complete(claimed, again)

    assert place.query("select * from t") == [(1,)]
    row = hand.headrace.database.row("job", id=job)
    assert row is not None
    assert row["status"] == "completed"


def test_nothing_is_held_there_between_two_jobs(hand: ByHand, place: Place):
    place.query("create table t (id int)")
    insert(hand)
    assert hand.work() == ["RunSql"]
    # DuckDB would refuse another process or a writer; SQLite and MySQL would wait for a lock.
    place.query("insert into t values (2)")
    assert place.query("select id from t order by id") == [(1,), (2,)]
    place.query("drop table t")


def test_a_failed_job_leaves_no_transaction_open(hand: ByHand, place: Place):
    place.query("create table t (id int)")
    with_ = {"sql": "insert into t values (1); select * from nothing", "connection": "there"}
    job = hand.headrace.dispatcher.dispatch("RunSql", with_, retry=0)
    hand.work()
    row = hand.headrace.database.row("job", id=job)
    assert row is not None
    assert (row["status"], "nothing" in row["error"]) == ("failed", True)
    assert place.query("select * from t") == []
    place.query("drop table t")
