"""The lines to Redis: what is taken, put back, put aside and sent, in which order, and what not."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError

from headrace.errors import QueueUnavailable
from headrace.queue import consumer as of_consumer
from headrace.queue import sender as of_sender
from headrace.queue.consumer import Consumer, Taken
from headrace.queue.keys import Keys, keys_of
from headrace.queue.message import Message, parse_id
from headrace.queue.sender import Sender
from headrace.queue.unprefixed_keys import remove_former

KEYS = keys_of("lines0")


@pytest.fixture
def line(redis_url: str) -> Iterator[redis.Redis]:
    with redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def sender(redis_url: str) -> Iterator[Sender]:
    made = Sender(redis_url, lambda: KEYS)
    yield made
    made.close()


@pytest.fixture
def consumer(redis_url: str) -> Iterator[Consumer]:
    made = Consumer(redis_url, KEYS, ["high", "low"], block_s=0.05)
    yield made
    made.close()


def messages(count: int, queue: str = "low") -> list[Message]:
    return [Message(uuid4(), 0, queue, 60.0) for _ in range(count)]


def listed(line: redis.Redis, key: str = KEYS.queue("low")) -> list[str]:
    items: list[bytes] = line.lrange(key, 0, -1)  # type: ignore[assignment]
    return [item.decode() for item in items]


def as_taken(sent: list[Message]) -> list[Taken]:
    return [(str(one.job_id), one.attempt, one.queue) for one in sent]


# -- taking ---------------------------------------------------------------------------------------


def test_messages_are_taken_in_their_order_of_the_most_urgent_queue_that_has_any(
    line: redis.Redis, sender: Sender, consumer: Consumer
) -> None:
    low, high = messages(3), messages(1, "high")
    sender.send([*low, *high])

    assert consumer.take_waiting(2) == as_taken(high)
    assert consumer.take_waiting(2) == as_taken(low[:2])
    assert consumer.take() == as_taken(low)[2]
    assert consumer.take_waiting(2) == []
    assert consumer.take() is None
    assert list(consumer.queues) == ["high", "low"]


def test_what_is_given_back_stands_where_it_was_taken(
    line: redis.Redis, sender: Sender, consumer: Consumer
) -> None:
    sent = messages(4)
    sender.send(sent)
    taken = consumer.take_waiting(3)

    consumer.give_back(taken)

    assert listed(line) == [message.id for message in sent]


def test_what_could_not_be_claimed_is_put_back_and_the_error_goes_on(
    line: redis.Redis, sender: Sender, consumer: Consumer
) -> None:
    sent = messages(2)
    sender.send(sent)
    taken = consumer.take_waiting(2)

    with consumer.put_back_on_failure(taken):
        pass
    assert listed(line) == []
    with pytest.raises(KeyError), consumer.put_back_on_failure(taken):
        raise KeyError("x")
    assert listed(line) == [message.id for message in sent]
    with pytest.raises(KeyError), consumer.put_back_on_failure([]):
        raise KeyError("x")


def test_a_redis_that_is_away_hides_no_error_behind_its_own(consumer: Consumer) -> None:
    def away(*_given: Any) -> None:
        raise QueueUnavailable("away", "silent")

    consumer.flush = away  # type: ignore[method-assign]

    with pytest.raises(KeyError), consumer.put_back_on_failure([("x", 0, "low")]):
        raise KeyError("x")


def test_what_is_not_ours_is_moved_beside_the_queue_unchanged_and_told(
    line: redis.Redis, sender: Sender, consumer: Consumer, caplog: pytest.LogCaptureFixture
) -> None:
    ours = messages(2)
    foreign = [b"foreign \xff", b"x" * 100]
    line.rpush(KEYS.queue("low"), foreign[0])
    sender.send(ours[:1])
    line.rpush(KEYS.queue("low"), foreign[1])
    sender.send(ours[1:])

    taken = consumer.take_waiting(10)

    assert taken == as_taken(ours)
    assert line.lrange(KEYS.set_aside("low"), 0, -1) == foreign
    first, second = (record.message for record in caplog.records)
    assert KEYS.set_aside("low") in first
    assert "the queue low" in first
    assert second.count("x") < 70
    line.rpush(KEYS.queue("low"), foreign[0], ours[0].id)
    assert consumer.take() == as_taken(ours)[0], "what is not ours is passed over"
    line.rpush(KEYS.queue("low"), foreign[0])
    assert consumer.take_waiting(1) == []


def test_what_cannot_be_put_aside_at_once_is_before_the_next_message(
    line: redis.Redis, consumer: Consumer
) -> None:
    exchange = consumer._exchange

    def away(commands: Any) -> Any:
        if commands[0][0] == "RPUSH":
            raise QueueUnavailable("away", "silent")
        return exchange(commands)

    line.rpush(KEYS.queue("low"), b"foreign")
    consumer._exchange = away  # type: ignore[method-assign]
    with pytest.raises(QueueUnavailable):
        consumer.take_waiting(1)
    consumer._exchange = exchange  # type: ignore[method-assign]

    consumer.flush()

    assert listed(line, KEYS.set_aside("low")) == ["foreign"]


# -- saying ---------------------------------------------------------------------------------------


def test_what_is_held_back_is_said_with_the_next_take_or_when_it_is_much(
    line: redis.Redis, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_consumer, "_CHUNK", 2)
    few, many = messages(2, "high"), messages(5)
    consumer.send(few)
    assert listed(line, KEYS.queue("high")) == []
    consumer.send(many)
    assert listed(line) == [message.id for message in many]
    assert consumer.take() == as_taken(few)[0]
    consumer.flush()
    assert listed(line, KEYS.queue("high")) == [few[1].id]


def test_what_is_done_is_forgotten_once(
    line: redis.Redis, sender: Sender, consumer: Consumer
) -> None:
    (one,) = messages(1)
    sender.send([one])
    consumer.take()
    consumer.done(one.id)
    consumer.flush()
    assert line.exists(KEYS.message(one.id)) == 0
    sender.send([one])

    consumer.flush()

    assert line.exists(KEYS.message(one.id)) == 1, "it was sent again, and is not done"


def test_a_command_that_redis_refuses_costs_no_message(
    line: redis.Redis, sender: Sender, consumer: Consumer
) -> None:
    line.set(KEYS.queue("high"), "of another type")
    consumer.send(messages(1, "high"))
    (one,) = messages(1)
    sender.send([one])
    only_low = Consumer.__new__(Consumer)
    only_low.__dict__.update(consumer.__dict__, _keys=[KEYS.queue("low")])

    assert only_low.take() == as_taken([one])[0]


def test_after_an_outage_what_was_held_back_is_said_over_a_new_connection(
    line: redis.Redis, consumer: Consumer
) -> None:
    assert consumer.take_waiting(1) == []
    dead = consumer._connection
    (one,) = messages(1)
    consumer.send([one])

    def broken(*_given: Any) -> None:
        raise RedisConnectionError("reset by peer")

    dead.send_packed_command = broken
    with pytest.raises(QueueUnavailable):
        consumer.flush()
    assert consumer._connection is None
    del dead.send_packed_command

    assert consumer.take() == as_taken([one])[0]


# -- sending --------------------------------------------------------------------------------------


def test_new_jobs_of_a_queue_are_sent_in_their_order_with_their_limit(
    line: redis.Redis, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_sender, "_CHUNK", 2)
    ids = [str(uuid4()) for _ in range(5)]

    sender.send_first("low", 12.9, ids)

    assert listed(line) == [f"{one}_0" for one in ids]
    assert line.smembers(KEYS.queues) == {KEYS.queue("low").encode()}
    kept: Any = line.hgetall(KEYS.message(f"{ids[4]}_0"))
    assert (kept[b"timeout"], kept[b"origin"]) == (b"42", b"low")
    assert kept[b"created_at"].endswith(b"Z")


def test_a_redis_that_has_forgotten_the_script_is_given_it_again(
    line: redis.Redis, sender: Sender
) -> None:
    sent = messages(2)
    sender.send(sent[:1])
    line.script_flush()

    sender.send(sent[1:])

    assert listed(line) == [message.id for message in sent]


def test_a_connection_that_was_broken_answers_no_later_command(
    line: redis.Redis, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender.send(messages(1))
    pool = sender.redis.connection_pool
    connections = pool.connection_class

    def interrupted(*_given: Any, **_named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(connections, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sender.send(messages(1))

    assert sender.lengths(["low"]) == {"low": 2}


def test_messages_that_stand_on_no_queue_are_missed(line: redis.Redis, sender: Sender) -> None:
    there, gone = messages(2), messages(1)
    high = messages(1, "high")
    sender.send([*there, *high])

    assert sender.missing([*there, *gone, *high]) == gone
    assert sender.missing([]) == []
    assert sender.lengths(["high", "low", "none"]) == {"high": 1, "low": 2, "none": 0}


def test_hashes_of_messages_are_forgotten_and_no_others(
    line: redis.Redis, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_sender, "_CHUNK", 2)
    sent = messages(4)
    sender.send(sent)

    sender.forget(message.id for message in sent[:3])

    left = [message for message in sent if line.exists(KEYS.message(message.id))]
    assert left == sent[3:]


def test_a_memory_that_was_lost_is_told_once(line: redis.Redis, sender: Sender) -> None:
    assert sender.memory_lost()
    assert not sender.memory_lost()
    line.flushall()
    assert sender.memory_lost()
    assert not sender.memory_lost()


def test_progress_is_shown_for_some_seconds(line: redis.Redis, sender: Sender) -> None:
    sender.show_progress({"a": {"rows": 1}, "b": {"rows": 2}})

    assert sender.progress_of(["b", "none", "a"]) == {"a": {"rows": 1}, "b": {"rows": 2}}
    assert sender.progress_of([]) == {}
    assert 5 < line.ttl(KEYS.progress("a")) <= 10


def test_a_silent_server_is_not_waited_for_again_at_once(
    sender: Sender, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resting = Sender(redis_url, lambda: KEYS, rest_s=10.0)
    now, took_s = [100.0], [0.3]
    monkeypatch.setattr("headrace.queue.sender.time.monotonic", lambda: now[0])

    def silent(*_given: Any, **_named: Any) -> None:
        now[0] += took_s[0]
        raise RedisConnectionError("timed out")

    def asked() -> int:
        before = now[0]
        with pytest.raises(QueueUnavailable, match="timed out"):
            resting.memory_lost()
        return int(now[0] != before)

    resting.redis.set = silent  # type: ignore[method-assign]
    assert [asked(), asked()] == [1, 0]
    now[0] += 9.9
    assert asked() == 0
    now[0] += 0.2
    assert asked() == 1
    # One that refuses at once is asked each time.
    now[0] += 11.0
    took_s[0] = 0.1
    assert [asked(), asked()] == [1, 1]
    resting.close()


def test_a_ping_says_whether_redis_answers(sender: Sender, redis_url: str) -> None:
    sender.ping()
    nobody = Sender("redis://127.0.0.1:1/0", lambda: KEYS)
    with pytest.raises(QueueUnavailable):
        nobody.ping()
    asked: list[int] = []

    def keys() -> Keys:
        asked.append(1)
        return KEYS

    Sender(redis_url, keys).prepare()
    assert asked == [1]


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (f"{UUID(int=5)}_0", (str(UUID(int=5)), 0)),
        (f"{UUID(int=5)}_123456789", (str(UUID(int=5)), 123456789)),
        (f"{UUID(int=5)}_1234567890", None),
        (f"{UUID(int=5)}_", None),
        (f"{UUID(int=5)}", None),
        (f"x{UUID(int=5)}_0", None),
        (f"{UUID(int=5)}_0\n", None),
        (f"{str(UUID(int=0xA)).upper()}_0", None),
    ],
)
def test_an_id_of_ours_is_known_by_its_form(text: str, parsed: tuple[str, int] | None) -> None:
    assert parse_id(text) == parsed


def test_an_installation_has_keys_that_no_other_has() -> None:
    keys = keys_of("abc1")
    assert keys.queue("low") == "headrace-abc1:queue:low"
    others = (keys.queues, keys.epoch, keys.set_aside("q"), keys.progress("j"), keys.message("m"))
    names = ("queues", "epoch", "foreign:q", "progress:j", "job:m")
    assert others == tuple(f"headrace-abc1:{name}" for name in names)
    assert keys_of("a" * 32).prefix == "headrace-" + "a" * 32
    for wrong in ("abc", "a" * 33, "ABCD", "a:bc", "abcd\n", ""):
        with pytest.raises(ValueError, match="is not the id of an installation"):
            keys_of(wrong)


def test_of_an_earlier_versions_lists_only_what_is_ours_is_removed(
    line: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.queue.unprefixed_keys._CHUNK", 2)
    ours, others = messages(3), messages(2)
    for one in (*ours, *others):
        line.rpush("rq:queue:low", one.id)
        line.hset(f"rq:job:{one.id}", "data", "x")
    line.rpush("rq:queue:low", "of another application")
    asked: list[list[str]] = []

    def known(ids: Any) -> set[str]:
        asked.append(list(ids))
        return {str(one.job_id) for one in ours}

    assert remove_former(redis_url, ["high", "low"], known) == 3

    assert listed(line, "rq:queue:low") == [*(one.id for one in others), "of another application"]
    assert {key.decode() for key in line.scan_iter("rq:job:*")} == {
        f"rq:job:{one.id}" for one in others
    }
    assert asked == [sorted(str(one.job_id) for one in (*ours, *others))]


def test_a_wait_that_ends_without_a_message_leaves_a_redis_that_no_longer_leads(
    line: redis.Redis, sender: Sender, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waits_on() -> int:
        return int(consumer._exchange([("CLIENT", "ID")]))

    assert consumer.take() is None
    first = waits_on()
    assert consumer.take() is None
    assert waits_on() == first, "it leads as before"

    monkeypatch.setattr(of_consumer, "is_former_master", lambda *_given: True)
    assert consumer.take() is None
    assert consumer._connection is None
    sent = messages(1)
    sender.send(sent)
    assert consumer.take() == as_taken(sent)[0]
    assert waits_on() != first
