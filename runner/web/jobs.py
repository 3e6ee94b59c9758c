"""Routes about single jobs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from headrace.engine.access.audit import concerns
from headrace.engine.application import Headrace
from headrace.model.caller import Role
from headrace.model.status import JobStatus
from headrace.store import listings
from headrace.store.database import Row
from headrace.web.demonstration import create_demonstration
from headrace.web.json_rows import Answer, found, page, public
from headrace.web.request_bodies import ExactRoute, IdempotencyKey, NewJob
from headrace.web.roles import needs

Word = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Greatest number of rows on one page")]
Cursor = Annotated[str | None, Query(max_length=64, description="The `next` of the previous page")]


def installed(request: Request) -> Headrace:
    """Return the installation that this app serves."""
    headrace: Headrace = request.app.state.headrace
    return headrace


def usable(request: Request) -> Headrace:
    """Return the installation, whose schema this version can work with; asked once.

    Raises:
        StoreUnavailable, SchemaMismatch: Answered with 503.
    """
    headrace = installed(request)
    _ = headrace.keys
    return headrace


Installed = Annotated[Headrace, Depends(usable)]

router = APIRouter(tags=["jobs"], default_response_class=Answer, route_class=ExactRoute)


@router.post(
    "/create-jobs/",
    status_code=201,
    summary="Dispatch the demonstration set",
    openapi_extra=needs(Role.ADMIN, "create-jobs"),
)
def create_jobs(headrace: Installed) -> Response:
    """Seven jobs on three queues; what needs another's table depends on it.

    404 in a project without the set's script `users.sql`, as that of `headrace init`.
    """
    rows = create_demonstration(headrace)
    concerns("job", (row["id"] for row in rows))
    return Answer({"items": [public(row) for row in rows], "next": None}, status_code=201)


@router.post(
    "/jobs", status_code=201, summary="Dispatch a job", openapi_extra=needs(Role.ADMIN, "dispatch")
)
def dispatch_job(body: NewJob, headrace: Installed, header: IdempotencyKey = None) -> Response:
    """Answer the job's row; a second dispatch with one idempotency key, the first one's.

    The key is that of the body, or the header `Idempotency-Key`.
    """
    row = headrace.dispatcher.dispatch_row(
        body.job,
        body.with_,
        queue=body.queue,
        depends_on=body.depends_on,
        retry=body.retry,
        timeout=body.timeout,
        idempotency_key=body.idempotency_key or header,
    )
    concerns("job", [row["id"]])
    return Answer(public(row), status_code=201)


@router.get("/jobs", summary="List jobs, newest first", openapi_extra=needs(Role.VIEWER))
def list_jobs(
    headrace: Installed,
    status: JobStatus | None = None,
    queue: Word = None,
    pipeline: Word = None,
    job_class: Word = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Answer one page."""
    wanted = {"status": status, "queue": queue, "pipeline": pipeline, "job_class": job_class}
    return Answer(
        page(
            lambda before, most: listings.list_jobs(
                headrace.database, before=before, limit=most, **wanted
            ),
            cursor,
            limit,
        )
    )


@router.get(
    "/job-status/{job_id}", summary="One job", name="job_status", openapi_extra=needs(Role.VIEWER)
)
@router.get("/jobs/{job_id}", summary="One job", openapi_extra=needs(Role.VIEWER))
def show_job(job_id: str, headrace: Installed) -> Response:
    """Answer the job's row, the ids of the jobs that it depends on, and what those are."""
    return Answer(_with_upstream(headrace, found(headrace, "job", job_id)))


@router.get("/jobs/{job_id}/attempts", summary="A job's attempts", openapi_extra=needs(Role.VIEWER))
def list_attempts(job_id: str, headrace: Installed) -> Response:
    """Answer every attempt so far, the first one first."""
    row = found(headrace, "job", job_id)
    items = headrace.database.rows("attempts_of_job", id=row["id"])
    return Answer({"items": items, "next": None})


@router.get("/jobs/{job_id}/logs", summary="A job's log lines", openapi_extra=needs(Role.VIEWER))
def list_logs(job_id: str, headrace: Installed) -> Response:
    """Answer what the job logged, in order."""
    row = found(headrace, "job", job_id)
    items = headrace.database.rows("logs_of_job", id=row["id"])
    return Answer({"items": items, "next": None})


@router.post(
    "/jobs/{job_id}/retry",
    summary="Run a failed or cancelled job again",
    openapi_extra=needs(Role.OPERATOR, "retry"),
)
def retry_job(job_id: str, headrace: Installed) -> Response:
    """Answer the job's row."""
    row = headrace.interventions.retry_job(job_id)
    concerns("job", [row["id"]])
    return Answer(public(row))


@router.post(
    "/jobs/{job_id}/cancel",
    summary="Cancel a job that has not ended",
    openapi_extra=needs(Role.OPERATOR, "cancel"),
)
def cancel_job(job_id: str, headrace: Installed) -> Response:
    """Answer the job's row."""
    row = headrace.interventions.cancel_job(job_id)
    concerns("job", [row["id"]])
    return Answer(public(row))


def _with_upstream(headrace: Headrace, row: Row) -> Row:
    upstream = headrace.database.rows("upstream_of_job", id=row["id"])
    ids = [one["upstream_id"] for one in upstream]
    (live,) = headrace.with_progress([row])
    return {**public(live), "depends_on": ids, "upstream": upstream}
