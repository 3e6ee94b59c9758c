"""`headrace logs`: what a job said, or all jobs of a run, at once or as it grows."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.cli.finding import find, newest_run
from headrace.cli.installation_access import installation
from headrace.cli.log_text import line_text, with_step
from headrace.cli.printing import print_items
from headrace.errors import NotFound
from headrace.model.duration import format_duration

if TYPE_CHECKING:
    from headrace.engine.application import Headrace

# Ids in one query.
_AT_ONCE = 1000


def logs(given: argparse.Namespace) -> int:
    """Show what a job said, or all jobs of a run, in the order of time; the newest run without ID.

    With --follow, go on until the job or run has ended.
    """
    with installation(given) as headrace:
        kind, row = _meant(headrace, given.id)
        if given.follow:
            from headrace.cli.growing_log import print_growing

            if print_growing(headrace, kind, row, as_json=given.json) or given.json:
                return 0
        jobs = [row] if kind == "job" else headrace.database.rows("jobs_of_run", run_id=row["id"])
        lines = _lines(headrace, jobs)
    if given.json:
        print_items(lines)
        return 0
    if not lines:
        print(_why_none(jobs, headrace.settings.log_retention_s))
    for line in lines:
        print(line_text(line, of_run=kind == "run"))
    return 0


def _meant(headrace: "Headrace", text: str | None) -> tuple[str, Mapping[str, Any]]:
    if text is None:
        return "run", newest_run(headrace, None)
    kind, row = find(headrace, text, run_first=True)
    if kind == "pipeline":
        raise NotFound(
            f"{text} is a pipeline; `headrace runs --pipeline {text}` lists its runs,"
            f" and `headrace last {text}` shows the newest one"
        )
    return kind, row


def _lines(headrace: "Headrace", jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return all lines of jobs in the order of time, as `--json` prints them."""
    steps = {job["id"]: job["step"] for job in jobs}
    ids = list(steps)
    found: list[dict[str, Any]] = []
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        found += [
            with_step(line, steps[line["job_id"]])
            for line in headrace.database.rows("logs_of_jobs", ids=part)
        ]
    found.sort(key=lambda line: (line["at"], line["line"]))
    return found


def _why_none(jobs: Sequence[Mapping[str, Any]], log_retention_s: float | None) -> str:
    """Return what is said of jobs without lines: they may have been deleted."""
    ended = [job["finished_at"] for job in jobs if job["finished_at"] is not None]
    if log_retention_s is None or not ended:
        return "No log lines."
    if (datetime.now(UTC) - min(ended)).total_seconds() < log_retention_s:
        return "No log lines."
    kept = format_duration(log_retention_s)
    return f"No log lines: logs are deleted {kept} after the end of a job (log_retention)."
