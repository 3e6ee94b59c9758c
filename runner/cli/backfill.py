"""`headrace backfill`: one run for each schedule instant that has none."""

import argparse
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

from runner.cli.installation import installation
from runner.cli.printing import clock, print_items

if TYPE_CHECKING:
    from runner.engine.wiring import Headrace
    from runner.store.database import Row

_LOOK_S = 1.0


def backfill(given: argparse.Namespace) -> int:
    """Start the missing runs; with --max-active no more of them at a time."""
    from runner.engine.backfill import backfill as fill
    from runner.engine.backfill import bounds

    with installation(given) as headrace:
        pipeline = headrace.pipelines.get(given.pipeline)
        start, end = bounds(pipeline, given.start, given.end)
        if given.max_active is not None and not given.dry_run:
            rows = _paced(headrace, given, start, end)
        else:
            rows = fill(headrace, pipeline.name, start, end, dry_run=given.dry_run)
    if given.json:
        print_items(rows)
        return 0
    for row in rows:
        print(f"{clock(row['logical_date'])}  {row.get('id', 'would run')}")
    verb = "would be" if given.dry_run else "were"
    print(f"{len(rows)} runs {verb} started.")
    return 0


def _paced(
    headrace: "Headrace", given: argparse.Namespace, start: datetime, end: datetime
) -> "list[Row]":
    """Start one run after the other, waiting while as many as are allowed are open.

    Interrupted, it is resumed by the same command: what was started is not started again.
    """
    from runner.engine.backfill import backfill as fill

    missing = fill(headrace, given.pipeline, start, end, dry_run=True)
    rows: list[Row] = []
    open_runs: set[str] = set()
    for one in missing:
        while len(open_runs) >= given.max_active:
            open_runs = _still_open(headrace, open_runs)
            if len(open_runs) >= given.max_active:
                time.sleep(_LOOK_S)
        at = one["logical_date"]
        for row in fill(headrace, given.pipeline, at, at):
            rows.append(row)
            open_runs.add(str(row["id"]))
            print(f"{clock(at)}  {row['id']} started", file=sys.stderr)
    return rows


def _still_open(headrace: "Headrace", ids: set[str]) -> set[str]:
    from runner.model.status import RUN_FINAL

    states = {run_id: headrace.database.row("run_progress", id=run_id) for run_id in ids}
    return {
        run_id
        for run_id, row in states.items()
        if row is not None and row["status"] not in RUN_FINAL
    }
