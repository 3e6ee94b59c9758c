"""Which queues `headrace run` finds served, so that it brings no worker of its own."""

import os
import socket
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import running

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def served(monkeypatch: pytest.MonkeyPatch, *workers: dict[str, Any]) -> set[str]:
    """Return what one worker of each kind is found to serve."""
    own: dict[str, Any] = {
        "status": "running", "seen_at": NOW, "hostname": socket.gethostname(),
        "pid": os.getpid(), "queues": [],
    }  # fmt: skip
    monkeypatch.setattr(running, "outdated", lambda *_: [])
    monkeypatch.setattr(running, "print_outdated", lambda _: None)
    database = SimpleNamespace(
        row=lambda name: {"clock": {"now": NOW}}[name],
        rows=lambda name: {"workers": [own | one for one in workers]}[name],
    )
    headrace: Any = SimpleNamespace(database=database)
    return running._served_queues(headrace)


def test_queues_of_living_workers_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    just, late = NOW - timedelta(seconds=10), NOW - timedelta(seconds=10.1)
    ended = os.spawnv(os.P_NOWAIT, "/bin/true", ["true"])
    os.waitpid(ended, 0)

    found = served(
        monkeypatch,
        {"queues": ["here", "also"]},
        {"queues": ["just"], "seen_at": just},
        {"queues": ["late"], "seen_at": late},
        {"queues": ["ends"], "status": "stopping"},
        {"queues": ["gone"], "pid": ended},
        {"queues": ["there"], "pid": ended, "hostname": "elsewhere"},
        {"queues": ["silent"], "pid": ended, "hostname": "elsewhere", "seen_at": late},
    )

    assert found == {"here", "also", "just", "there"}
