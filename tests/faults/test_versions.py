"""Workers of several versions side by side: none spoils what it does not know."""

import pytest

from headrace.errors import SchemaMismatch
from headrace.store.attempts import CAN
from headrace.store.migrations import LATEST
from tests.support.cluster import Cluster
from tests.support.processes import wait_until

NEW_CLASS = '''
from tests.support.jobs_effects import EffectJob

class NewEffectJob(EffectJob):
    """A class that only newer workers have."""
'''


def dispatch_new(cluster: Cluster) -> str:
    """Dispatch a job as a newer version would, of a class that is not there yet."""
    job = cluster.dispatch("EffectJob", retry=1)
    cluster.sql("UPDATE headrace.job SET job_class = 'NewEffectJob' WHERE id = %s", job)
    return job


def make_known(cluster: Cluster) -> None:
    """Put the class where workers that start from now on find it."""
    folder = cluster.folder / "jobs"
    folder.mkdir()
    (folder / "new_effect_job.py").write_text(NEW_CLASS)


def test_a_worker_gives_back_a_job_of_a_class_that_it_does_not_know(cluster: Cluster) -> None:
    job = dispatch_new(cluster)
    cluster.daemon()
    waits = {"HEADRACE_UNKNOWN_CLASS_WAITS_S": ",".join(["0.3"] * 100)}
    old = cluster.worker(env=waits)
    cluster.wait_for_attempt(job, 2, limit_s=45)
    assert cluster.job(job)["retry_count"] == 0
    assert "returned until" in old.text()

    make_known(cluster)
    cluster.worker(env=waits)

    row = cluster.wait_for_status(job, "completed", limit_s=45)
    assert (row["retry_count"], cluster.effects(job), row["error"]) == (0, 1, None)


def test_a_class_that_nobody_knows_fails_with_that_reason_and_is_not_passed_on_for_ever(
    cluster: Cluster,
) -> None:
    job = dispatch_new(cluster)
    cluster.daemon()
    cluster.worker(env={"HEADRACE_UNKNOWN_CLASS_WAITS_S": "0.1,0.1,0.1"})

    row = cluster.wait_for_status(job, "failed", limit_s=45)

    assert "NewEffectJob" in row["error"]
    assert row["retry_count"] == 0
    assert [one["outcome"] for one in cluster.attempts(job)] == ["released"] * 3 + ["failed"]


def test_a_worker_leaves_a_job_that_needs_a_newer_one(cluster: Cluster) -> None:
    jobs = [cluster.dispatch("ShortJob") for _ in range(40)]
    marked = jobs[::4]
    cluster.sql("UPDATE headrace.job SET needs = %s WHERE id = ANY (%s::uuid[])", CAN + 1, marked)
    cluster.daemon()
    worker = cluster.worker()

    wait_until(lambda: worker.text().count("needs a worker of schema version") >= 2, limit_s=45)
    wait_until(
        lambda: all(cluster.job(job)["status"] == "completed" for job in set(jobs) - set(marked)),
        limit_s=45,
    )
    for job in marked:
        row = cluster.job(job)
        assert (row["status"], row["attempt"]) == ("queued", 0)
    # As a newer worker would claim them.
    cluster.sql("UPDATE headrace.job SET needs = %s WHERE needs IS NOT NULL", CAN)

    cluster.wait_all_final(limit_s=45)
    assert not cluster.sql("SELECT * FROM headrace.job_attempt WHERE outcome <> 'released'")


def test_a_newer_schema_that_this_version_may_use_is_used(cluster: Cluster) -> None:
    cluster.sql("UPDATE headrace.alembic_version SET version_num = '9999'")
    cluster.headrace.schema().require()
    cluster.headrace.migrate()
    assert cluster.headrace.schema().version == "9999"

    cluster.sql("UPDATE headrace.installation SET works_from = '9998', version = '9.9.9'")
    for use in (cluster.headrace.schema().require, cluster.headrace.migrate):
        with pytest.raises(SchemaMismatch, match=r"9999, made by Headrace 9\.9\.9") as refused:
            use()
        assert LATEST in str(refused.value)
    cluster.sql("UPDATE headrace.alembic_version SET version_num = %s", LATEST)


def test_running_programs_end_when_the_schema_does_not_admit_them_any_more(
    cluster: Cluster,
) -> None:
    daemon, worker = cluster.daemon(), cluster.worker()
    cluster.wait_for_worker(worker)
    cluster.wait_for_leader()
    cluster.sql("UPDATE headrace.alembic_version SET version_num = '9999'")
    cluster.sql("UPDATE headrace.installation SET works_from = '9998', version = '9.9.9'")
    try:
        for process in (daemon, worker):
            process.popen.wait(timeout=60)
            assert "9999, made by Headrace 9.9.9" in process.text()
        leader = cluster.sql("SELECT expires_at = '-infinity' AS given_up FROM headrace.leader")
        assert leader == [{"given_up": True}]
    finally:
        cluster.sql("UPDATE headrace.alembic_version SET version_num = %s", LATEST)
