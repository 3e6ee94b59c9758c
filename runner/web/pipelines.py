"""Routes about pipelines."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from headrace.engine.access.audit import concerns
from headrace.engine.application import Headrace
from headrace.engine.operations.backfill import backfill, bounds
from headrace.engine.scheduling.trigger_params import trigger_row
from headrace.model.caller import Role
from headrace.model.pipeline import Pipeline, Step
from headrace.model.status import Trigger
from headrace.plan.due import next_instants
from headrace.store.database import Row
from headrace.web.error_answers import problem_row
from headrace.web.jobs import Installed, Limit
from headrace.web.json_rows import Answer, public
from headrace.web.request_bodies import BackfillRange, ExactRoute, IdempotencyKey, NewRun
from headrace.web.roles import needs

_UPCOMING = 5
_LATEST = 10

router = APIRouter(
    prefix="/pipelines",
    tags=["pipelines"],
    default_response_class=Answer,
    route_class=ExactRoute,
)


@router.get(
    "", summary="List pipelines, and problems of their files", openapi_extra=needs(Role.VIEWER)
)
def list_pipelines(
    headrace: Installed,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """Answer one page of active pipelines, by name, with their schedules and last runs.

    `count` is the number of all. `problems` has what is wrong with files; `broken` pipelines are
    active as they were.
    """
    _look(headrace, sparing=True)
    known = headrace.pipelines.by_name
    names = sorted(known)
    start = 0 if cursor is None else bisect_right(names, cursor)
    shown = [known[name] for name in names[start : start + limit]]
    state = _State(headrace, shown)
    more = start + limit < len(names)
    return Answer(
        {
            "items": [state.row(pipeline) for pipeline in shown],
            "next": shown[-1].name if more else None,
            "count": len(names),
            "problems": [problem_row(problem) for problem in headrace.pipelines.problems],
        }
    )


@router.get("/{name}", summary="One pipeline", openapi_extra=needs(Role.VIEWER))
def show_pipeline(name: str, headrace: Installed) -> Response:
    """Answer the pipeline with its steps, parameters and next instants.

    `triggered` says what became of the newest runs that it waits for.
    """
    pipeline = _pipeline(headrace, name)
    row = _State(headrace, [pipeline]).row(pipeline)
    row["steps"] = [_step_row(step) for step in pipeline.steps]
    row["handlers"] = [_step_row(step) for step in pipeline.handlers]
    row["concurrency"] = pipeline.concurrency and asdict(pipeline.concurrency)
    row["triggered"] = headrace.database.rows(
        "last_triggered", pipelines=[pipeline.name], limit=_LATEST
    )
    row["next_instants"] = _upcoming(pipeline, _UPCOMING)
    row["problems"] = [
        problem_row(problem) for problem in headrace.pipelines.problems_of(pipeline.name)
    ]
    return Answer(row)


@router.post(
    "/{name}/runs",
    status_code=201,
    summary="Start a run",
    openapi_extra=needs(Role.OPERATOR, "run"),
)
def start_run(
    name: str,
    headrace: Installed,
    body: NewRun | None = None,
    key: IdempotencyKey = None,
) -> Response:
    """Answer the run's row; a second request with one `Idempotency-Key`, the first one's."""
    given = body or NewRun(logical_date=None)
    _pipeline(headrace, name)
    row = headrace.start_run(
        name,
        given.params,
        trigger=Trigger.API,
        logical_date=given.logical_date,
        idempotency_key=key,
    )
    concerns("run", [row["id"]])
    return Answer(public(row), status_code=201)


@router.post(
    "/{name}/pause",
    summary="Stop its schedule and trigger",
    openapi_extra=needs(Role.OPERATOR, "pause"),
)
def pause_pipeline(name: str, headrace: Installed) -> Response:
    """Answer the pipeline."""
    pipeline = _pipeline(headrace, name)
    headrace.interventions.pause(pipeline.name)
    return Answer(_State(headrace, [pipeline]).row(pipeline))


@router.post(
    "/{name}/resume",
    summary="Resume its schedule and trigger",
    openapi_extra=needs(Role.OPERATOR, "resume"),
)
def resume_pipeline(name: str, headrace: Installed) -> Response:
    """Answer the pipeline; what fell due meanwhile is not made up for."""
    pipeline = _pipeline(headrace, name)
    headrace.interventions.resume(pipeline.name)
    return Answer(_State(headrace, [pipeline]).row(pipeline))


@router.post(
    "/{name}/backfill",
    status_code=201,
    summary="Create the missing runs of a period",
    responses={200: {"description": "With `dry_run`: the runs that would be created"}},
    openapi_extra=needs(Role.OPERATOR, "backfill"),
)
def backfill_pipeline(name: str, body: BackfillRange, headrace: Installed) -> Response:
    """Answer the runs that were started; an instant that has a run gets no second one."""
    pipeline = _pipeline(headrace, name)
    start, end = bounds(pipeline, body.from_, body.to)
    rows = backfill(headrace, name, start, end, dry_run=body.dry_run)
    items = [public(row) for row in rows]
    if not body.dry_run:
        concerns("run", (row["id"] for row in rows))
    return Answer({"items": items, "next": None}, status_code=200 if body.dry_run else 201)


class _State:
    """The database's rows about some pipelines, read in two queries."""

    def __init__(self, headrace: Headrace, shown: Iterable[Pipeline]) -> None:
        names = [pipeline.name for pipeline in shown]
        self._broken = headrace.pipelines.staying
        self._schedules = {
            row["pipeline"]: row for row in headrace.database.rows("schedules_of", pipelines=names)
        }
        self._last = {
            row["pipeline"]: row for row in headrace.database.rows("last_runs", pipelines=names)
        }

    def row(self, pipeline: Pipeline) -> Row:
        """Return a pipeline as the listing shows it."""
        schedule: Mapping[str, Any] = self._schedules.get(pipeline.name, {})
        upcoming = schedule.get("next_instant") or next(iter(_upcoming(pipeline, 1)), None)
        return {
            "name": pipeline.name,
            "description": pipeline.description,
            "file": pipeline.file,
            "version": pipeline.version,
            "broken": pipeline.name in self._broken,
            "schedules": [asdict(one) for one in pipeline.schedules],
            "trigger": trigger_row(pipeline.trigger),
            "params": [asdict(param) for param in pipeline.params],
            "steps": len(pipeline.steps),
            "next_instant": upcoming if pipeline.schedules else None,
            "paused": schedule.get("paused", False),
            "skipped": schedule.get("skipped", 0),
            "last_run": self._last.get(pipeline.name),
        }


def _look(headrace: Headrace, *, sparing: bool = False) -> None:
    """Have in force what the daemon has, whether this process has seen it valid or not."""
    headrace.pipelines.refresh(sparing=sparing)
    headrace.keep_last_good()


def _pipeline(headrace: Headrace, name: str) -> Pipeline:
    _look(headrace)
    return headrace.pipelines.get(name)


def _step_row(step: Step) -> Row:
    """Return a step in the YAML's words."""
    row = asdict(step)
    return {"with" if key == "with_" else key: value for key, value in row.items()}


def _upcoming(pipeline: Pipeline, count: int) -> list[datetime]:
    now = datetime.now(UTC)
    instants = {
        instant
        for schedule in pipeline.schedules
        for instant in next_instants(schedule, now, count)
    }
    return sorted(instants)[:count]
