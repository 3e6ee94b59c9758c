"""Dispatching inside a transaction, twice, and while an upstream job completes."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session

from headrace.errors import NotFound
from headrace.store.connect import make_engine
from tests.support.cluster import Cluster, effect_job
from tests.support.processes import wait_until

SEED = 20261126


@pytest.fixture
def session(database: str):
    engine = make_engine(database, application_name="a program of the user's")
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def count(cluster: Cluster) -> int:
    return int(cluster.sql("SELECT count(*) AS n FROM headrace.job")[0]["n"])


def test_a_job_exists_if_and_only_if_its_callers_transaction_commits(
    cluster: Cluster, session: Session
) -> None:
    cluster.worker()
    undone = cluster.dispatch("EffectJob", session=session)
    session.rollback()
    done = cluster.dispatch("EffectJob", session=session)
    assert count(cluster) == 0
    session.commit()

    cluster.wait_for_status(done, "completed")
    assert cluster.sql("SELECT id::text FROM headrace.job") == [{"id": done}]
    assert undone != done


def test_a_savepoint_that_is_rolled_back_takes_only_its_own_dispatch_with_it(
    cluster: Cluster, session: Session
) -> None:
    cluster.daemon()
    cluster.worker()
    outer = cluster.dispatch("EffectJob", session=session)
    savepoint = session.begin_nested()
    inner = cluster.dispatch("EffectJob", session=session)
    savepoint.rollback()
    session.commit()

    cluster.wait_for_status(outer, "completed")
    assert not cluster.sql("SELECT 1 FROM headrace.job WHERE id = %s", inner)


@pytest.mark.parametrize("fail", [True, False])
def test_a_job_that_fails_takes_what_it_dispatched_with_it(cluster: Cluster, fail: bool) -> None:
    cluster.daemon()
    cluster.worker()
    job = cluster.dispatch("DispatchingJob", with_={"fail": fail}, retry=0)

    cluster.wait_for_status(job, "failed" if fail else "completed")
    cluster.wait_all_final()

    assert count(cluster) == (1 if fail else 2)


def test_one_idempotency_key_makes_one_job_however_many_dispatch_it(cluster: Cluster) -> None:
    cluster.worker()
    with ThreadPoolExecutor(8) as pool:
        ids = set(
            pool.map(
                lambda _: cluster.dispatch("EffectJob", idempotency_key="once"),
                range(40),
            )
        )

    assert len(ids) == 1
    assert count(cluster) == 1
    cluster.wait_all_final()


def test_a_key_whose_first_transaction_is_undone_is_free_again(
    cluster: Cluster, session: Session
) -> None:
    cluster.worker()
    cluster.dispatch("EffectJob", session=session, idempotency_key="once")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cluster.dispatch, "EffectJob", idempotency_key="once")
        wait_until(
            lambda: cluster.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'transactionid'")
        )
        session.rollback()
        second = waiting.result(timeout=10)

    cluster.wait_for_status(second, "completed")
    assert count(cluster) == 1


def test_a_job_dispatched_below_one_that_completes_at_that_moment_is_not_forgotten(
    cluster: Cluster,
) -> None:
    rng = random.Random(SEED)
    cluster.worker(2)
    below = []
    for _ in range(120):
        upstream = [cluster.dispatch("NoopJob") for _ in range(rng.randint(1, 3))]
        for _ in range(rng.randint(0, 200)):
            pass
        below.append(cluster.dispatch("EffectJob", depends_on=upstream))

    cluster.wait_all_final(limit_s=10)

    assert {cluster.job(job)["status"] for job in below} == {"completed"}


def test_two_upstream_jobs_that_complete_together_start_the_job_below_once(
    cluster: Cluster,
) -> None:
    dispatcher = cluster.headrace.dispatcher
    pairs = []
    for _ in range(60):
        upstream = [dispatcher.dispatch(effect_job("NoopJob"), {}) for _ in range(2)]
        pairs.append(cluster.dispatch("EffectJob", depends_on=upstream))
    # Two processes take the messages in turn, so that the two of a pair run side by side.
    cluster.worker(2)

    cluster.wait_all_final()

    assert {cluster.job(job)["status"] for job in pairs} == {"completed"}
    # Not its attempts: one that was claimed ahead and given back unbegun has had two.
    started = cluster.sql(
        "SELECT count(*) AS n, count(DISTINCT job_id) AS jobs FROM audit.job"
        " WHERE old = 'waiting' AND job_id = ANY (%s::uuid[])",
        pairs,
    )
    assert started == [{"n": 60, "jobs": 60}]
    assert [cluster.effects(job) for job in pairs] == [1] * 60


def test_a_job_below_one_that_has_completed_is_queued_at_once(cluster: Cluster) -> None:
    cluster.worker()
    above = [cluster.dispatch("NoopJob") for _ in range(2)]
    for job in above:
        cluster.wait_for_status(job, "completed")

    # No daemon is there to sweep: the dispatch itself has to see it.
    below = cluster.dispatch("EffectJob", depends_on=above)

    cluster.wait_for_status(below, "completed")
    assert cluster.effects(below) == 1


def test_a_job_below_a_failed_or_unknown_one_does_not_wait_for_ever(cluster: Cluster) -> None:
    cluster.worker()
    failed = cluster.dispatch("PoisonJob")
    cluster.wait_for_status(failed, "failed")

    skipped = cluster.dispatch("EffectJob", depends_on=[failed])

    assert cluster.job(skipped)["status"] == "skipped"
    with pytest.raises(NotFound, match="does not exist"):
        cluster.dispatch("EffectJob", depends_on=["01a20f04-e1d9-79e7-bba2-8a1f2bd40ecf"])
