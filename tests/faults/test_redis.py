"""Redis emptied, stopped, back empty; messages doubled. The rows are the truth."""

import random
import time
from pathlib import Path
from typing import Any

from headrace.queue.message import Message
from headrace.queue.process import birth_ticks
from headrace.store import embedded
from tests.support.cluster import Cluster, effect_job
from tests.support.processes import wait_until
from tests.support.silence import silent_redis

SEED = 20261124


def held(cluster: Cluster) -> tuple[dict[str, str], Path, Path]:
    reached, go = cluster.folder / "reached", cluster.folder / "go"
    return {"reached": str(reached), "go": str(go)}, reached, go


def dispatch_many(cluster: Cluster, count: int) -> list[str]:
    dispatcher = cluster.headrace.dispatcher
    return dispatcher.dispatch_many(
        effect_job("EffectJob"), [{"tag": str(n)} for n in range(count)]
    )


def test_everything_queued_or_running_survives_a_flushall(cluster: Cluster) -> None:
    values, reached, go = held(cluster)
    daemon = cluster.daemon()
    cluster.wait_for_leader()
    worker = cluster.worker()
    cluster.dispatch("HeldEffectJob", with_=values, queue="high")
    cluster.wait_for_file(reached)
    dispatch_many(cluster, 200)

    cluster.redis.flushall()
    wait_until(
        lambda: cluster.redis.llen(cluster.keys.queue("medium")) >= 200,
        limit_s=3,
        what="the messages' return",
    )
    cluster.worker()
    go.touch()

    cluster.wait_all_final(limit_s=40)
    every = [row["id"] for row in cluster.sql("SELECT id::text FROM headrace.job")]
    assert cluster.unsuccessful(*every) == []
    assert cluster.sql("SELECT DISTINCT retry_count FROM headrace.job") == [{"retry_count": 0}]
    assert daemon.popen.poll() is None
    assert worker.popen.poll() is None


def test_redis_may_stop_and_come_back_empty(own_cluster: Cluster, own_home: Path) -> None:
    values, reached, go = held(own_cluster)
    daemon, worker = own_cluster.daemon(), own_cluster.worker(2)
    own_cluster.wait_for_leader()
    own_cluster.dispatch("HeldEffectJob", with_=values)
    own_cluster.wait_for_file(reached)
    dispatch_many(own_cluster, 20)
    own_cluster.redis.shutdown(nosave=True)
    away_until = time.monotonic() + 5

    # Rows are still accepted, and a running job ends.
    meanwhile = [own_cluster.dispatch("EffectJob") for _ in range(5)]
    go.touch()
    wait_until(lambda: time.monotonic() > away_until)
    embedded.start(own_home)

    own_cluster.wait_all_final(limit_s=30)
    assert {own_cluster.job(job)["status"] for job in meanwhile} == {"completed"}
    assert daemon.popen.poll() is None
    assert worker.popen.poll() is None
    assert daemon.text().count("Redis does not answer") <= 2, "an outage is told once"
    wait_until(
        lambda: own_cluster.redis.smembers(f"{own_cluster.keys.prefix}:workers"),
        limit_s=8,
        what="registration",
    )


def test_a_message_delivered_three_times_starts_its_job_once(cluster: Cluster) -> None:
    shuffle = random.Random(SEED).shuffle
    dispatch_many(cluster, 100)
    listed: list[Any] = cluster.redis.lrange(cluster.keys.queue("medium"), 0, -1)
    messages = [item.decode() for item in listed] * 3
    shuffle(messages)
    cluster.redis.delete(cluster.keys.queue("medium"))
    cluster.redis.rpush(cluster.keys.queue("medium"), *messages)
    cluster.daemon()
    cluster.worker(2)
    cluster.worker()

    cluster.wait_all_final()

    assert cluster.sql("SELECT DISTINCT status FROM headrace.job") == [{"status": "completed"}]
    # Where the machine is busy, jobs that were claimed ahead are given back before they start.
    ended = cluster.sql("SELECT DISTINCT outcome FROM headrace.job_attempt")
    assert [row["outcome"] for row in ended if row["outcome"] != "released"] == []
    assert cluster.sql("SELECT count(*)::int AS n FROM public.effect") == [{"n": 100}]
    wait_until(lambda: cluster.redis.llen(cluster.keys.queue("medium")) == 0)


def test_a_message_of_an_old_attempt_or_of_nobody_starts_nothing(cluster: Cluster) -> None:
    cluster.daemon()
    cluster.worker()
    job = cluster.dispatch("FailOnceEffectJob")
    cluster.wait_for_status(job, "completed")
    row = cluster.job(job)

    cluster.headrace.sender.send([Message(row["id"], n, "high") for n in range(4)])
    cluster.redis.rpush(cluster.keys.queue("high"), "something else", "os.system", b"\xff\xfe")
    after = cluster.dispatch("EffectJob", queue="low")

    cluster.wait_for_status(after, "completed")
    assert cluster.job(job) == row


def test_urgent_queues_come_first(cluster: Cluster) -> None:
    queues = ["low", "medium", "high"] * 10
    jobs = [cluster.dispatch("OrderJob", queue=queue) for queue in queues]
    cluster.worker()
    cluster.wait_all_final()

    ran = sorted(
        (cluster.job(job)["result"], queue) for job, queue in zip(jobs, queues, strict=True)
    )

    assert [queue for _, queue in ran] == ["high"] * 10 + ["medium"] * 10 + ["low"] * 10


def test_a_job_is_killed_at_its_deadline_while_redis_is_silent(own_cluster: Cluster) -> None:
    own_cluster.daemon()
    own_cluster.worker()
    file = own_cluster.folder / "pids"
    job = own_cluster.dispatch("StubbornJob", with_={"pid_file": str(file)}, timeout=4, retry=0)
    own_cluster.wait_for_file(file)
    wait_until(lambda: len(file.read_text().split()) == 2)
    pids = [int(pid) for pid in file.read_text().split()]
    with silent_redis(own_cluster.servers.redis_url):
        wait_until(
            lambda: all(birth_ticks(pid) is None for pid in pids), limit_s=14, what="the job's end"
        )
        own_cluster.wait_for_status(job, "failed")

    after = own_cluster.dispatch("EffectJob")
    own_cluster.wait_for_status(after, "completed", limit_s=20)
