"""Cancelling and retrying while a worker does something else at that very moment."""

import random
import time
from contextlib import suppress

from headrace.errors import IllegalTransition
from tests.support.cli import Headrace
from tests.support.cluster import Cluster, effect_job
from tests.support.processes import wait_until

SEED = 20261127


def test_a_cancelled_job_has_its_effect_or_its_cancellation_never_both(cluster: Cluster) -> None:
    rng = random.Random(SEED)
    cluster.daemon()
    cluster.worker(2)
    cluster.wait_for_status(cluster.dispatch("EffectJob"), "completed")
    jobs = []
    for _ in range(40):
        job = cluster.dispatch("EffectJob", with_={"hold_s": rng.choice((0, 0.01, 0.05))})
        jobs.append(job)
        time.sleep(rng.random() * 0.03)
        with suppress(IllegalTransition):
            cluster.headrace.interventions.cancel_job(job)

    cluster.wait_all_final()

    assert {cluster.job(job)["status"] for job in jobs} == {"completed", "cancelled"}


def test_a_job_cancelled_and_retried_at_once_runs_under_a_new_number(cluster: Cluster) -> None:
    rng = random.Random(SEED)
    cluster.daemon()
    cluster.worker(2)
    cluster.wait_for_status(cluster.dispatch("EffectJob"), "completed")
    for _ in range(25):
        job = cluster.dispatch("EffectJob", with_={"hold_s": 0.05})
        time.sleep(rng.random() * 0.08)
        with suppress(IllegalTransition):
            cluster.headrace.interventions.cancel_job(job)
            cluster.headrace.interventions.retry_job(job)

    cluster.wait_all_final()

    assert cluster.sql("SELECT DISTINCT status FROM headrace.job") == [{"status": "completed"}]


def test_cancelling_stops_the_sql_on_the_server(cluster: Cluster) -> None:
    reached = cluster.folder / "reached"
    cluster.worker()
    job = cluster.dispatch("SlowSqlJob", with_={"reached": str(reached)})
    cluster.wait_for_file(reached)
    slow = (
        "SELECT 1 FROM pg_stat_activity"
        " WHERE query LIKE '%%pg_sleep(60) /* headrace%%' AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: cluster.sql(slow))

    cluster.headrace.interventions.cancel_job(job)

    wait_until(lambda: not cluster.sql(slow), limit_s=3, what="the end of the statement")
    cluster.wait_for_status(cluster.dispatch("EffectJob"), "completed")
    assert cluster.job(job)["status"] == "cancelled"


def test_of_two_failed_jobs_above_it_one_retried_is_not_enough(cluster: Cluster) -> None:
    cluster.daemon()
    cluster.worker()
    bad = [cluster.dispatch("FailOnceEffectJob", retry=0) for _ in range(2)]
    below = cluster.dispatch("EffectJob", depends_on=bad)
    last = cluster.dispatch("EffectJob", depends_on=[below])
    cluster.wait_all_final()
    assert cluster.job(last)["status"] == "skipped"

    cluster.headrace.interventions.retry_job(bad[0])
    cluster.wait_all_final()
    assert cluster.job(bad[0])["status"] == "completed"
    assert cluster.job(below)["status"] == cluster.job(last)["status"] == "skipped"

    cluster.headrace.interventions.retry_job(bad[1])
    cluster.wait_all_final()
    assert cluster.job(below)["status"] == cluster.job(last)["status"] == "completed"


def test_a_job_retried_while_its_sibling_completes_lets_the_job_below_run(
    cluster: Cluster,
) -> None:
    rng = random.Random(SEED)
    cluster.daemon()
    cluster.worker(2)
    below = []
    for _ in range(12):
        bad = cluster.dispatch("FailOnceEffectJob", retry=0)
        cluster.wait_for_status(bad, "failed")
        good = cluster.dispatch("EffectJob", with_={"hold_s": 0.05})
        # Inserted as skipped, since one above it has failed.
        below.append(cluster.dispatch("EffectJob", depends_on=[bad, good]))
        time.sleep(rng.random() * 0.08)
        cluster.headrace.interventions.retry_job(bad)

    cluster.wait_all_final(limit_s=25)

    assert {cluster.job(job)["status"] for job in below} == {"completed"}


def test_cancelling_a_run_skips_what_waits_for_it_from_outside(cluster: Cluster) -> None:
    (cluster.folder / "pipelines" / "two.yaml").write_text(
        f"name: two\nsteps:\n- {{id: a, job: {effect_job('EffectJob')}, with: {{hold_s: 30}}}}\n"
        f"- {{id: b, job: {effect_job('EffectJob')}, depends_on: [a]}}\n"
    )
    cluster.daemon()
    run = cluster.headrace.start_run("two", {})
    steps = cluster.sql("SELECT id, step FROM headrace.job ORDER BY id")
    outside = cluster.dispatch("EffectJob", depends_on=[steps[1]["id"]])
    cluster.worker()
    cluster.wait_for_status(steps[0]["id"], "started")

    cluster.headrace.interventions.cancel_run(str(run["id"]))

    cluster.wait_all_final()
    assert cluster.job(outside)["status"] == "skipped"
    cluster.wait_for_status(cluster.dispatch("EffectJob"), "completed")


def test_a_run_is_retried_when_its_handlers_have_ended(cluster: Cluster) -> None:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    (cluster.folder / "pipelines" / "cleaned.yaml").write_text(
        "name: cleaned\nsteps:\n"
        f"- {{id: load, job: {effect_job('FailOnceEffectJob')}, retry: {{limit: 0}}}}\n"
        "handlers:\n  finally:\n"
        f"  - {{id: tidy, job: {effect_job('HeldEffectJob')},"
        f" with: {{reached: {reached}, go: {go}}}}}\n"
    )
    cluster.daemon()
    cluster.worker(2)
    run = str(cluster.headrace.start_run("cleaned", {})["id"])
    cluster.wait_for_file(reached)
    (load,) = cluster.sql("SELECT id FROM headrace.job WHERE step = 'load'")

    urls = {
        "DATABASE_URL": cluster.servers.database_url,
        "REDIS_URL": cluster.servers.redis_url,
    }
    headrace = Headrace(cluster.folder, urls)
    refused = headrace("retry", run)
    assert refused.code == 1
    assert "its handlers are at work (tidy); retry when the run has ended" in refused.err
    told = headrace("retry", "--all-failed", "--json").json
    assert told == {"items": [], "left": [{"id": str(load["id"])}]}
    go.touch()
    cluster.wait_all_final()
    assert headrace("retry", run).code == 0

    cluster.wait_all_final()
    jobs = cluster.sql("SELECT step, status FROM headrace.job ORDER BY finished_at")
    assert [(job["step"], job["status"]) for job in jobs] == [
        ("tidy", "completed"), ("load", "completed"), ("tidy", "completed"),
    ]  # fmt: skip


def test_items_of_a_handler_are_told_once_after_a_retry(cluster: Cluster) -> None:
    cluster.sql("CREATE TABLE public.bad AS SELECT 1 AS n")
    (cluster.folder / "pipelines" / "told.yaml").write_text(
        "name: told\nsteps:\n- {id: load, job: RunSql, with: {sql: select 1}}\n"
        "handlers:\n  finally:\n  - id: tell\n    job: RunSql\n    retry: {limit: 0}\n"
        "    foreach: {items: '{{ [1, 2] if steps.load.status else [] }}'}\n"
        "    with: {sql: 'select 1 / (n - {{ params.n }}) from public.bad',"
        " params: {n: '{{ item }}'}}\n"
    )
    cluster.daemon()
    cluster.worker(2)
    run = str(cluster.headrace.start_run("told", {})["id"])
    cluster.wait_all_final()
    told = "SELECT step, status FROM headrace.job WHERE handler IS NOT NULL ORDER BY 1, 2"
    assert [tuple(job.values()) for job in cluster.sql(told)] == [
        ("tell", "completed"), ("tell[0]", "failed"), ("tell[1]", "completed"),
    ]  # fmt: skip
    cluster.sql("UPDATE public.bad SET n = 3")

    cluster.headrace.interventions.retry_run(run)

    cluster.wait_all_final()
    assert [tuple(job.values()) for job in cluster.sql(told)] == [
        ("tell", "completed"), ("tell", "completed"), ("tell[0]", "completed"),
        ("tell[0]", "skipped"), ("tell[1]", "completed"), ("tell[1]", "completed"),
    ]  # fmt: skip
    assert cluster.sql("SELECT status FROM headrace.run") == [{"status": "completed"}]
