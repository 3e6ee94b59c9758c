"""A deploy from one version to the next while jobs flow: none fails, none is doubled."""

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.store.migrations import LATEST
from tests.support.cluster import Cluster
from tests.support.processes import Process, wait_until

NEXT = "9999"
OLD_FILES = {
    "deployed_jobs.py": '''
from tests.support.jobs_effects import EffectJob


class DeployedEffectJob(EffectJob):
    """A class of both versions."""

    def __init__(self, tag: str = "") -> None:
        super().__init__(tag=tag)
'''
}
NEW_FILES = {
    "deployed_jobs.py": '''
from tests.support.jobs_effects import EffectJob


class DeployedEffectJob(EffectJob):
    """A class of both versions, with a parameter that the old one does not have."""

    def __init__(self, tag: str = "", region: str = "") -> None:
        super().__init__(tag=tag + region)
''',
    "added_jobs.py": '''
from tests.support.jobs_effects import EffectJob


class AddedEffectJob(EffectJob):
    """A class of the new version."""
''',
}


def project(folder: Path, config: Path, files: dict[str, str]) -> dict[str, str]:
    """Make a project folder with these job files; return the environment of its programs."""
    (folder / "jobs").mkdir(parents=True, exist_ok=True)
    (folder / "pipelines").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "jobs" / name).write_text(text)
    if config.parent != folder:
        shutil.copy(config, folder / "config.yaml")
    # Far fewer returns than an unlucky job comes to: chance must not fail it.
    waits = {"HEADRACE_UNKNOWN_CLASS_WAITS_S": "0.2,0.2"}
    return {"HEADRACE_CONFIG": str(folder / "config.yaml"), **waits}


def dispatch(cluster: Cluster, job: str, count: int, **with_: Any) -> list[str]:
    """Dispatch so many jobs of a class, as a program of the new version would."""
    return [str(one) for one in cluster.headrace.dispatcher.dispatch_many(job, [with_] * count)]


def left(cluster: Cluster) -> int:
    rows = cluster.sql("SELECT count(*) AS n FROM headrace.job WHERE status <> 'completed'")
    return int(rows[0]["n"])


def returned(cluster: Cluster, what: str) -> bool:
    """Tell whether an old worker has returned a job for this reason."""
    sql = "SELECT 1 FROM headrace.job_attempt WHERE outcome = 'released' AND error LIKE %s LIMIT 1"
    return bool(cluster.sql(sql, what))


def drain(processes: Sequence[Process]) -> None:
    for process in processes:
        process.signal(signal.SIGTERM)
    for process in processes:
        process.popen.wait(timeout=60)


@pytest.mark.timeout(240)
def test_two_thousand_jobs_of_old_and_new_classes_survive_a_rolling_deploy(
    cluster: Cluster, tmp_path: Path
) -> None:
    config = cluster.folder / "config.yaml"
    old = project(tmp_path / "old", config, OLD_FILES)
    new = {**project(cluster.folder, config, NEW_FILES), "TEST_SCHEMA": NEXT}
    old_ones = [cluster.daemon(env=old), *(cluster.worker(env=old) for _ in range(2))]
    dispatch(cluster, "DeployedEffectJob", 700)
    wait_until(lambda: left(cluster) < 700, limit_s=45)

    # The schema comes first. It names the old version as one that may go on working with it.
    cluster.sql("UPDATE headrace.alembic_version SET version_num = %s", NEXT)
    cluster.sql("UPDATE headrace.installation SET works_from = %s", LATEST)
    new_ones = [cluster.daemon(env=new), cluster.worker(env=new)]
    dispatch(cluster, "DeployedEffectJob", 300, region="north")
    wait_until(lambda: returned(cluster, "%region%"), limit_s=45)
    dispatch(cluster, "AddedEffectJob", 600)
    wait_until(lambda: returned(cluster, "%AddedEffectJob%"), limit_s=45)
    dispatch(cluster, "DeployedEffectJob", 200)
    needy = dispatch(cluster, "DeployedEffectJob", 200)
    cluster.sql("UPDATE headrace.job SET needs = %s WHERE id = ANY (%s::uuid[])", int(NEXT), needy)

    new_ones.append(cluster.worker(env=new))
    cluster.wait_for_worker(new_ones[-1], limit_s=45)
    drain(old_ones)
    wait_until(lambda: left(cluster) == 0, limit_s=60, what="every job's completion")

    counted = cluster.sql(
        "SELECT count(*) AS jobs, count(e.job_id) AS effects, count(DISTINCT e.job_id) AS distinct,"
        "       sum(retry_count) AS retries"
        "  FROM headrace.job j LEFT JOIN public.effect e ON e.job_id = j.id"
    )
    assert counted == [{"jobs": 2000, "effects": 2000, "distinct": 2000, "retries": 0}]
    drain(new_ones)
