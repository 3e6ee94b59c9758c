"""Routes about runs."""

from collections import defaultdict
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from headrace.engine.access.audit import concerns
from headrace.engine.application import Headrace
from headrace.model.caller import Role
from headrace.model.status import RunStatus
from headrace.store import listings
from headrace.store.run_watch import moment
from headrace.web.events import run_events
from headrace.web.guard import CALLER
from headrace.web.jobs import Cursor, Installed, Limit, Word
from headrace.web.json_rows import Answer, found, id_of, page, public
from headrace.web.roles import needs

JobLimit = Annotated[int, Query(ge=1, le=1000, description="Greatest number of jobs on one page")]
Since = Annotated[
    datetime | None, Query(description="The `as_of` of an earlier answer: only what changed since")
]

router = APIRouter(prefix="/runs", tags=["runs"], default_response_class=Answer)


@router.get("", summary="List runs, newest first", openapi_extra=needs(Role.VIEWER))
def list_runs(
    headrace: Installed,
    status: RunStatus | None = None,
    pipeline: Word = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Answer one page."""
    return Answer(
        page(
            lambda before, most: listings.list_runs(
                headrace.database, before=before, limit=most, status=status, pipeline=pipeline
            ),
            cursor,
            limit,
        )
    )


@router.get("/{run_id}", summary="One run with its jobs", openapi_extra=needs(Role.VIEWER))
def show_run(
    run_id: str, headrace: Installed, limit: JobLimit = 500, changed_since: Since = None
) -> Response:
    """Answer the run's row, how many jobs have which status, and the first page of its jobs.

    `jobs` are their rows and what each depends on; `next` is the cursor of the next page, null on
    the last one. `parent` is the run and the step that started this one, null where none did;
    `upstream` are the runs that it came of, where other pipelines have triggered it;
    `notifications` say who was told of it.
    `as_of` is for `changed_since`: whoever has seen the jobs asks for what has changed.
    """
    as_of = moment(headrace.database)
    row = found(headrace, "run", run_id)
    counts = headrace.database.rows("counts_of_run", run_id=row["id"])
    jobs = _page(headrace, row["id"], None, limit, changed_since)
    around = {
        "parent": headrace.database.row("parent_of_run", id=row["id"]),
        "upstream": headrace.database.rows("upstream_of_run", id=row["id"]),
        "notifications": headrace.database.rows("notifications_of_run", run_id=row["id"]),
        "counts": {one["status"]: one["jobs"] for one in counts},
        "as_of": as_of,
    }
    return Answer({**public(row), **around, "jobs": jobs["items"], "next": jobs["next"]})


@router.get(
    "/{run_id}/jobs",
    summary="The jobs of a run, in the order of their ids",
    openapi_extra=needs(Role.VIEWER),
)
def list_jobs_of_run(
    run_id: str,
    headrace: Installed,
    limit: JobLimit = 500,
    cursor: Cursor = None,
    changed_since: Since = None,
) -> Response:
    """Answer one page; `changed_since` is the `as_of` of an earlier answer."""
    as_of = moment(headrace.database)
    row = found(headrace, "run", run_id)
    page = _page(headrace, row["id"], id_of(cursor), limit, changed_since)
    return Answer({**page, "as_of": as_of})


def _page(
    headrace: Headrace, run_id: UUID, after: UUID | None, limit: int, since: datetime | None
) -> dict[str, Any]:
    rows = headrace.database.rows(
        "page_of_run", run_id=run_id, after=after, limit=limit + 1, since=since
    )
    jobs = headrace.with_progress(rows[:limit])
    upstream: dict[Any, list[Any]] = defaultdict(list)
    for edge in headrace.database.rows("dependencies_of_jobs", ids=[job["id"] for job in jobs]):
        upstream[edge["job_id"]].append(edge["upstream_id"])
    items = [{**public(job), "depends_on": upstream[job["id"]]} for job in jobs]
    return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}


@router.get(
    "/{run_id}/events",
    summary="Live events of a run (server-sent events)",
    responses={200: {"content": {"text/event-stream": {}}}},
    openapi_extra=needs(Role.VIEWER),
)
def watch_run(run_id: str, request: Request, headrace: Installed) -> Response:
    """Answer events `run` and `job`, each with a row's state, and `end` at the run's end.

    It also ends when the caller's session or token does.
    """
    row = found(headrace, "run", run_id)
    state, caller = request.app.state, getattr(request.state, CALLER)
    return StreamingResponse(
        run_events(
            headrace,
            row["id"],
            stopping=lambda: bool(state.stopping),
            allowed=lambda: state.access.sessions.is_still_allowed(caller),
        ),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


@router.post(
    "/{run_id}/cancel",
    summary="Cancel a run that has not ended",
    openapi_extra=needs(Role.OPERATOR, "cancel"),
)
def cancel_run(run_id: str, headrace: Installed) -> Response:
    """Answer the run's row."""
    row = headrace.interventions.cancel_run(run_id)
    concerns("run", [row["id"]])
    return Answer(public(row))


@router.post(
    "/{run_id}/retry",
    summary="Run the failed and cancelled steps again",
    openapi_extra=needs(Role.OPERATOR, "retry"),
)
def retry_run(run_id: str, headrace: Installed) -> Response:
    """Answer the run's row; plan and logical date stay what they were."""
    row = headrace.interventions.retry_run(run_id)
    concerns("run", [row["id"]])
    return Answer(public(row))
