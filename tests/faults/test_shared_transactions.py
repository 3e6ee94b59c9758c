"""Jobs that only append rows share a transaction: nobody can tell it from one each."""

import os
import signal
from contextlib import closing

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.servers import connect

# So many that a child has learnt that they are brief, and puts them together a few times.
MANY = 60
_APPEND = (
    "INSERT INTO public.effect (job_id, attempt, tag)"
    " VALUES ({{ job.id }}::uuid, {{ job.attempt }}, {{ params.tag }})"
)
_NUMBER = "INSERT INTO public.numbered (n) VALUES ({{ params.n }})"


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let jobs be brief that are so on an idle machine."""
    monkeypatch.setenv("TEST_BRIEF_S", "1")


def appending(cluster: Cluster, count: int, tag: str = "x") -> list[str]:
    payload = {"sql": _APPEND, "params": {"tag": tag}}
    return [cluster.headrace.dispatcher.dispatch("RunSql", payload) for _ in range(count)]


def numbered(cluster: Cluster, n: int) -> str:
    payload = {"sql": _NUMBER, "params": {"n": n}}
    return cluster.headrace.dispatcher.dispatch("RunSql", payload, retry=0)


def shared(cluster: Cluster, table: str = "effect") -> int:
    """How many rows have their transaction with another one."""
    (row,) = cluster.sql(
        "SELECT coalesce(sum(n), 0)::int AS n FROM ("
        f"SELECT count(*) AS n FROM public.{table} GROUP BY xmin::text HAVING count(*) > 1) AS t"
    )
    return int(row["n"])


def statuses(cluster: Cluster, jobs: list[str]) -> list[str]:
    return [cluster.job(job)["status"] for job in jobs]


def outcomes(cluster: Cluster, jobs: list[str]) -> list[str]:
    return [one["outcome"] for job in jobs for one in cluster.attempts(job)]


def test_many_share_transactions_and_each_leaves_its_effect_and_releases_what_waits(
    cluster: Cluster,
) -> None:
    jobs = appending(cluster, MANY)
    last = cluster.dispatch("EffectJob", depends_on=jobs)
    cluster.worker()

    cluster.wait_all_final()

    assert shared(cluster) > 1
    assert [cluster.effects(job) for job in [*jobs, last]] == [1] * (MANY + 1)
    assert set(statuses(cluster, [*jobs, last])) == {"completed"}
    assert {cluster.job(job)["result"]["row_count"] for job in jobs} == {1}
    assert set(outcomes(cluster, jobs)) <= {"released"}


@pytest.mark.parametrize("point", ["shared", "withdrawn", "after-fence", "after-commit"])
def test_a_child_that_is_killed_on_the_way_loses_none_and_doubles_none(
    cluster: Cluster, point: str
) -> None:
    before = appending(cluster, 15)
    jobs = appending(cluster, MANY)
    crash = cluster.crash_at(point)
    cluster.worker(env=crash)

    cluster.wait_all_final()

    assert list(cluster.folder.glob("crashed-*"))
    assert [cluster.effects(job) for job in [*before, *jobs]] == [1] * (MANY + 15)
    found = outcomes(cluster, [*before, *jobs])
    assert found.count("crashed") <= 1
    assert set(found) <= {"crashed", "released"}


def test_one_that_fails_takes_none_of_the_others_with_it(cluster: Cluster) -> None:
    cluster.sql("CREATE TABLE public.numbered (n integer PRIMARY KEY)")
    jobs = [numbered(cluster, n) for n in range(40)]
    again = numbered(cluster, 7)
    after = [numbered(cluster, n) for n in range(40, 80)]
    cluster.worker()

    cluster.wait_all_final()

    assert cluster.job(again)["status"] == "failed"
    assert "duplicate key" in cluster.job(again)["error"]
    assert set(statuses(cluster, [*jobs, *after])) == {"completed"}
    assert cluster.sql("SELECT count(*) AS n FROM public.numbered") == [{"n": 80}]
    assert shared(cluster, "numbered") > 1


def test_one_that_waits_for_a_lock_holds_up_none_of_the_others(cluster: Cluster) -> None:
    cluster.sql("CREATE TABLE public.numbered (n integer PRIMARY KEY)")
    jobs = [numbered(cluster, n) for n in range(40)]
    waiting = numbered(cluster, 1000)
    after = [numbered(cluster, n) for n in range(40, 60)]
    with closing(connect(cluster.servers.database_url)) as holder, holder.cursor() as cursor:
        holder.autocommit = False
        cursor.execute("INSERT INTO public.numbered VALUES (1000)")
        cluster.worker(processes=2)

        wait_until(
            lambda: set(statuses(cluster, [*jobs, *after])) == {"completed"},
            what="the others have ended",
        )
        assert cluster.job(waiting)["status"] == "started"
        holder.rollback()

    cluster.wait_all_final()
    assert cluster.job(waiting)["status"] == "completed"
    assert cluster.sql("SELECT count(*) AS n FROM public.numbered") == [{"n": 61}]


def test_jobs_on_a_table_that_does_more_than_to_take_rows_have_transactions_of_their_own(
    cluster: Cluster,
) -> None:
    cluster.sql("CREATE TABLE public.numbered (n integer, at timestamptz DEFAULT now())")
    jobs = [numbered(cluster, n) for n in range(MANY)]
    cluster.worker()

    cluster.wait_all_final()

    assert set(statuses(cluster, jobs)) == {"completed"}
    assert shared(cluster, "numbered") == 0
    assert cluster.sql("SELECT count(DISTINCT at) AS n FROM public.numbered") == [{"n": MANY}]


def test_a_child_that_is_paused_with_all_of_them_done_holds_up_none(cluster: Cluster) -> None:
    jobs = appending(cluster, MANY)
    worker = cluster.worker(env=cluster.crash_at("shared", stop=True))
    cluster.wait_for_crash()

    # Its parent gives the others back, which it has run and not committed.
    cluster.worker()
    wait_until(
        lambda: sorted(statuses(cluster, jobs)) == [*["completed"] * (MANY - 1), "started"],
        what="all jobs but one completed",
    )

    os.kill(worker.children()[0], signal.SIGCONT)
    cluster.wait_all_final()
    assert [cluster.effects(job) for job in jobs] == [1] * MANY


def test_one_that_is_cancelled_meanwhile_leaves_nothing_and_spoils_none(cluster: Cluster) -> None:
    jobs = appending(cluster, MANY)
    worker = cluster.worker(env=cluster.crash_at("shared", parent=True, stop=True))
    cluster.wait_for_crash()
    started = [job for job in jobs if cluster.job(job)["status"] == "started"]
    assert len(started) > 1

    cluster.headrace.interventions.cancel_job(started[1])
    worker.resume()

    cluster.wait_all_final()
    others = [job for job in jobs if job != started[1]]
    assert cluster.job(started[1])["status"] == "cancelled"
    assert cluster.effects(started[1]) == 0
    assert set(statuses(cluster, others)) == {"completed"}
    assert [cluster.effects(job) for job in others] == [1] * len(others)
