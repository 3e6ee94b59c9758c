"""What Redis says when it cannot be used, in a sentence with its cause."""

import pytest
from redis import exceptions

from headrace.errors import QueueUnavailable
from headrace.queue.connect import reported, unavailable

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
    (exceptions.ResponseError("unknown command 'COPY'"), "refused"),
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
