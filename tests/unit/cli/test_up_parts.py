"""Which processes `up` has."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import services

_POSTGRESQL, _REDIS = "postgresql://h/d", "redis://h/0"


@pytest.mark.parametrize(
    ("database_url", "redis_url", "own"),
    [
        (None, None, ["servers"]),
        (_POSTGRESQL, None, ["servers"]),
        (None, _REDIS, ["servers"]),
        (_POSTGRESQL, _REDIS, []),
    ],
)
@pytest.mark.parametrize("web", [True, False])
def test_up_keeps_servers_where_one_is_its_own_and_a_page_where_there_is_a_port(
    database_url: str | None, redis_url: str | None, own: list[str], web: bool
) -> None:
    settings = SimpleNamespace(database_url=database_url, redis_url=redis_url, workers=2)
    headrace: Any = SimpleNamespace(settings=settings)
    listener: Any = object() if web else None

    names = [part.name for part in services._all_parts(headrace, listener)]

    assert names == [*own, "daemon", "worker 1", "worker 2", *(["web"] if web else [])]
