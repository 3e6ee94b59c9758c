"""SIGKILL of a worker in the midst of every writing job: a sample of `make chaos-writes`."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.store.embedded import Servers
from tests.support.kills import kills_on
from tests.support.places import NotInstalled, Server, debian_programs, second_server

_ROUNDS = 2


@pytest.fixture
def other() -> Iterator[Server]:
    try:
        with second_server(debian_programs()) as server:
            yield server
    except NotInstalled as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_write_whose_worker_is_killed_is_there_once_in_the_end_and_never_seen_in_part(
    database: str, redis_url: str, other: Server, tmp_path: Path
) -> None:
    seed, servers = random.randrange(10**6), Servers(database, redis_url)
    with kills_on(servers, other, tmp_path, rows=500, seed=seed) as (cluster, kills):
        for _ in range(_ROUNDS):
            kills.round()
        assert kills.wrong == [], f"seed {seed}"
        assert sum(kills.hit.values()) > len(kills.writes) / 2, "the worker died too late"
        assert all(one.looks for one in kills.writes)
        cluster.check()
