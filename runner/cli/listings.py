"""`headrace runs`, `jobs`, `workers`, `queues`: listings of what is and was at work."""

import argparse
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.cli.declaration_lists import types
from headrace.cli.installation_access import installation
from headrace.cli.outdated import outdated, print_outdated
from headrace.cli.printing import elapsed, print_items, print_table, span
from headrace.errors import ConfigError
from headrace.errors.suggestions import did_you_mean

if TYPE_CHECKING:
    from headrace.engine.application import Headrace


def runs(given: argparse.Namespace) -> int:
    """List runs, newest first."""
    from headrace.model.status import RunStatus
    from headrace.store.listings import list_runs

    _known(given.status, RunStatus, "status")
    with installation(given) as headrace:
        rows = list_runs(
            headrace.database, limit=given.limit, status=given.status, pipeline=given.pipeline
        )
    if given.json:
        print_items(rows)
        return 0
    print_table(
        [
            (
                row["id"],
                row["pipeline"],
                row["status"],
                row["trigger"],
                row["logical_date"],
                row["started_at"],
                elapsed(row),
            )
            for row in rows
        ],
        ("RUN", "PIPELINE", "STATUS", "TRIGGER", "LOGICAL DATE", "STARTED", "TOOK"),
        "No runs match.",
    )
    return 0


def jobs(given: argparse.Namespace) -> int:
    """List jobs, newest first, or the job classes."""
    from headrace.model.status import JobStatus
    from headrace.store.listings import list_jobs

    if given.types:
        return types(given)
    _known(given.status, JobStatus, "status")
    with installation(given) as headrace:
        rows = list_jobs(
            headrace.database,
            limit=given.limit,
            status=given.status,
            queue=given.queue,
            pipeline=given.pipeline,
            job_class=given.job_class,
        )
    if given.json:
        print_items(rows)
        return 0
    print_table(
        [
            (
                row["id"],
                row["job_class"],
                row["status"],
                row["queue"],
                f"{row['pipeline']}.{row['step']}" if row["pipeline"] else None,
                row["attempt"],
                elapsed(row),
                row["error"],
            )
            for row in rows
        ],
        ("JOB", "CLASS", "STATUS", "QUEUE", "STEP", "ATTEMPT", "TOOK", "ERROR"),
        "No jobs match.",
    )
    return 0


def _known(value: str | None, known: Any, name: str) -> None:
    names = [str(one) for one in known]
    if value is not None and value not in names:
        hint = did_you_mean(value, names, listed_as="it is one of")
        raise ConfigError(f'there is no {name} "{value}"; {hint}')


def workers(given: argparse.Namespace) -> int:
    """List the workers that live, and those of the last ten minutes."""
    with installation(given) as headrace:
        rows = headrace.database.rows("workers")
        names = outdated(headrace, rows)
    if given.json:
        print_items([{**row, "other_job_files": row["name"] in names} for row in rows])
        return 0
    print_outdated(names)
    now = datetime.now(UTC)
    print_table(
        [
            (
                row["name"],
                row["status"],
                ",".join(row["queues"]),
                row["processes"],
                row["running"],
                row["started_at"],
                f"{span(max(0.0, (now - row['seen_at']).total_seconds()))} ago",
            )
            for row in rows
        ],
        ("WORKER", "STATUS", "QUEUES", "PROCESSES", "RUNNING", "STARTED", "SEEN"),
        "No worker is running; `headrace up` or `headrace worker` starts one.",
    )
    return 0


def queues(given: argparse.Namespace) -> int:
    """List the queues, most urgent first, with the work that stands in each."""
    with installation(given) as headrace:
        rows = queue_rows(headrace)
        line = rq_line(headrace)
    if given.json:
        print_items(rows)
        return 0
    now = datetime.now(UTC)
    print_table(
        [
            (
                row["queue"],
                row["queued"],
                row["started"],
                row["retrying"],
                row["messages"],
                span((now - row["oldest"]).total_seconds()) if row["oldest"] else None,
                row["workers"],
            )
            for row in rows
        ],
        ("QUEUE", "QUEUED", "STARTED", "RETRYING", "MESSAGES", "OLDEST", "WORKERS"),
        "There are no queues.",
    )
    print(f"\nTo see these queues with RQ's own programs: {line}")
    return 0


def rq_line(headrace: "Headrace") -> str:
    """Return a command line with which RQ's own programs see this installation's queues."""
    from headrace.queue.sentinel import is_sentinel_url

    url = headrace.redis_url
    if is_sentinel_url(url):
        # RQ's programs take sentinels from a settings file only.
        shown = "redis://:PASSWORD@HOST:PORT/DATABASE (of the Redis that leads at the moment)"
    else:
        # A password belongs on no screen, nor in a list of processes.
        shown = '"$REDIS_URL"' if "@" in url or "password" in url else shlex.quote(url)
    return f"RQ_KEY_PREFIX={headrace.keys.prefix} rq info --url {shown}"


def queue_rows(headrace: "Headrace") -> list[dict[str, Any]]:
    """Return the counts of each queue; `messages` is None where Redis does not answer."""
    from headrace.errors import QueueUnavailable

    names = headrace.settings.queues
    counts = headrace.database.rows("open_counts")
    serving = [row for row in headrace.database.rows("workers") if row["status"] == "running"]
    lengths: Mapping[str, int]
    try:
        lengths = headrace.sender.lengths(names)
    except QueueUnavailable:
        lengths = {}
    rows = []
    for name in [*names, *sorted({row["queue"] for row in counts} - set(names))]:
        own = {row["status"]: row for row in counts if row["queue"] == name}
        rows.append(
            {
                "queue": name,
                **{
                    status: own[status]["jobs"] if status in own else 0
                    for status in ("queued", "started", "retrying")
                },
                "messages": lengths.get(name),
                "oldest": own["queued"]["oldest"] if "queued" in own else None,
                "workers": sum(name in row["queues"] for row in serving),
            }
        )
    return rows
