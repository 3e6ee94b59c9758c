"""Several installations and other applications on one Redis: nobody takes what is not its own."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rq import Queue

from headrace.queue.keys import Keys
from headrace.queue.message import Message
from headrace.store.embedded import Servers
from headrace.store.migrations import upgrade
from tests.support.cluster import Cluster, cluster_on
from tests.support.processes import wait_until


@pytest.fixture
def other(empty_database: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    """A second installation, with a database of its own, on the same Redis."""
    upgrade(empty_database)
    folder = tmp_path / "other"
    folder.mkdir()
    with cluster_on(Servers(empty_database, redis_url), folder) as made:
        yield made
        made.check()


def test_two_installations_on_one_redis_never_see_each_other(
    cluster: Cluster, other: Cluster
) -> None:
    assert cluster.keys != other.keys
    jobs = [(one, one.dispatch("EffectJob")) for one in (cluster, other) for _ in range(20)]
    cluster.daemon()
    cluster.worker(2)
    waiting = other.daemon()
    cluster.wait_all_final(limit_s=45)
    # Nobody has taken a message of those that have no worker yet.
    assert other.redis.llen(other.keys.queue("medium")) == 20
    assert "messages again" not in waiting.text()
    other.worker(2)

    other.wait_all_final(limit_s=45)

    for one, job in jobs:
        assert (one.job(job)["status"], one.effects(job)) == ("completed", 1)


def test_another_applications_jobs_on_a_queue_of_our_name_are_untouched(cluster: Cluster) -> None:
    theirs = Queue("high", connection=cluster.redis)
    theirs.enqueue("os.getcwd")
    before = {key: cluster.redis.dump(key) for key in cluster.redis.scan_iter("rq:*")}
    cluster.daemon()
    cluster.worker()

    job = cluster.dispatch("EffectJob", queue="high")

    cluster.wait_for_status(job, "completed", limit_s=45)
    assert {key: cluster.redis.dump(key) for key in cluster.redis.scan_iter("rq:*")} == before
    assert len(theirs) == 1


def test_a_foreign_message_in_our_list_is_moved_unchanged_beside_it_and_told(
    cluster: Cluster,
) -> None:
    worker = cluster.worker()
    cluster.wait_for_worker(worker)
    foreign = [b"5d6f\x1b[31m", b"something else"]
    cluster.redis.rpush(cluster.keys.queue("high"), *foreign)
    job = cluster.dispatch("EffectJob", queue="high")

    cluster.wait_for_status(job, "completed", limit_s=45)

    aside = cluster.keys.set_aside("high")
    assert cluster.redis.lrange(aside, 0, -1) == foreign
    wait_until(lambda: worker.text().count(aside) == 2, what="the warning")
    assert "\x1b" not in worker.text()


def test_after_an_upgrade_what_is_queued_is_sent_again_and_of_old_lists_only_ours_is_removed(
    cluster: Cluster,
) -> None:
    job = cluster.dispatch("EffectJob", queue="high")
    row = cluster.job(job)
    cluster.redis.flushdb()
    # As the version before left it, beside another application's job and a stranger's id.
    old, stranger = Keys("rq"), "0196f0a0-0000-7000-8000-000000000000_0"
    theirs = Queue("high", connection=cluster.redis).enqueue("os.getcwd")
    ours = Message(row["id"], 0, "high").id
    for one in (ours, stranger):
        cluster.redis.rpush(old.queue("high"), one)
        cluster.redis.hset(old.message(one), "data", "x")

    cluster.daemon()
    cluster.worker()

    cluster.wait_for_status(job, "completed", limit_s=45)
    kept = [theirs.id.encode(), stranger.encode()]
    wait_until(lambda: cluster.redis.lrange(old.queue("high"), 0, -1) == kept)
    assert not cluster.redis.exists(old.message(ours))
    assert cluster.redis.exists(old.message(stranger))


def test_the_line_that_queues_prints_makes_rqs_own_programs_work(cluster: Cluster) -> None:
    job = cluster.dispatch("EffectJob", queue="high")
    listed = subprocess.run(
        [sys.executable, "-m", "headrace", "queues"],
        env=dict(cluster.environ), capture_output=True, text=True, check=True,
    )  # fmt: skip
    (line,) = [one for one in listed.stdout.splitlines() if "RQ_KEY_PREFIX=" in one]
    command = line[line.index("RQ_KEY_PREFIX=") :]
    assert f"RQ_KEY_PREFIX={cluster.keys.prefix} rq info" in command
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"

    def shell(text: str) -> str:
        done = subprocess.run(
            ["sh", "-c", text],
            env={**cluster.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout + done.stderr

    assert "1 jobs total" in shell(command)
    shell(command.replace("rq info", "rq worker --burst high"))
    assert cluster.job(job)["status"] == "completed"


def test_a_jobs_own_rq_speaks_to_its_own_application(cluster: Cluster) -> None:
    cluster.worker()

    job = cluster.dispatch("EnqueueElsewhereJob", with_={"redis_url": cluster.servers.redis_url})

    cluster.wait_for_status(job, "completed", limit_s=45)
    assert len(Queue("theirs", connection=cluster.redis)) == 1
    assert cluster.job(job)["result"] is None
