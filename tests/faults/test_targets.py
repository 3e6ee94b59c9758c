"""Effects in another database: the ledger there makes them happen once."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from headrace.store.embedded import Servers
from tests.support.cluster import Cluster, cluster_on

_TABLE = "CREATE TABLE public.effect (job_id uuid, attempt integer, tag text)"


@pytest.fixture
def target(empty_database: str) -> str:
    opened = psycopg2.connect(empty_database)
    with opened, opened.cursor() as cursor:
        cursor.execute(_TABLE)
    opened.close()
    return empty_database


@pytest.fixture
def cluster(database: str, redis_url: str, target: str, tmp_path: Path) -> Iterator[Cluster]:
    with cluster_on(
        Servers(database, redis_url),
        tmp_path,
        config={"connections": {"target": target}},
        env={"HEADRACE_LEASE_S": "4"},
    ) as made:
        yield made
        made.copy_effects(target)
        made.check()


def test_a_target_committed_and_its_control_crashed_is_not_done_twice(cluster: Cluster) -> None:
    cluster.worker(env=cluster.crash_at("after-target"))
    job = cluster.dispatch("EffectJob", with_={"connection": "target"})
    cluster.wait_for_crash()

    row = cluster.wait_for_status(job, "completed")

    assert row["attempt"] == 2


@pytest.mark.parametrize("point", ["after-effect", "after-target"])
def test_a_paused_attempt_and_its_successor_commit_one_effect_on_the_target(
    cluster: Cluster, point: str
) -> None:
    cluster.daemon()
    paused = cluster.worker(env=cluster.crash_at(point, parent=True, stop=True))
    job = cluster.dispatch("EffectJob", with_={"connection": "target"})
    cluster.wait_for_crash()
    cluster.worker()

    row = cluster.wait_for_status(job, "completed", limit_s=20)
    paused.resume()
    cluster.wait_for_status(
        cluster.dispatch("EffectJob", with_={"connection": "target"}), "completed"
    )

    assert row["attempt"] == 2


def test_a_job_cancelled_behind_its_targets_commit_is_completed_by_a_retry_that_repeats_nothing(
    cluster: Cluster, target: str
) -> None:
    cluster.daemon()
    cluster.worker(env=cluster.crash_at("after-target", stop=True))
    job = cluster.dispatch("EffectJob", with_={"connection": "target"})
    cluster.wait_for_crash()

    cluster.headrace.interventions.cancel_job(job)

    cluster.wait_for_status(job, "cancelled")
    assert effects(target) == 1, "its commit came before the cancellation"
    cluster.headrace.interventions.retry_job(job)
    assert cluster.wait_for_status(job, "completed", limit_s=20)["attempt"] == 2
    assert effects(target) == 1


def effects(target: str) -> int:
    with closing(psycopg2.connect(target)) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.effect")
        ((number,),) = cursor.fetchall()
        return int(number)
