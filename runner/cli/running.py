"""`headrace run`: one run to its end, with the processes that it needs and nobody else brings."""

import argparse
import socket
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.cli.auditing import audited, concerns
from headrace.cli.installation_access import settings_of
from headrace.cli.outdated import outdated, print_outdated
from headrace.cli.printing import params_of, print_json, public
from headrace.cli.run_client import INTERRUPTED, RunClient, logical_date_of
from headrace.errors import HeadraceError
from headrace.model.subpipeline import pipeline_of

if TYPE_CHECKING:
    from headrace.cli.supervisor import Part
    from headrace.engine.application import Headrace

_LEASE = timedelta(seconds=10)


def run(given: argparse.Namespace) -> int:
    """Start a run and show its progress; 0 if it was completed."""
    from headrace.cli.services import patience_of
    from headrace.cli.supervisor import Part, Supervisor
    from headrace.engine.application import connect

    settings = settings_of(given)
    params = params_of(given.params)
    with connect(settings) as headrace:
        if given.detach:
            return _detached(headrace, given, params)

        # The parts and this client are forked from a process that has connected nowhere.
        def client() -> int:
            return RunClient(headrace.afresh("cli"), given).run(params)

        ask = Supervisor([Part("set-up", lambda: _missing_parts(headrace, given), once=True)])
        missing = ask.run()
        if ask.asked_to_stop or not 0 <= missing - _NONE_MISSING <= _WORKER + _DAEMON:
            return missing or INTERRUPTED
        parts = _own_parts(headrace, missing - _NONE_MISSING)
        supervisor = Supervisor(
            [*parts, Part("run", client, once=True)], patience_s=patience_of(settings)
        )
        code = supervisor.run()
        return code or (INTERRUPTED if supervisor.asked_to_stop else 0)


# -- what is up -----------------------------------------------------------------------

# Exit codes of the process that looks: no other code of a process means this.
_NONE_MISSING = 64
_WORKER = 1
_DAEMON = 2


def _missing_parts(headrace: "Headrace", given: argparse.Namespace) -> int:
    """Check that the run can start, and tell which parts nobody else brings."""
    own = headrace.afresh("cli")
    _see_to_schema(own)
    plan = own.planner.plan(
        own.pipelines.get(given.pipeline),
        params_of(given.params),
        logical_date_of(own, given),
        _manual(),
    )
    queues = {job.queue for job in plan.jobs}
    queues |= own.pipelines.queues_below(pipeline_of(job.job_class) for job in plan.jobs)
    missing = 0 if queues <= _served_queues(own) else _WORKER
    leader = own.database.row("leader")
    return _NONE_MISSING + missing + (0 if leader and leader["live"] else _DAEMON)


def _see_to_schema(headrace: "Headrace") -> None:
    """Bring an embedded home up to date, as this run brings its daemon; a server is asked for."""
    if headrace.embedded:
        headrace.migrate()
    else:
        headrace.require_schema()


def _served_queues(headrace: "Headrace") -> set[str]:
    """Return the queues that living workers serve."""
    row = headrace.database.row("clock")
    now = row["now"] if row else datetime.now(UTC)
    queues: set[str] = set()
    workers = headrace.database.rows("workers")
    print_outdated(outdated(headrace, workers))
    for worker in workers:
        if worker["status"] == "running" and _lives(worker, now):
            queues.update(worker["queues"])
    return queues


def _lives(worker: dict[str, Any], now: datetime) -> bool:
    from headrace.queue.process import birth_ticks

    if now - worker["seen_at"] > _LEASE:
        return False
    return worker["hostname"] != socket.gethostname() or birth_ticks(worker["pid"]) is not None


def _manual() -> Any:
    from headrace.model.status import Trigger

    return Trigger.MANUAL


def _own_parts(headrace: "Headrace", missing: int) -> "list[Part]":
    """Return the parts that this run brings: they end with it, and start no schedule's runs."""
    from headrace.cli.services import live_worker, part_of

    headrace.registry.names()
    headrace.load_hooks()
    # What happens to the run's jobs, its client tells.
    quiet = replace(headrace.settings, log_level="error")
    headrace.settings = quiet
    parts = []
    if missing & _DAEMON:
        parts.append(part_of(headrace, "repairs", _live_repairs, stream=sys.stderr))
    if missing & _WORKER:
        parts += [
            part_of(headrace, f"worker {number}", live_worker, stream=sys.stderr)
            for number in range(1, max(1, quiet.workers) + 1)
        ]
    return parts


def _live_repairs(headrace: "Headrace") -> None:
    """Do a daemon's repairs (retries that are due, messages that were lost), no schedules."""
    from headrace.engine.operations.recovery import Recovery
    from headrace.store.listen_notify import listen

    recovery = Recovery(
        headrace.database,
        headrace.sender,
        time.monotonic,
        headrace.settings.connections,
        headrace.subpipelines,
    )
    rung = threading.Event()
    listen(headrace.database_url, application_name="headrace:repairs:bell", heard=rung.set)
    while True:
        rung.clear()
        try:
            recovery.tick()
        except HeadraceError:
            # PostgreSQL or Redis is away, which the run's client and the workers say.
            time.sleep(1.0)
        rung.wait(1.0)


# -- the run --------------------------------------------------------------------------


def _detached(headrace: "Headrace", given: argparse.Namespace, params: dict[str, str]) -> int:
    _see_to_schema(headrace)
    at = logical_date_of(headrace, given)
    with audited(headrace.database, given):
        row = headrace.start_run(given.pipeline, params, logical_date=at)
        concerns("run", [row["id"]])
    if given.json:
        print_json(public(row))
        return 0
    print(row["id"])
    if not _served_queues(headrace):
        print("No worker is running: the run starts as soon as one is.", file=sys.stderr)
    return 0
