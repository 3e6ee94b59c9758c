"""Routes about runs."""

from collections import defaultdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from headrace.model.status import RunStatus
from headrace.store import listings
from headrace.web.events import run_events
from headrace.web.jobs import Cursor, Installed, Limit, Word
from headrace.web.json_rows import Answer, found, page, public

router = APIRouter(prefix="/runs", tags=["runs"], default_response_class=Answer)


@router.get("", summary="List runs, newest first")
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


@router.get("/{run_id}", summary="One run with its jobs")
def show_run(run_id: str, headrace: Installed) -> Response:
    """Answer the run's row with `jobs`: their rows, and what each depends on.

    `parent` is the run and the step that started this one, null where none did; `upstream` are
    the runs that it came of, where other pipelines have triggered it.
    """
    row = found(headrace, "run", run_id)
    upstream: dict[Any, list[Any]] = defaultdict(list)
    for edge in headrace.database.rows("dependencies_of_run", run_id=row["id"]):
        upstream[edge["job_id"]].append(edge["upstream_id"])
    jobs = headrace.with_progress(headrace.database.rows("jobs_of_run", run_id=row["id"]))
    rows = [{**public(job), "depends_on": upstream[job["id"]]} for job in jobs]
    around = {
        "parent": headrace.database.row("parent_of_run", id=row["id"]),
        "upstream": headrace.database.rows("upstream_of_run", id=row["id"]),
    }
    return Answer({**public(row), **around, "jobs": rows})


@router.get(
    "/{run_id}/events",
    summary="Live events of a run (server-sent events)",
    responses={200: {"content": {"text/event-stream": {}}}},
)
def watch_run(run_id: str, request: Request, headrace: Installed) -> Response:
    """Answer events `run` and `job`, each with a row's state, and `end` at the run's end."""
    row = found(headrace, "run", run_id)
    state = request.app.state
    return StreamingResponse(
        run_events(headrace, row["id"], lambda: bool(state.stopping)),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


@router.post("/{run_id}/cancel", summary="Cancel a run that has not ended")
def cancel_run(run_id: str, headrace: Installed) -> Response:
    """Answer the run's row."""
    return Answer(public(headrace.interventions.cancel_run(run_id)))


@router.post("/{run_id}/retry", summary="Run the failed and cancelled steps again")
def retry_run(run_id: str, headrace: Installed) -> Response:
    """Answer the run's row; plan and logical date stay what they were."""
    return Answer(public(headrace.interventions.retry_run(run_id)))
