"""Whatever is published on a worker's channel, its parent lives on."""

import json

import pytest

from headrace.queue.commands import command_in
from tests.support.cluster import Cluster
from tests.support.processes import wait_until

HOSTILE = [
    b"notjson", b"", b"\xff\xfe", b"null", b"[]", b'"text"', b"7", b"[" * 100_000,
    b'{"command": "stop-job"}', b'{"command": "stop-job", "job_id": {"a": 1}}',
    b'{"command": ["kill-horse"]}', b'{"command": null}', b'{"command": "stop-execution"}',
    b'{"command": "no-such"}',
]  # fmt: skip


def test_no_message_ends_a_worker_s_parent(cluster: Cluster) -> None:
    worker = cluster.worker()
    name = cluster.wait_for_worker(worker)
    subscribed = wait_until(lambda: cluster.redis.pubsub_channels(f"*{name}"), what="its channel")
    channel = subscribed[0]

    for message in HOSTILE:
        cluster.redis.publish(channel, message)

    wait_until(
        lambda: worker.log.read_text().count("is not a command of RQ") >= 8, what="the warnings"
    )
    job = cluster.dispatch("EffectJob")
    cluster.wait_for_status(job, "completed")
    assert worker.popen.poll() is None
    # What is a command is obeyed still.
    cluster.redis.publish(channel, b'{"command": "shutdown"}')
    wait_until(lambda: worker.popen.poll() is not None, what="the worker's end")


@pytest.mark.parametrize("message", [None, 7, {}, {"data": 1}, {"data": None}])
def test_a_message_without_a_command_is_an_empty_one(message: object) -> None:
    assert command_in(message) == {}


def test_a_command_is_read() -> None:
    sent = {"command": "stop-job", "job_id": "x"}

    assert command_in({"data": json.dumps(sent).encode()}) == sent
