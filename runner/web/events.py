"""A run as it happens: server-sent events, fed by one query a poll."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import anyio
from anyio.to_thread import run_sync

from headrace.engine.application import Headrace
from headrace.errors import StoreUnavailable
from headrace.model.status import RUN_FINAL
from headrace.store.database import Row
from headrace.store.run_watch import RunWatch
from headrace.web.json_rows import to_json

POLL_S = 0.5
_LONGEST_S = 5.0
_HEARTBEAT_S = 10.0


async def run_events(
    headrace: Headrace,
    run_id: UUID,
    *,
    stopping: Callable[[], bool],
    allowed: Callable[[], bool] = lambda: True,
) -> AsyncIterator[str]:
    """Yield the run's and its jobs' states, then each change, until the run has ended.

    The events are `run` and `job`, and `end` last; comments keep the line open meanwhile and
    while PostgreSQL is away. The pause between polls grows with what a poll costs, so that a
    run of many thousand jobs takes no more of the database than a small one. Each poll asks
    whether the caller is still `allowed`; one that is not gets the `end`.
    """
    shown: dict[str, Any] = {}
    heartbeat = time.monotonic()
    pause_s = POLL_S
    watch = RunWatch(headrace.database, run_id)
    yield "retry: 2000\n\n"
    while not stopping():
        began = time.monotonic()
        try:
            row = await run_sync(lambda: _look(headrace, watch) if allowed() else None)
        except StoreUnavailable:
            pause_s = min(pause_s * 2, _LONGEST_S)
            yield ": PostgreSQL does not answer; waiting for it\n\n"
        else:
            changes = _changes(row, shown) if row else ""
            if row is None or row["status"] in RUN_FINAL:
                yield f"{changes}event: end\ndata: {{}}\n\n"
                return
            if changes or began - heartbeat >= _HEARTBEAT_S:
                heartbeat = began
                yield changes or ": still running\n\n"
            pause_s = min(max(POLL_S, 10 * (time.monotonic() - began)), _LONGEST_S)
        await _rest(pause_s, stopping)


def _look(headrace: Headrace, watch: RunWatch) -> Row | None:
    row = watch.look()
    return {**row, "jobs": headrace.with_progress(row["jobs"])} if row else None


async def _rest(pause_s: float, stopping: Callable[[], bool]) -> None:
    """Sleep in short pieces: a service that stops waits for nobody's long pause."""
    until = time.monotonic() + pause_s
    # The wish to stop comes from a signal handler, which can set no event of this loop.
    while not stopping() and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110
        await anyio.sleep(min(left, POLL_S))


def _changes(row: Row, shown: dict[str, Any]) -> str:
    """Return events for what is not as it was shown last, and remember it."""
    run = {name: value for name, value in row.items() if name != "jobs"}
    events = ""
    for kind, state in (("run", run), *(("job", job) for job in row["jobs"])):
        if shown.get(str(state["id"])) != state:
            shown[str(state["id"])] = state
            events += f"event: {kind}\ndata: {to_json(state)}\n\n"
    return events
