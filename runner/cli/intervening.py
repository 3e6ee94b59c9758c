"""`headrace retry`, `cancel`, `pause`, `resume`, `prune`: what a person changes."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from headrace.cli.auditing import concerns
from headrace.cli.finding import find
from headrace.cli.installation_access import installation
from headrace.cli.printing import print_json, public
from headrace.errors import ConfigError, NotFound
from headrace.errors.numbers import number_of


def retry(given: argparse.Namespace) -> int:
    """Run a failed job, a run's failed steps, or every failed job again."""
    if given.all_failed == (given.id is not None):
        raise ConfigError("retry takes either an ID or --all-failed")
    with installation(given) as headrace:
        if given.all_failed:
            ids, left = headrace.interventions.retry_all_failed()
            concerns("job", ids)
            _print_retried(given, ids, left)
            return 0
        kind, meant = _meant(headrace, given.id)
        how = headrace.interventions
        row: Mapping[str, Any]
        run_id: UUID | None
        if kind == "run":
            run = how.retry_run(meant)
            row, run_id = run, run["id"]
        else:
            job = how.retry_job(meant)
            row, run_id = job, job["run_id"]
        concerns(kind, [row["id"]])
        kept = _plan_kept(headrace, run_id)
    _print(given, kind, row)
    if kept and not given.json:
        print(kept)
    return 0


def _print_retried(given: argparse.Namespace, ids: list[str], left: list[str]) -> None:
    if given.json:
        print_json({"items": [{"id": one} for one in ids], "left": [{"id": one} for one in left]})
        return
    print(f"{number_of(len(ids), 'failed job')} {'is' if len(ids) == 1 else 'are'} retried.")
    if left:
        print(
            f"Left: {number_of(len(left), 'failed job')} of runs whose handlers are at work;"
            " retry when these have ended."
        )


def _plan_kept(headrace: Any, run_id: Any) -> str | None:
    """Return that the old plan is run, and what would run the present one."""
    from headrace.engine.catalog.repeat_command import line_for

    run = headrace.database.row("run", id=run_id) if run_id is not None else None
    if run is None or run["parent_job"] is not None:
        return None
    line = line_for(headrace.pipelines, run)
    return (
        f"It continues with the plan with which it was started. To run the current one:\n  {line}"
    )


def cancel(given: argparse.Namespace) -> int:
    """Cancel a run or a job that has not ended."""
    with installation(given) as headrace:
        kind, meant = _meant(headrace, given.id)
        how = headrace.interventions
        row: Mapping[str, Any]
        row = how.cancel_run(meant) if kind == "run" else how.cancel_job(meant)
        concerns(kind, [row["id"]])
    _print(given, kind, row)
    return 0


def _meant(headrace: Any, text: str) -> tuple[str, str]:
    """Return `run` or `job`, and the whole id."""
    kind, row = find(headrace, text)
    if kind == "pipeline":
        raise NotFound(
            f"{text} is a pipeline; this takes the id of a run or a job"
            f" (`headrace last {text}` shows that of its newest run)"
        )
    return kind, str(row["id"])


def _print(given: argparse.Namespace, kind: str, row: Mapping[str, Any]) -> None:
    if given.json:
        print_json(public(row))
    else:
        print(f"{kind} {row['id']} is {row['status']}")


def pause(given: argparse.Namespace) -> int:
    """Let no schedule or trigger of the pipeline start a run; what is queued waits."""
    with installation(given) as headrace:
        headrace.keep_last_good()
        name = headrace.pipelines.get(given.pipeline).name
        queued, ids = headrace.interventions.pause(name, cancel_queued=given.cancel_queued)
        concerns("run", ids)
    cancelled = len(ids)
    if given.json:
        left = {"queued": queued - cancelled, "cancelled": [str(one) for one in ids]}
        print_json({"pipeline": name, "paused": True, **left})
        return 0
    print(f"{name} is paused; started runs continue.")
    if cancelled:
        print(f"Cancelled {number_of(cancelled, 'queued run')}.")
    if queued > cancelled:
        waits = number_of(queued - cancelled, "queued run")
        print(f"Waiting for `headrace resume {name}`: {waits};")
        print(f"`headrace pause {name} --cancel-queued` cancels them.")
    return 0


def resume(given: argparse.Namespace) -> int:
    """Let the pipeline's schedule start runs again."""
    with installation(given) as headrace:
        headrace.keep_last_good()
        name = headrace.pipelines.get(given.pipeline).name
        headrace.interventions.resume(name)
    if given.json:
        print_json({"pipeline": name, "paused": False})
    else:
        print(f"{name} is resumed; instants that fell due meanwhile are not caught up.")
    return 0


def prune(given: argparse.Namespace) -> int:
    """Delete runs and jobs that ended long ago, with all that belongs to them."""
    from headrace.engine.operations.partial_files import remove_partials
    from headrace.engine.operations.retention import prune as prune_older
    from headrace.engine.operations.retention import prune_logs
    from headrace.model.duration import parse_duration_s

    with installation(given) as headrace:
        age_s = headrace.settings.retention_s
        if given.older_than is not None:
            try:
                age_s = parse_duration_s(given.older_than)
            except ValueError as error:
                raise ConfigError(f"--older-than: {error}") from None
        if age_s is None:
            raise ConfigError("no `retention` is configured; give --older-than, as in 30d")
        partial = remove_partials(headrace.database, headrace.settings.outputs())
        pruned = prune_older(headrace.database, age_s)
        log_age_s = headrace.settings.log_retention_s
        if given.older_than is None and log_age_s is not None:
            pruned.logs = prune_logs(headrace.database, log_age_s)
        forgotten = _delete_expired(headrace)
    if given.json:
        print_json({**asdict(pruned), "partial_files": partial, "audit": forgotten})
    else:
        print(f"Deleted {number_of(pruned.runs, 'run')} and {number_of(pruned.jobs, 'job')}.")
        if pruned.logs:
            print(f"Deleted the logs, not the rows, of {number_of(pruned.logs, 'job')}.")
        if forgotten:
            print(f"Deleted {number_of(forgotten, 'row')} of the audit trail.")
        if partial:
            print(f"Removed {number_of(partial, 'incomplete file')} of stopped jobs.")
    return 0


def _delete_expired(headrace: Any) -> int:
    """Prune the audit trail by `retention`; no `--older-than` takes away who did what."""
    from headrace.engine.access.audit import delete_expired

    return delete_expired(headrace.database, headrace.settings.retention_s)
