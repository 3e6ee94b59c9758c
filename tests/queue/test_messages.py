"""What messages leave in Redis."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis
from rq.job import Job

from headrace.queue.consumer import Consumer
from headrace.queue.keys import Keys
from headrace.queue.message import Message
from headrace.queue.sender import DATA, Sender

WEEK_S = 604_800
# As RQ has them in this process.
KEYS = Keys("rq")


@pytest.fixture
def line(redis_url: str) -> Iterator[redis.Redis]:
    with redis.from_url(redis_url) as client:
        client.flushall()
        yield client


def messages(*timeouts: float, queue: str = "low") -> list[Message]:
    return [Message(uuid4(), 0, queue, timeout_s) for timeout_s in timeouts]


def listed(line: redis.Redis, queue: str = "low") -> list[str]:
    items: list[bytes] = line.lrange(f"rq:queue:{queue}", 0, -1)  # type: ignore[assignment]
    return [item.decode() for item in items]


def test_a_queue_keeps_the_order_whatever_the_limits(redis_url: str, line: redis.Redis) -> None:
    sent = messages(*[60.0, 60.0, 5.0, 60.0] * 600)

    Sender(redis_url, lambda: KEYS).send(sent)

    assert listed(line) == [message.id for message in sent]


def test_each_message_has_a_hash_of_its_own(redis_url: str, line: redis.Redis) -> None:
    sent = messages(60.0, 60.0, 60.0, 5.0, 5.0)

    Sender(redis_url, lambda: KEYS).send(sent)

    for message in sent:
        job = Job.fetch(message.id, connection=line)
        assert (job.id, job.origin, job.timeout) == (message.id, "low", message.timeout_s + 30)
        assert job.get_status() == "queued"
        assert job.created_at is not None
        assert line.hget(f"rq:job:{message.id}", "data") == DATA
        assert WEEK_S - 60 < line.ttl(f"rq:job:{message.id}") <= WEEK_S


def test_a_message_that_is_sent_again_has_a_new_hash(redis_url: str, line: redis.Redis) -> None:
    sent = messages(60.0, 60.0)
    sender = Sender(redis_url, lambda: KEYS)
    sender.send(sent)
    line.hset(f"rq:job:{sent[1].id}", "status", "started")

    sender.send(sent)

    assert line.hget(f"rq:job:{sent[1].id}", "status") == b"queued"


def test_what_is_done_is_forgotten_before_the_next_is_taken(
    redis_url: str, line: redis.Redis
) -> None:
    done, left = messages(60.0, 60.0, 60.0), messages(60.0)
    Sender(redis_url, lambda: KEYS).send([*done, *left])
    consumer = Consumer(redis_url, KEYS, ["high", "low"])
    taken = consumer.take_waiting(3)
    for job_id, attempt, _queue in taken:
        consumer.done(f"{job_id}_{attempt}")
    released = messages(60.0, queue="high")
    consumer.send(released)

    following = consumer.take()

    assert following == (str(released[0].job_id), 0, "high")
    assert [job_id for job_id, _, _ in taken] == [str(message.job_id) for message in done]
    keys = {key.decode() for key in line.scan_iter("rq:job:*")}
    assert keys == {f"rq:job:{message.id}" for message in [*left, *released]}
    consumer.close()
