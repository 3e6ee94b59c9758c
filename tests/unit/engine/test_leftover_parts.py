"""Parts of the look that follows each job: what is noted, ended and told."""

import signal
import sys
from types import ModuleType
from typing import Any

import pytest

from headrace.engine.workers import job_leftovers, noted_changes, process_aspects
from headrace.engine.workers.noted_changes import NotedChanges
from headrace.queue.process_tree import Process


def test_processes_that_take_a_moment_to_die_are_told_once_and_killed_until_they_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = (Process(pid, 1, 1, zombie=False) for pid in (7, 8))
    dead = Process(9, 1, 1, zombie=True)
    looks = [[first, second, dead], [second, dead], [dead]]
    killed: list[int] = []
    monkeypatch.setattr(job_leftovers, "descendants", lambda _pid: looks.pop(0))
    monkeypatch.setattr(job_leftovers, "kill", lambda one: killed.append(one.pid))
    monkeypatch.setattr(job_leftovers, "reap_adopted", lambda: None)
    # There are children, of which nothing more is known.
    monkeypatch.setattr("headrace.engine.workers.job_leftovers.os.waitid", lambda *_given: None)

    assert list(job_leftovers._end_processes()) == ["processes"]

    assert killed == [7, 8, 8]
    assert looks == []


def test_a_call_of_a_function_is_noted_and_made_and_one_that_a_system_lacks_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(noted_changes, "_looked_up", [])
    monkeypatch.delitem(sys.modules, "_cffi_backend", raising=False)
    module = ModuleType("limits")
    called: list[tuple[int, int]] = []

    def put(limit: int, *, most: int) -> str:
        called.append((limit, most))
        return "put"

    module.put = put  # type: ignore[attr-defined]
    changes = NotedChanges(module, "put", "of_linux_alone")

    assert not hasattr(module, "of_linux_alone")
    seen = [changes.possible]
    assert module.put(7, most=8) == "put"
    assert called == [(7, 8)]
    seen.append(changes.possible)
    changes.forget()
    assert [*seen, changes.possible] == [False, True, False]


def test_only_a_handler_that_has_changed_and_that_python_knows_is_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # None is what a library of C has set.
    first, second, *others = process_aspects._SIGNALS
    present: dict[int, Any] = {first: None, second: signal.SIG_IGN, **dict.fromkeys(others, 0)}
    put: list[tuple[int, Any]] = []
    monkeypatch.setattr(process_aspects, "_getsignal", present.get)
    monkeypatch.setattr(
        "headrace.engine.workers.process_aspects.signal.signal", lambda *given: put.append(given)
    )

    process_aspects._put_handlers([None, signal.SIG_IGN, *[0] * len(others)])
    assert put == []
    present[first] = signal.SIG_IGN
    process_aspects._put_handlers([None, signal.SIG_DFL, *[0] * len(others)])
    assert put == [(second, signal.SIG_DFL)]
