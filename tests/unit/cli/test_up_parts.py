"""Which processes `up` has, which it starts at a moment, and which a run brings that finds none."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import running, services
from headrace.cli.supervisor import Part, Supervisor
from headrace.declarations.config import Settings

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


@pytest.mark.parametrize(
    ("missing", "workers", "names"),
    [
        (running._DAEMON, 2, ["repairs"]),
        (running._WORKER, 2, ["worker 1", "worker 2"]),
        (running._WORKER, 0, ["worker 1"]),
        (running._DAEMON + running._WORKER, 1, ["repairs", "worker 1"]),
    ],
)
def test_a_run_brings_what_is_missing_and_tells_of_its_jobs_itself(
    missing: int, workers: int, names: list[str], tmp_path: Path
) -> None:
    settings = Settings(tmp_path, tmp_path, tmp_path, workers=workers)
    loaded: list[str] = []
    headrace: Any = SimpleNamespace(
        settings=settings,
        registry=SimpleNamespace(names=lambda: loaded.append("classes")),
        load_hooks=lambda: loaded.append("hooks"),
    )

    parts = running._own_parts(headrace, missing)

    assert [part.name for part in parts] == names
    assert loaded == ["classes", "hooks"]
    assert headrace.settings.log_level == "error"


def test_of_the_parts_those_are_started_that_have_ended_long_enough_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headrace.cli.supervisor.time.monotonic", lambda: 100.0)
    parts = [Part(name, lambda: 0) for name in ("due", "just due", "waits", "lives")]
    for part, start_at in zip(parts, (0.0, 100.0, 100.5, 0.0), strict=True):
        part.start_at = start_at
    parts[3].pid = 7
    started: list[str] = []
    tree = Supervisor(parts)
    monkeypatch.setattr(tree, "_fork", lambda part: started.append(part.name))

    tree._start_due()

    assert started == ["due", "just due"]
    assert tree._pause() == 0.0
