"""Connections to Redis that are kept between exchanges."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import NoScriptError, ResponseError

from headrace.queue import kept_connections
from headrace.queue.connect import connect
from headrace.queue.kept_connections import KeptConnections

WHO = b"*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n"
PING = b"*1\r\n$4\r\nPING\r\n"
WRONG = b"*1\r\n$5\r\nWRONG\r\n"
UNKNOWN = b"*3\r\n$7\r\nEVALSHA\r\n$40\r\n" + b"0" * 40 + b"\r\n$1\r\n0\r\n"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as found:
        yield found


@pytest.fixture
def lines(client: redis.Redis) -> KeptConnections:
    return KeptConnections(client)


def test_exchanges_one_after_the_other_share_a_connection(lines: KeptConnections) -> None:
    first = lines.exchange(WHO)
    with pytest.raises(NoScriptError):
        lines.exchange(UNKNOWN)

    assert lines.exchange(WHO) == first


def test_a_connection_that_the_server_has_closed_is_replaced(
    lines: KeptConnections, client: redis.Redis
) -> None:
    first = lines.exchange(WHO)
    client.client_kill_filter(_id=str(first))

    assert lines.exchange(WHO) != first


def test_a_refused_command_leaves_no_answer_for_the_next_one(lines: KeptConnections) -> None:
    with pytest.raises(ResponseError, match="unknown command"):
        lines.exchange(WRONG)

    assert isinstance(lines.exchange(WHO), int)


def test_an_answer_that_comes_too_late_is_no_other_command_s(
    lines: KeptConnections, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines.exchange(WHO)

    def interrupted(*_given: Any, **_named: Any) -> None:
        raise KeyboardInterrupt

    # The answer is not there yet when the next exchange looks for one.
    monkeypatch.setattr(kept_connections, "_usable", lambda _connection: True)
    with monkeypatch.context() as patched:
        patched.setattr(client.connection_pool.connection_class, "read_response", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lines.exchange(WHO)

    assert lines.exchange(PING) in ("PONG", b"PONG")


def test_a_forked_process_leaves_its_parents_connection_alone(lines: KeptConnections) -> None:
    first = lines.exchange(WHO)
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(write, str(lines.exchange(WHO)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 99) not in (b"", str(first).encode())
    assert lines.exchange(WHO) == first
    os.close(read)
    os.close(write)


def test_all_connections_are_closed_with_their_client(
    lines: KeptConnections, client: redis.Redis, redis_url: str
) -> None:
    kept = lines.exchange(WHO)
    client.close()

    with connect(redis_url) as other:
        assert str(kept) not in {one["id"] for one in other.client_list()}
