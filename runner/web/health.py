"""Routes for orchestrators and for Prometheus."""

from datetime import datetime
from typing import Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from headrace.engine.application import Headrace
from headrace.engine.operations.glance import SILENCE_S
from headrace.errors import HeadraceError, SchemaMismatch
from headrace.model.caller import Role
from headrace.observe.exposition import Metrics
from headrace.queue.process import has_ended
from headrace.store.database import Row
from headrace.store.migrations import look
from headrace.store.waiting import within
from headrace.store.writable import demand_writes
from headrace.web.error_answers import RETRY_AFTER_S
from headrace.web.guard import CALLER
from headrace.web.jobs import installed
from headrace.web.json_rows import Answer
from headrace.web.roles import needs

# A server that has not said anything for this long is not ready.
_READY_S = 2.0

router = APIRouter(tags=["health"], default_response_class=Answer)


@router.get("/health/live", summary="Whether the process answers", openapi_extra=needs(None))
async def live() -> Response:
    """Ask no server: a restart of this process would cure none."""
    return Answer({"status": "live"})


@router.get("/health/ready", summary="Whether requests can be served", openapi_extra=needs(None))
async def ready(request: Request) -> Response:
    """Answer 503 with what is missing while PostgreSQL or Redis cannot be used.

    PostgreSQL has to take writes: a standby, or a server whose disk is full, is not ready.

    Whether a daemon leads and how many workers live is told, but keeps nobody from
    dispatching: their work waits. Who has no token learns one word.
    """
    # Not behind the requests that wait for the very server that is asked about.
    limiter = request.app.state.health_threads
    whole = getattr(request.state, CALLER, None) is not None
    return await anyio.to_thread.run_sync(_readiness, installed(request), whole, limiter=limiter)


def _readiness(headrace: Headrace, whole: bool) -> Response:
    state: dict[str, Any] = {"status": "ready", "missing": {}}
    try:
        with within(_READY_S):
            state |= _database_state(headrace)
    except SchemaMismatch as error:
        state["missing"]["schema"] = str(error)
    except HeadraceError as error:
        state["missing"]["postgresql"] = str(error)
    try:
        headrace.sender.ping()
    except HeadraceError as error:
        state["missing"]["redis"] = str(error)
    missing = bool(state["missing"])
    if missing:
        state["status"] = "unready"
    told = state if whole else {"status": state["status"]}
    if not missing:
        return Answer(told)
    return Answer(told, status_code=503, headers={"Retry-After": str(RETRY_AFTER_S)})


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=PlainTextResponse,
    openapi_extra=needs(Role.VIEWER),
)
def metrics(request: Request) -> Response:
    """Answer Prometheus' text, or OpenMetrics' where it is asked for, compressed if accepted.

    Servers that do not answer are `headrace_up` 0.
    """
    kept: Metrics = request.app.state.metrics
    told = kept.exposition(
        request.headers.get("accept", ""), request.headers.get("accept-encoding", "")
    )
    headers = {"Content-Type": told.content_type, "Vary": "Accept, Accept-Encoding"}
    if told.encoding:
        headers["Content-Encoding"] = told.encoding
    return Response(told.body, headers=headers)


def _database_state(headrace: Headrace) -> dict[str, Any]:
    with headrace.database.transaction() as tx:
        schema = look(tx.connection)
        schema.require()
        workers = tx.rows("workers")
        leader = tx.row("leader")
        clock = tx.row("clock")
        demand_writes(tx)
    assert clock is not None
    return {
        "schema": schema.version,
        "leader": _leads(leader),
        "workers": sum(_lives(row, clock["now"]) for row in workers),
    }


def _leads(leader: Row | None) -> bool | str:
    """Return whether a daemon is active, `late` if it should have renewed its lease.

    `late` is reported, but does not make the service unready: it serves requests all the same. The
    lease of a process that has died on this host counts for nothing.
    """
    if leader is None:
        return False
    if leader["late"]:
        return "late"
    return bool(leader["live"]) and not has_ended(leader["holder"])


def _lives(worker: Row, now: datetime) -> bool:
    """Return whether a worker has been heard of lately; not in a time that is still to come."""
    if worker["status"] not in ("running", "draining") or has_ended(worker["name"]):
        return False
    return bool(abs((now - worker["seen_at"]).total_seconds()) <= SILENCE_S)
