"""PostgreSQL stopped at once, as in a crash, and started again, at every stage of a job."""

import random
import time
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from headrace.store import embedded
from headrace.store.attempts import AttemptStore
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from tests.support.cluster import Cluster, effect_job
from tests.support.crashed_postgres import crash_postgres, end_postgres
from tests.support.processes import wait_until

SEED = 20261125


def effects_above(cluster: Cluster, count: int) -> bool:
    return int(cluster.sql("SELECT count(*) AS n FROM public.effect")[0]["n"]) > count


@pytest.mark.parametrize(
    "point", ["taken", "claimed", "after-effect", "after-fence", "after-commit"]
)
def test_a_crash_of_postgres_at_any_point_is_rolled_back_or_completed(
    own_cluster: Cluster, own_home: Path, point: str
) -> None:
    own_cluster.daemon()
    worker = own_cluster.worker(env=own_cluster.crash_at(point, stop=True))
    job = own_cluster.dispatch("EffectJob")
    own_cluster.wait_for_crash()
    crash_postgres(own_cluster, own_home)
    worker.resume()

    row = own_cluster.wait_for_status(job, "completed", limit_s=20)

    assert own_cluster.effects(job) == 1
    assert row["retry_count"] == 0
    own_cluster.wait_all_final()


def test_jobs_in_a_stream_survive_three_crashes_of_postgres(
    own_cluster: Cluster, own_home: Path
) -> None:
    rng = random.Random(SEED)
    daemon, worker = own_cluster.daemon(), own_cluster.worker(2)
    own_cluster.wait_for_worker(worker)
    for _ in range(3):
        own_cluster.headrace.dispatcher.dispatch_many(
            effect_job("EffectJob"), [{"hold_s": rng.choice((0, 0, 0.02))} for _ in range(200)]
        )
        before = own_cluster.sql("SELECT count(*) AS n FROM public.effect")[0]["n"]
        wait_until(partial(effects_above, own_cluster, before + 20))
        time.sleep(rng.random() / 10)
        crash_postgres(own_cluster, own_home)

    own_cluster.wait_all_final(limit_s=40)
    assert own_cluster.sql("SELECT error FROM headrace.job WHERE status <> 'completed'") == []
    assert daemon.popen.poll() is None
    assert worker.popen.poll() is None


@pytest.mark.parametrize("crashes_again", [False, True])
def test_a_transaction_number_that_a_crashed_server_gives_out_again_blames_no_job(
    own_cluster: Cluster, own_home: Path, crashes_again: bool
) -> None:
    store = AttemptStore(own_cluster.servers.database_url, "w")
    sessions = JobSessions(store, {}, JobGuard(), "w")
    sessions.begin(uuid4(), 1)
    with sessions.session():
        number = sessions.number
    crash_postgres(own_cluster, own_home)
    sessions.roll_back()

    given_out: list[str] = []
    while number not in given_out and len(given_out) < 100:
        (row,) = own_cluster.sql("SELECT pg_current_xact_id()::text AS number")
        given_out.append(row["number"])

    assert given_out[-1] == number
    if crashes_again:
        # Meanwhile the number is on disk, and behind the point from which the server goes on.
        own_cluster.sql("CREATE TABLE public.on_disk ()")
        crash_postgres(own_cluster, own_home)
    assert sessions.verdict() is None
    store.drop()


def test_what_is_declared_while_postgres_is_away_is_scheduled_afterwards(
    own_cluster: Cluster, own_home: Path
) -> None:
    daemon = own_cluster.daemon()
    own_cluster.wait_for_leader()
    end_postgres(own_home)
    for name, start in (("load", "schedule: {cron: '0 0 1 1 *'}"), ("totals", "trigger: load")):
        text = f"name: {name}\n{start}\nsteps:\n  - {{id: only, job: {effect_job('EffectJob')}}}\n"
        (own_cluster.folder / "pipelines" / f"{name}.yaml").write_text(text)
    wait_until(lambda: "PostgreSQL does not answer" in daemon.text(), what="the outage")
    embedded.start(own_home)
    own_cluster.reconnect()

    for table in ("schedule", "trigger"):
        found = partial(own_cluster.sql, f"SELECT 1 FROM headrace.{table}")
        wait_until(found, limit_s=10, what=f"the {table}")
