"""What Redis says when it cannot be used, in a sentence with its cause."""

import pytest
from redis import exceptions
from redis.sentinel import MasterNotFoundError

from headrace.errors import ConfigError, QueueUnavailable
from headrace.queue.connect import connect, reported, unavailable

CASES = [
    (exceptions.OutOfMemoryError("command not allowed when used memory"), "full"),
    (exceptions.ReadOnlyError("You can't write against a read only replica."), "read-only"),
    (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "loading"),
    (exceptions.MasterDownError("Link with MASTER is down"), "replica"),
    (exceptions.NoPermissionError("this user has no permissions"), "permission"),
    (exceptions.AuthenticationError("invalid username-password pair"), "login"),
    (exceptions.ResponseError("DENIED Redis is running in protected mode"), "protected"),
    (exceptions.ResponseError("WRONGTYPE Operation against a key"), "wrong-type"),
    (exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "misconf"),
    (exceptions.ResponseError("BUSY Redis is busy running a script."), "busy"),
    (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), "replicas"),
    (exceptions.ResponseError("NOPROTO unsupported protocol version"), "protocol"),
    (exceptions.ResponseError("unknown command 'COPY'"), "refused"),
    (MasterNotFoundError("No master found for 'etl'"), "no-master"),
    (exceptions.ConnectionError("Connection refused"), "silent"),
    (exceptions.TimeoutError("Timeout reading from socket"), "silent"),
    (exceptions.InvalidResponse("Protocol Error: b'HTTP/1.1'"), "silent"),
    (ConnectionResetError(104, "Connection reset by peer"), "silent"),
]


@pytest.mark.parametrize(("error", "reason"), CASES)
def test_each_refusal_has_its_reason(error: Exception, reason: str) -> None:
    with pytest.raises(QueueUnavailable) as told, reported():
        raise error

    assert told.value.reason == reason
    assert str(error)[:20] in str(told.value)


def test_a_pipelines_error_has_the_reason_of_its_command() -> None:
    text = "Command # 1 (LLEN headrace-x:queue:high) of pipeline caused error: WRONGTYPE Operation"
    assert unavailable(exceptions.ResponseError(text)).reason == "wrong-type"


def test_a_reason_is_one_line_and_no_longer_than_needed() -> None:
    told = str(unavailable(exceptions.ConnectionError("a\n  b " + "x" * 1000)))

    assert told.startswith("Redis does not answer: a b x")
    assert len(told) == len("Redis does not answer: ") + 300


@pytest.mark.parametrize(
    ("given", "connecting", "answering"),
    [
        ({}, 5.0, 10.0),
        ({"socket_timeout_s": 2.0}, 2.0, 2.0),
        ({"socket_timeout_s": None}, 5.0, None),
    ],
)
def test_nobody_waits_for_redis_longer_than_said_or_twice(
    given: dict[str, float | None], connecting: float, answering: float | None
) -> None:
    with connect("redis://localhost:1/0", **given) as line:
        options = line.connection_pool.connection_kwargs

    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (connecting, answering)
    assert options["retry"].get_retries() == 0


def test_what_is_no_url_of_redis_is_told() -> None:
    with pytest.raises(ConfigError, match="the Redis URL cannot be used: "):
        connect("http://localhost")
