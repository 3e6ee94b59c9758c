"""Brief jobs that work on a database are claimed ahead: none suffers for another one."""

from contextlib import closing

import pytest

from tests.support.cluster import Cluster, effect_job
from tests.support.processes import wait_until
from tests.support.servers import connect

# So many that a child has learnt that they are brief, and claims a few times more.
MANY = 45
_INSERT = (
    "INSERT INTO public.effect (job_id, attempt, tag)"
    " VALUES ({{ job.id }}::uuid, {{ job.attempt }}, 'x')"
)
_LOCK = "SELECT pg_advisory_xact_lock(4711)"


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs be brief that are so on an idle machine."""
    monkeypatch.setenv("TEST_BRIEF_S", "1")


def dispatched(cluster: Cluster, count: int, job_class: str = "RunSql") -> list[str]:
    payload = {"sql": _INSERT} if job_class == "RunSql" else {"tag": "x"}
    return [cluster.headrace.dispatcher.dispatch(job_class, payload) for _ in range(count)]


def held(cluster: Cluster, sql: str = f"{_LOCK}; {_INSERT}") -> str:
    return cluster.headrace.dispatcher.dispatch("RunSql", {"sql": sql, "lock_timeout": "0s"})


def statuses(cluster: Cluster, jobs: list[str]) -> set[str]:
    return {cluster.job(job)["status"] for job in jobs}


def outcomes(cluster: Cluster, jobs: list[str]) -> list[str]:
    return [one["outcome"] for job in jobs for one in cluster.attempts(job)]


@pytest.mark.parametrize("job_class", ["RunSql", effect_job("EffectJob")])
def test_each_of_many_leaves_its_effect_once(cluster: Cluster, job_class: str) -> None:
    jobs = dispatched(cluster, MANY, job_class)
    last = cluster.headrace.dispatcher.dispatch("RunSql", {"sql": _INSERT}, depends_on=jobs)
    cluster.worker()

    cluster.wait_all_final()

    assert [cluster.effects(job) for job in [*jobs, last]] == [1] * (MANY + 1)
    assert statuses(cluster, [*jobs, last]) == {"completed"}
    # What a slow machine has had to give back it has run once all the same.
    assert set(outcomes(cluster, [*jobs, last])) <= {"released"}


@pytest.mark.parametrize("point", ["claimed-ahead", "published", "withdrawn"])
def test_a_child_that_is_killed_with_jobs_ahead_loses_none_and_blames_none_of_them(
    cluster: Cluster, point: str
) -> None:
    jobs = dispatched(cluster, MANY)
    cluster.worker(env=cluster.crash_at(point))

    # Without a daemon: it is the worker's parent that gives back what its child held.
    cluster.wait_all_final()

    assert list(cluster.folder.glob("crashed-*"))
    assert [cluster.effects(job) for job in jobs] == [1] * MANY
    found = outcomes(cluster, jobs)
    assert found.count("crashed") <= 1
    assert found.count("released") >= 1
    assert set(found) <= {"crashed", "released"}


def test_one_that_takes_long_holds_up_none_that_was_claimed_after_it(cluster: Cluster) -> None:
    with closing(connect(cluster.servers.database_url)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(4711)")
        before, waiting = dispatched(cluster, 15), held(cluster)
        after = dispatched(cluster, 12)
        cluster.worker()

        wait_until(
            lambda: outcomes(cluster, after) and statuses(cluster, after) == {"queued"},
            what="the jobs behind it given back",
        )
        assert statuses(cluster, before) == {"completed"}
        assert cluster.job(waiting)["status"] == "started"

    cluster.wait_all_final()
    assert [cluster.effects(job) for job in [*before, waiting, *after]] == [1] * 28
    assert set(outcomes(cluster, after)) == {"released"}


def test_one_that_fails_takes_none_of_the_others_with_it(cluster: Cluster) -> None:
    before = dispatched(cluster, 15)
    dispatch = cluster.headrace.dispatcher.dispatch
    failing = dispatch("RunSql", {"sql": f"{_INSERT}; SELECT 1/0"})
    dropping = dispatch("RunSql", {"sql": f"{_INSERT}; SET search_path = nowhere"})
    after = dispatched(cluster, 12)
    cluster.worker()

    cluster.wait_all_final()

    assert cluster.job(failing)["status"] == "failed"
    assert cluster.effects(failing) == 0
    assert [cluster.effects(job) for job in [*before, dropping, *after]] == [1] * 28
    # After a job that has changed its session the connection is another one: what had been claimed
    # over the old one is claimed again.
    assert set(outcomes(cluster, after)) == {"released"}


def test_with_one_job_a_commit_none_is_claimed_ahead(cluster: Cluster) -> None:
    jobs = dispatched(cluster, 30)
    cluster.worker(env={**cluster.crash_at("claimed-ahead"), "HEADRACE_JOBS_PER_COMMIT": "1"})

    cluster.wait_all_final()

    assert [cluster.effects(job) for job in jobs] == [1] * 30
    assert not list(cluster.folder.glob("crashed-*"))


@pytest.mark.parametrize("point", ["", "handed-on", "after-fence", "after-commit"])
def test_a_chain_goes_on_in_one_child_without_messages_whatever_happens_to_it(
    cluster: Cluster, point: str
) -> None:
    dispatch = cluster.headrace.dispatcher.dispatch
    jobs = dispatched(cluster, 1)
    for _ in range(14):
        jobs.append(dispatch("RunSql", {"sql": _INSERT}, depends_on=jobs[-1:]))
    cluster.worker(env=cluster.crash_at(point) if point else None)

    cluster.wait_all_final()

    assert [cluster.effects(job) for job in jobs] == [1] * len(jobs)
    found = outcomes(cluster, jobs)
    assert found.count("crashed") <= 1
    assert set(found) <= {"crashed", "released"}


def test_a_job_that_waits_comes_before_the_next_one_of_a_chain(cluster: Cluster) -> None:
    with closing(connect(cluster.servers.database_url)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(4711)")
        first = held(cluster)
        dispatch = cluster.headrace.dispatcher.dispatch
        following = dispatch("RunSql", {"sql": _INSERT}, depends_on=[first])
        cluster.worker()
        cluster.wait_for_status(first, "started")
        urgent = dispatch("RunSql", {"sql": _INSERT}, queue="high")

    cluster.wait_all_final()

    begun = {job: cluster.job(job)["started_at"] for job in (following, urgent)}
    assert begun[urgent] < begun[following]
