"""A child that is forked: how it ends, whatever goes on in it."""

import logging
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from headrace.queue.child import Child, spawn
from headrace.queue.shared_memory import ChildRecords
from headrace.queue.traces import Traces


def spawned(run_child: Callable[[Any], None], forget_parent: Callable[[], None]) -> int:
    """Fork a child, and return how it has ended."""
    hooks: Any = SimpleNamespace(
        about_to_fork=lambda _index: None, forked=lambda _index: None, run_child=run_child
    )
    child: Child = spawn(0, ChildRecords(1), Traces(1), hooks, forget_parent)
    assert os.getpgid(child.pid) == child.pid, "it leads a group from the first moment"
    _, status = os.waitpid(child.pid, 0)
    return os.waitstatus_to_exitcode(status)


def fails() -> None:
    raise RuntimeError("no such server")


def leaves(_record: Any) -> None:
    raise SystemExit(0)


def test_a_child_that_has_done_its_work_ends_without_the_parent_s_clean_up() -> None:
    assert spawned(lambda _record: None, lambda: None) == 0
    assert spawned(leaves, lambda: None) == 1, "that is no end of a worker's child"


def test_a_child_that_fails_says_why_and_ends() -> None:
    reader, writer = os.pipe()
    log = logging.getLogger("headrace.worker")
    with os.fdopen(reader) as told:
        with os.fdopen(writer, "w") as to_us:
            handler = logging.StreamHandler(to_us)
            log.addHandler(handler)
            try:
                assert spawned(lambda _record: None, fails) == 1
            finally:
                log.removeHandler(handler)
        lines = told.read().splitlines()

    assert lines[0] == "a worker process failed"
    assert lines[-1] == "RuntimeError: no such server"
