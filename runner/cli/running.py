"""`headrace run`: one run, watched to its end."""

import argparse
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from headrace.cli import outlet
from headrace.cli.installation_access import settings_of
from headrace.cli.outdated import outdated, tell_of
from headrace.cli.printing import moment, params_of, print_json, public, span, took, zoned
from headrace.errors import HeadraceError, StoreUnavailable
from headrace.model.moments import clock_of
from headrace.model.status import FINAL, RUN_FINAL, RunStatus
from headrace.model.subpipeline import pipeline_of
from headrace.observe.terminal_text import hanging

if TYPE_CHECKING:
    from headrace.cli.supervisor import Part
    from headrace.engine.application import Headrace

_LEASE = timedelta(seconds=10)
_INTERRUPTED = 130
# A look at the run: soon while things happen, seldom while nothing does.
_SHORTEST_LOOK_S = 0.05
_LONGEST_LOOK_S = 0.5


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
            return _Client(headrace.afresh("cli"), given).run(params)

        ask = Supervisor([Part("set-up", lambda: _missing_parts(headrace, given), once=True)])
        missing = ask.run()
        if ask.asked_to_stop or not 0 <= missing - _NONE_MISSING <= _WORKER + _DAEMON:
            return missing or _INTERRUPTED
        parts = _own_parts(headrace, missing - _NONE_MISSING)
        supervisor = Supervisor(
            [*parts, Part("run", client, once=True)], patience_s=patience_of(settings)
        )
        code = supervisor.run()
        return code or (_INTERRUPTED if supervisor.asked_to_stop else 0)


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
        _logical_date(own, given),
        _manual(),
    )
    queues = {job.queue for job in plan.jobs}
    queues |= own.pipelines.queues_below(pipeline_of(job.job_class) for job in plan.jobs)
    missing = 0 if queues <= _served_queues(own) else _WORKER
    leader = own.database.row("leader")
    return _NONE_MISSING + missing + (0 if leader and leader["live"] else _DAEMON)


def _logical_date(headrace: "Headrace", given: argparse.Namespace) -> datetime:
    """Return what the run stands for: now, or the time that is given on its schedule's clock."""
    zone = clock_of(headrace.pipelines.get(given.pipeline))
    return moment(given.logical_date, "--logical-date", zone)


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
    tell_of(outdated(headrace, workers))
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
    at = _logical_date(headrace, given)
    row = headrace.start_run(given.pipeline, params, logical_date=at)
    if given.json:
        print_json(public(row))
        return 0
    print(row["id"])
    if not _served_queues(headrace):
        print("No worker is running: the run starts as soon as one is.", file=sys.stderr)
    return 0


class _Client:
    """Starts the run and follows it, in a process of its own."""

    def __init__(self, headrace: "Headrace", given: argparse.Namespace) -> None:
        self._headrace = headrace
        self._given = given
        self._seen: dict[str, tuple[str, int, str | None]] = {}
        self._id = ""
        self._away = False

    def run(self, params: dict[str, str]) -> int:
        """Return the exit code."""
        try:
            name = self._given.pipeline
            logical_date = _logical_date(self._headrace, self._given)
            started = self._headrace.start_run(name, params, logical_date=logical_date)
            self._id = str(started["id"])
            zone = clock_of(self._headrace.pipelines.get(name))
            stands = f" for {zoned(logical_date, zone)}" if self._given.logical_date else ""
            self._say(f"run {self._id} of {name} started{stands}")
            state = self._follow()
        except KeyboardInterrupt:
            # The supervisor passes it on as well; once is enough.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            if self._id:
                print(
                    f"\nThe run continues on any running worker;"
                    f" `headrace cancel {self._id}` ends it.",
                    file=sys.stderr,
                )
            return _INTERRUPTED
        except BrokenPipeError:
            outlet.silence()
            return 0
        self._conclude(state)
        self._flush()
        return 0 if state["status"] == RunStatus.COMPLETED else 1

    def _follow(self) -> dict[str, Any]:
        look_s = _SHORTEST_LOOK_S
        while True:
            state = self._look()
            if state is not None:
                news = self._show(state["jobs"])
                if state["status"] in RUN_FINAL:
                    return state
                look_s = _SHORTEST_LOOK_S if news else min(look_s * 1.5, _LONGEST_LOOK_S)
            time.sleep(look_s)

    def _look(self) -> dict[str, Any] | None:
        try:
            state = self._headrace.database.row("run_progress", id=self._id)
        except StoreUnavailable as error:
            if not self._away:
                print(f"{error}; waiting for it", file=sys.stderr)
            self._away = True
            return None
        self._away = False
        if state is None:
            raise HeadraceError(f"the run {self._id} was deleted")
        return state

    def _show(self, jobs: list[dict[str, Any]]) -> bool:
        """Print a line for each step that has got on."""
        news = False
        for job in jobs:
            now = (job["status"], job["attempt"], job["child_run"])
            before = self._seen.get(job["id"], ("waiting", 0, None))
            if now == before:
                continue
            self._seen[job["id"]] = now
            news = True
            if job["status"] not in ("waiting", "queued") or now[2] != before[2]:
                self._say(_step_line(job, max(len(one["step"]) for one in jobs)))
                if job["status"] in ("failed", "retrying"):
                    self._say_error(job["id"])
        return news

    def _say_error(self, job_id: str) -> None:
        row = self._headrace.database.row("job", id=job_id)
        for line in ((row or {}).get("error") or "").splitlines()[:20]:
            self._say(f"    {line}")

    def _conclude(self, state: dict[str, Any]) -> None:
        if self._given.json:
            row = self._headrace.database.row("run", id=self._id)
            jobs = self._headrace.database.rows("jobs_of_run", run_id=self._id)
            print_json({**public(row or state), "jobs": [public(job) for job in jobs]})
            return
        done = sum(job["status"] in FINAL for job in state["jobs"])
        text = f"run {self._id} {state['status']}: {done} steps in {took(state)}"
        self._say(f"{text}: {state['error']}" if state["error"] else text)
        if state["status"] == RunStatus.FAILED:
            print(f"`headrace show {self._id}` shows the details,", file=sys.stderr)
            print(f"`headrace retry {self._id}` runs the failed steps again.", file=sys.stderr)

    def _say(self, text: str) -> None:
        if not self._given.json:
            print(f"{time.strftime('%H:%M:%S')} {hanging(text, ' ' * 13)}")
            self._flush()

    def _flush(self) -> None:
        """Write what was said. A full disk under the output is told once, and ends no run."""
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            outlet.silence()
            print(f"standard output cannot be written: {error.strerror}", file=sys.stderr)


def _step_line(job: dict[str, Any], width: int) -> str:
    text = f"  {job['step']:{width}}  {job['status']}"
    if job["status"] == "waiting":
        return f"{text} for run {job['child_run']}"
    if job["status"] == "started" and job["attempt"] > 1:
        return f"{text} (attempt {job['attempt']})"
    # As `took` has it.
    of = "child_" if job["child_started_at"] else ""
    started, finished = (_read(job[f"{of}{key}"]) for key in ("started_at", "finished_at"))
    if job["status"] == "retrying":
        due = _read(job["next_retry_time"])
        wait = (due - datetime.now(UTC)).total_seconds() if due else 0.0
        return f"{text}: attempt {job['attempt']} failed, the next one in {span(max(0.0, wait))}"
    if started and finished and job["status"] in ("completed", "failed"):
        return f"{text} in {span((finished - started).total_seconds())}"
    return text


def _read(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
