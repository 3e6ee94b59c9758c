"""`headrace backfill`: one run for each schedule instant that has none."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from headrace.cli.auditing import concerns
from headrace.cli.installation_access import installation
from headrace.cli.printing import print_items, zoned
from headrace.errors.numbers import number_of
from headrace.model.moments import clock_of

if TYPE_CHECKING:
    from headrace.engine.application import Headrace
    from headrace.model.pipeline import Pipeline

_LOOK_S = 1.0


def backfill(given: argparse.Namespace) -> int:
    """Start the missing runs; with --max-active no more of them at a time."""
    from headrace.engine.operations.backfill import backfill as fill
    from headrace.engine.operations.backfill import bounds

    with installation(given) as headrace:
        pipeline = headrace.pipelines.get(given.pipeline)
        start, end = bounds(pipeline, given.start, given.end)
        zone = clock_of(pipeline)
        if given.max_active is not None and not given.dry_run:
            rows = _paced(headrace, given, start, end)
        else:
            rows = fill(headrace, pipeline.name, start, end, dry_run=given.dry_run)
            if not given.dry_run:
                concerns("run", (row["id"] for row in rows))
        reason = _reason(headrace, pipeline, start, end) if not rows else None
    if given.json:
        print_items(rows)
        return 0
    for row in rows:
        print(f"{zoned(row['logical_date'], zone)}  {row.get('id', 'would run')}")
    verb = "would be" if given.dry_run else "was" if len(rows) == 1 else "were"
    print(f"{number_of(len(rows), 'run')} {verb} started.")
    if reason:
        print(reason)
    return 0


def _reason(headrace: "Headrace", pipeline: "Pipeline", start: datetime, end: datetime) -> str:
    """Return why nothing was started, and what runs an instant again."""
    from headrace.engine.catalog.repeat_command import line_for
    from headrace.engine.operations.backfill import last_with_run

    run = last_with_run(headrace, pipeline, start, end)
    if run is None:
        return "No instant in this period has been due so far."
    return (
        "Each instant has had its run, with the plan of its time, whether that failed or not."
        f" To run the\npresent plan for one:\n  {line_for(headrace.pipelines, run)}"
    )


def _paced(
    headrace: "Headrace", given: argparse.Namespace, start: datetime, end: datetime
) -> Sequence[Mapping[str, Any]]:
    """Start one run after the other, waiting while as many as are allowed are open.

    Interrupted, it is resumed by the same command: what was started is not started again.
    """
    from headrace.engine.operations.backfill import backfill as fill

    zone = clock_of(headrace.pipelines.get(given.pipeline))
    missing = fill(headrace, given.pipeline, start, end, dry_run=True)
    rows: list[Mapping[str, Any]] = []
    open_runs: set[str] = set()
    for one in missing:
        while len(open_runs) >= given.max_active:
            open_runs = _still_open(headrace, open_runs)
            if len(open_runs) >= given.max_active:
                time.sleep(_LOOK_S)
        at = one["logical_date"]
        for row in fill(headrace, given.pipeline, at, at):
            rows.append(row)
            concerns("run", [row["id"]])
            open_runs.add(str(row["id"]))
            print(f"{zoned(at, zone)}  {row['id']} started", file=sys.stderr)
    return rows


def _still_open(headrace: "Headrace", ids: set[str]) -> set[str]:
    from headrace.model.status import RUN_FINAL

    states = {run_id: headrace.database.row("run", id=run_id) for run_id in ids}
    return {
        run_id
        for run_id, row in states.items()
        if row is not None and row["status"] not in RUN_FINAL
    }
