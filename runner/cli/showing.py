"""`headrace show`, `headrace last`: one run, job or pipeline, whole."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace.cli.finding import MAY_BE_CUT, bounds, find, id_of, newest_run
from headrace.cli.installation_access import installation, settings_of
from headrace.cli.live_bar import progress_text
from headrace.cli.notifying import notifications_of, show_lateness
from headrace.cli.printing import (
    clock,
    elapsed,
    plain,
    print_json,
    print_table,
    public,
)
from headrace.cli.resolved_pipeline import show_pipeline
from headrace.errors import NotFound, UnknownPipeline
from headrace.model import exact_json
from headrace.observe.terminal_text import hanging, visible

if TYPE_CHECKING:
    from headrace.engine.application import Headrace


def show(given: argparse.Namespace) -> int:
    """Show a run or job, or, given a name, the pipeline with where each value came from."""
    if id_of(given.id) is None and _show_named(given):
        return 0
    with installation(given) as headrace:
        kind, row = find(headrace, given.id, run_first=True)
        if kind == "run":
            _show_run(headrace, row, given.json)
        else:
            _show_job(headrace, row, given.json)
    return 0


def last(given: argparse.Namespace) -> int:
    """Show the newest run, of a pipeline where one is named."""
    with installation(given) as headrace:
        _show_run(headrace, newest_run(headrace, given.pipeline), given.json)
    return 0


def _show_named(given: argparse.Namespace) -> bool:
    """Show the pipeline of this name, unless there is none."""
    try:
        show_pipeline(given.id, settings_of(given), given.json)
    except UnknownPipeline as unknown:
        if bounds(given.id) is not None:
            return False
        ids = f"`headrace runs` and `headrace jobs` list the ids of runs and jobs; {MAY_BE_CUT}"
        raise NotFound(f"{unknown}\n  hint: {ids}") from None
    return True


def _show_run(headrace: "Headrace", run: dict[str, Any], as_json: bool) -> None:
    jobs = headrace.with_progress(headrace.database.rows("jobs_of_run", run_id=run["id"]))
    parent = headrace.database.row("parent_of_run", id=run["id"])
    upstream = headrace.database.rows("upstream_of_run", id=run["id"])
    told = notifications_of(headrace, run["id"])
    if as_json:
        around = {"parent": parent, "upstream": upstream, "notifications": told}
        print_json({**public(run), **around, "jobs": [public(job) for job in jobs]})
        return
    _fields(run, ("id", "pipeline", "status", "trigger", "logical_date", "params", "version"))
    if parent:
        print(
            f"{'parent':14} run {parent['run_id']} of {parent['pipeline']}, step {parent['step']}"
        )
    _fields(run, ("created_at", "started_at", "finished_at", "error"))
    for one in upstream:
        print(f"{'after':14} {one['pipeline']} {one['id']} {one['status']}")
    print(f"{'took':14} {elapsed(run)}\n")
    _list_jobs(jobs)
    _list_progress(jobs)
    _list_children(headrace, run["id"])
    show_lateness(run, told)
    for job in jobs:
        if job["error"] and job["status"] != "completed":
            _block(f"error of {job['step']}", job["error"])
            _block(f"traceback of {job['step']}", job["traceback"])


def _list_jobs(jobs: Sequence[Mapping[str, Any]]) -> None:
    print_table(
        [
            (
                job["step"],
                job["job_class"],
                job["status"],
                job["queue"],
                job["attempt"],
                elapsed(job),
                job["id"],
            )
            for job in jobs
        ],
        ("STEP", "CLASS", "STATUS", "QUEUE", "ATTEMPT", "TOOK", "JOB"),
        "It has no steps.",
    )


def _list_progress(jobs: Sequence[Mapping[str, Any]]) -> None:
    """Say how far those of the jobs have got that run and say so."""
    for job in jobs:
        if job["progress"]:
            print(f"{job['step']}: {progress_text(job['progress'])}")


def _list_children(headrace: "Headrace", run_id: UUID) -> None:
    """List the runs that the run's steps have started, where there are any."""
    children = headrace.database.rows("children_of_run", run_id=run_id)
    if children:
        print()
        rows = [
            (one["step"], one["pipeline"], one["status"], elapsed(one), one["id"])
            for one in children
        ]
        print_table(rows, ("STEP", "PIPELINE", "STATUS", "TOOK", "RUN"), "")


def _show_job(headrace: "Headrace", job: dict[str, Any], as_json: bool) -> None:
    attempts = headrace.database.rows("attempts_of_job", id=job["id"])
    upstream = [
        row["upstream_id"] for row in headrace.database.rows("upstream_of_job", id=job["id"])
    ]
    (job,) = headrace.with_progress([job])
    if as_json:
        print_json({**public(job), "depends_on": upstream, "attempts": attempts})
        return
    _fields(job, ("id", "job_class", "status", "queue", "run_id", "pipeline", "step", "payload"))
    _fields(job, ("env", "attempt", "retry_count", "next_retry_time", "worker"))
    _fields(job, ("created_at", "queued_at", "started_at", "finished_at", "result"))
    _fields(job, ("child_run",))
    if upstream:
        print(f"{'depends_on':14} {', '.join(map(str, upstream))}")
    child = headrace.database.row("run", id=job["child_run"]) if job["child_run"] else None
    if job["progress"]:
        print(f"{'progress':14} {progress_text(job['progress'])}")
    print(f"{'took':14} {elapsed(child or job)}\n")
    print_table(
        [
            (
                one["attempt"],
                one["outcome"],
                one["worker"],
                one["started_at"],
                elapsed(one),
                one["error"],
            )
            for one in attempts
        ],
        ("ATTEMPT", "OUTCOME", "WORKER", "STARTED", "TOOK", "ERROR"),
        "It had no attempt.",
    )
    _block("error", job["error"])
    _block("traceback", job["traceback"])


def _fields(row: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        value = row.get(name)
        if value is not None and value != {}:
            print(f"{name:14} {hanging(_text(value), ' ' * 15)}")


def _text(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return clock(value)
    if isinstance(value, dict | list | tuple):
        return exact_json.dumps(value, default=plain, ensure_ascii=False)
    return str(value)


def _block(heading: str, text: str | None) -> None:
    if text:
        print(f"\n{heading}")
        for line in text.rstrip().splitlines():
            print(f"  {visible(line)}")
