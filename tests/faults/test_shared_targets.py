"""Jobs that only append rows to a named connection share transactions there, and its ledger."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace.store.embedded import Servers
from tests.support.cluster import Cluster, cluster_on
from tests.support.servers import connect

MANY = 60
_APPEND = "INSERT INTO public.effect (job_id, n) VALUES ({{ job.id }}::uuid, {{ params.n }})"


@pytest.fixture
def cluster(
    database: str, redis_url: str, empty_database: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Cluster]:  # fmt: skip
    monkeypatch.setenv("TEST_BRIEF_S", "1")
    with cluster_on(
        Servers(database, redis_url),
        tmp_path,
        config={"connections": {"target": empty_database}},
    ) as made:
        asked(empty_database, "CREATE TABLE public.effect (job_id uuid, n integer PRIMARY KEY)")
        yield made
        made.check()


def asked(url: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(connect(url)) as opened, opened.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def appending(cluster: Cluster, numbers: range) -> list[str]:
    payloads = [{"sql": _APPEND, "params": {"n": n}, "connection": "target"} for n in numbers]
    dispatch = cluster.headrace.dispatcher.dispatch
    return [dispatch("RunSql", payload, retry=0) for payload in payloads]


def effects(url: str) -> list[str]:
    return [job for (job,) in asked(url, "SELECT job_id::text FROM public.effect ORDER BY 1")]


def shared(url: str) -> int:
    ((rows,),) = asked(
        url,
        "SELECT coalesce(sum(n), 0)::int FROM (SELECT count(*) AS n FROM public.effect"
        " GROUP BY xmin::text HAVING count(*) > 1) AS t",
    )
    return int(rows)


@pytest.mark.parametrize("point", ["", "shared", "after-target", "after-commit"])
def test_each_leaves_its_effect_and_its_line_in_the_ledger_once_whatever_happens(
    cluster: Cluster, empty_database: str, point: str
) -> None:
    jobs = appending(cluster, range(MANY))
    cluster.worker(env=cluster.crash_at(point) if point else None)

    cluster.wait_all_final()

    assert len(list(cluster.folder.glob("crashed-*"))) == bool(point)
    assert effects(empty_database) == sorted(jobs)
    entered = asked(empty_database, "SELECT job_id::text FROM headrace.ledger ORDER BY 1")
    assert [job for (job,) in entered] == sorted(jobs)
    assert {cluster.job(job)["status"] for job in jobs} == {"completed"}
    assert shared(empty_database) > 1
    found = [one["outcome"] for job in jobs for one in cluster.attempts(job)]
    assert found.count("crashed") <= 1
    assert set(found) <= {"crashed", "released"}


def test_one_that_fails_there_takes_none_of_the_others_with_it(
    cluster: Cluster, empty_database: str
) -> None:
    jobs = appending(cluster, range(40))
    (again,) = appending(cluster, range(7, 8))
    after = appending(cluster, range(40, 60))
    cluster.worker()

    cluster.wait_all_final()

    assert cluster.job(again)["status"] == "failed"
    assert "duplicate key" in cluster.job(again)["error"]
    assert effects(empty_database) == sorted([*jobs, *after])
    assert {cluster.job(job)["result"]["row_count"] for job in [*jobs, *after]} == {1}


def test_those_of_two_places_do_not_mix(cluster: Cluster, empty_database: str) -> None:
    cluster.sql("CREATE TABLE public.here (n integer PRIMARY KEY)")
    here = "INSERT INTO public.here VALUES ({{ params.n }})"
    dispatch = cluster.headrace.dispatcher.dispatch
    jobs = []
    for n in range(30):
        jobs += appending(cluster, range(n, n + 1))
        jobs.append(dispatch("RunSql", {"sql": here, "params": {"n": n}}))
    cluster.worker()

    cluster.wait_all_final()

    assert len(effects(empty_database)) == 30
    assert cluster.sql("SELECT count(*) AS n FROM public.here") == [{"n": 30}]
    assert {cluster.job(job)["status"] for job in jobs} == {"completed"}
