"""`headrace top`: an overview that renews itself."""

import argparse
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.cli.installation_access import installation
from headrace.cli.listings import queue_rows
from headrace.cli.outdated import outdated
from headrace.cli.printing import elapsed, print_json, public, span, table
from headrace.errors import StoreUnavailable
from headrace.observe.terminal_text import VisibleStream

if TYPE_CHECKING:
    from headrace.engine.application import Headrace

_CLEAR = "\x1b[H\x1b[2J"
_RUNS = 10


def top(given: argparse.Namespace) -> int:
    """Show workers, queues and the newest runs, until Ctrl-C; once where no terminal reads."""
    if given.json:
        with installation(given) as headrace:
            print_json(_document(headrace))
        return 0
    once = given.once or not sys.stdout.isatty()
    # Ctrl-C is how it is left.
    with installation(given) as headrace, suppress(KeyboardInterrupt):
        while True:
            try:
                text = "\n".join(_overview(headrace))
            except StoreUnavailable as error:
                if once:
                    raise
                text = str(error)
            if not once:
                _clear()
            print(text, flush=True)
            if once:
                return 0
            time.sleep(given.interval)
    return 0


def _clear() -> None:
    # Ours, and the only sequence that the terminal is to obey.
    stream = sys.stdout
    (stream.plain if isinstance(stream, VisibleStream) else stream).write(_CLEAR)


def _document(headrace: "Headrace") -> dict[str, Any]:
    """Return what the overview shows, with rows as the listings' own commands print them."""
    now = datetime.now(UTC)
    leader = headrace.database.row("leader")
    workers = _workers(headrace)
    names = outdated(headrace, workers)
    return {
        "at": now,
        "leader": {key: leader[key] for key in ("holder", "live", "late")} if leader else None,
        "queues": queue_rows(headrace),
        "workers": [{**row, "other_job_files": row["name"] in names} for row in workers],
        "runs": [public(row) for row in _runs(headrace)],
    }


def _overview(headrace: "Headrace") -> list[str]:
    from headrace.engine.catalog.job_files import restart_hint

    now = datetime.now(UTC)
    leader = headrace.database.row("leader")
    workers = _workers(headrace)
    leads = f"{leader['holder']} is active" if leader and leader["live"] else "no active daemon"
    lines = [f"headrace {now.astimezone():%H:%M:%S}  {leads}  {len(workers)} workers", ""]
    lines += [*_queue_lines(headrace), "", *_worker_lines(workers, now)]
    lines += [restart_hint(name) for name in outdated(headrace, workers)]
    return [*lines, "", *_run_lines(headrace)]


def _workers(headrace: "Headrace") -> list[dict[str, Any]]:
    return [row for row in headrace.database.rows("workers") if row["status"] != "stopped"]


def _runs(headrace: "Headrace") -> list[dict[str, Any]]:
    from headrace.store.listings import list_runs

    return list_runs(headrace.database, limit=_RUNS)


def _queue_lines(headrace: "Headrace") -> list[str]:
    columns = ("queue", "queued", "started", "retrying", "messages")
    rows = [tuple(row[column] for column in columns) for row in queue_rows(headrace)]
    return table(rows, ("QUEUE", "QUEUED", "STARTED", "RETRYING", "MESSAGES"))


def _worker_lines(workers: list[dict[str, Any]], now: datetime) -> list[str]:
    rows = [
        (
            row["name"],
            row["status"],
            ",".join(row["queues"]),
            f"{row['running']}/{row['processes']}",
            span(max(0.0, (now - row["seen_at"]).total_seconds())),
        )
        for row in workers
    ]
    return table(rows, ("WORKER", "STATUS", "QUEUES", "BUSY", "SEEN"))


def _run_lines(headrace: "Headrace") -> list[str]:
    columns = ("id", "pipeline", "status", "trigger", "started_at")
    rows = [(*(row[column] for column in columns), elapsed(row)) for row in _runs(headrace)]
    return table(rows, ("RUN", "PIPELINE", "STATUS", "TRIGGER", "STARTED", "TOOK"))
