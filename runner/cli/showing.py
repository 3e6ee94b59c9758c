"""`headrace show`, `headrace logs`: one run, job or pipeline, whole."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace.cli.installation_access import installation, settings_of
from headrace.cli.live_bar import progress_text
from headrace.cli.notifying import notifications_of, show_lateness
from headrace.cli.printing import (
    clock,
    elapsed,
    plain,
    print_items,
    print_json,
    print_table,
    public,
)
from headrace.cli.resolved_pipeline import show_pipeline
from headrace.errors import NotFound, UnknownPipeline
from headrace.model import exact_json
from headrace.model.duration import format_duration
from headrace.observe.terminal_text import hanging, visible

if TYPE_CHECKING:
    from headrace.engine.application import Headrace

# What sets off the further lines of a message.
_FURTHER = " " * 18 + "| "


def show(given: argparse.Namespace) -> int:
    """Show a run or job, or, given a name, the pipeline with where each value came from."""
    if not _is_id(given.id):
        return _show_named(given)
    with installation(given) as headrace:
        kind, row = find(headrace, given.id)
        if kind == "run":
            _show_run(headrace, row, given.json)
        else:
            _show_job(headrace, row, given.json)
    return 0


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _show_named(given: argparse.Namespace) -> int:
    try:
        show_pipeline(given.id, settings_of(given), given.json)
    except UnknownPipeline as unknown:
        ids = "`headrace runs` and `headrace jobs` list the ids of runs and jobs"
        raise NotFound(f"{unknown}\n  hint: {ids}") from None
    return 0


def find(headrace: "Headrace", text: str) -> tuple[str, dict[str, Any]]:
    """Return what an id names: `run` or `job` with its row; `pipeline` for the name of one.

    Raises:
        NotFound: Nothing has this id or name.
    """
    try:
        wanted = UUID(text)
    except ValueError:
        if text in headrace.pipelines.by_name:
            return "pipeline", {}
        raise NotFound(
            f'"{text}" is neither an id nor a pipeline;'
            " `headrace runs` and `headrace jobs` list ids"
        ) from None
    for kind in ("run", "job"):
        row = headrace.database.row(kind, id=wanted)
        if row is not None:
            return kind, row
    raise NotFound(f"there is no run or job {text}")


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
    if isinstance(value, str):
        return value
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


def _why_none(jobs: Sequence[Mapping[str, Any]], log_retention_s: float | None) -> str:
    """Return what is said of jobs without lines: they may have been deleted."""
    ended = [job["finished_at"] for job in jobs if job["finished_at"] is not None]
    if log_retention_s is None or not ended:
        return "No log lines."
    if (datetime.now(UTC) - min(ended)).total_seconds() < log_retention_s:
        return "No log lines."
    kept = format_duration(log_retention_s)
    return f"No log lines: logs are deleted {kept} after the end of a job (log_retention)."


def logs(given: argparse.Namespace) -> int:
    """Show what a job said, or all jobs of a run, in the order of time."""
    with installation(given) as headrace:
        kind, row = find(headrace, given.id)
        if kind == "pipeline":
            raise NotFound(f"{given.id} is a pipeline; `headrace runs --pipeline` lists its runs")
        jobs = [row] if kind == "job" else headrace.database.rows("jobs_of_run", run_id=row["id"])
        lines = [
            {"job_id": job["id"], "step": job["step"], **line}
            for job in jobs
            for line in headrace.database.rows("logs_of_job", id=job["id"])
        ]
    lines.sort(key=lambda line: (line["at"], line["line"]))
    if given.json:
        print_items(lines)
        return 0
    if not lines:
        print(_why_none(jobs, headrace.settings.log_retention_s))
    for line in lines:
        level = "" if line["level"] == "info" else f"{line['level']}: "
        who = f"{line['step']} " if kind == "run" else ""
        again = f"(attempt {line['attempt']}) " if line["attempt"] > 1 else ""
        message = hanging(line["message"], _FURTHER)
        print(f"{clock(line['at'])} {visible(who)}{again}{level}{message}")
    return 0
