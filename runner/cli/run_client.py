"""Starts a run and shows its progress, step by step, until it has ended."""

import argparse
import signal
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.cli import outlet
from headrace.cli.auditing import audited, concerns
from headrace.cli.live_bar import LiveBar
from headrace.cli.printing import elapsed, moment, print_json, public, span, zoned
from headrace.errors import HeadraceError, StoreUnavailable
from headrace.errors.numbers import number_of
from headrace.model.moments import clock_of
from headrace.model.status import FINAL, RUN_FINAL, RunStatus
from headrace.observe.terminal_text import hanging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from headrace.engine.application import Headrace
    from headrace.store.run_watch import RunWatch

_Asked = TypeVar("_Asked")

INTERRUPTED = 130
# Of a failed step's error.
_MOST_LINES = 20
# A look at the run: soon while things happen, seldom while nothing does.
_SHORTEST_LOOK_S = 0.05
_LONGEST_LOOK_S = 0.5


def logical_date_of(headrace: "Headrace", given: argparse.Namespace) -> datetime:
    """Return what the run stands for: now, or the time that is given on its schedule's clock."""
    zone = clock_of(headrace.pipelines.get(given.pipeline))
    return moment(given.logical_date, "--logical-date", zone)


class RunClient:
    """Starts a run and shows its progress, in a process of its own."""

    def __init__(self, headrace: "Headrace", given: argparse.Namespace) -> None:
        self._headrace = headrace
        self._given = given
        self._seen: dict[str, tuple[str, int, str | None]] = {}
        self._id = ""
        self._run: RunWatch | None = None
        self._away = False
        self._bar = LiveBar()

    def run(self, params: dict[str, str]) -> int:
        """Return the exit code."""
        try:
            name = self._given.pipeline
            logical_date = logical_date_of(self._headrace, self._given)
            with audited(self._headrace.database, self._given):
                started = self._headrace.start_run(name, params, logical_date=logical_date)
                concerns("run", [started["id"]])
            self._id = str(started["id"])
            zone = clock_of(self._headrace.pipelines.get(name))
            stands = f" for {zoned(logical_date, zone)}" if self._given.logical_date else ""
            self._say(f"run {self._id} of {name} started{stands}")
            state = self._watch()
        except KeyboardInterrupt:
            # The supervisor passes it on as well; once is enough.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._bar.clear()
            if self._id:
                print(
                    f"\nThe run continues on any running worker;"
                    f" `headrace cancel {self._id}` ends it.",
                    file=sys.stderr,
                )
            return INTERRUPTED
        except BrokenPipeError:
            outlet.silence()
            return 0
        self._conclude(state)
        self._flush()
        return 0 if state["status"] == RunStatus.COMPLETED else 1

    def _watch(self) -> dict[str, Any]:
        look_s = _SHORTEST_LOOK_S
        while True:
            state = self._look()
            if state is not None:
                news = self._show(state["jobs"])
                if not self._given.json:
                    self._bar.show(state["jobs"])
                if state["status"] in RUN_FINAL:
                    return state
                look_s = _SHORTEST_LOOK_S if news else min(look_s * 1.5, _LONGEST_LOOK_S)
            time.sleep(look_s)

    def _look(self) -> dict[str, Any] | None:
        try:
            if self._run is None:
                self._run = _run_watch(self._headrace, self._id)
            state = self._run.look()
            if state is not None:
                state = {**state, "jobs": self._headrace.with_progress(state["jobs"])}
        except StoreUnavailable as error:
            self._say_away(error)
            return None
        self._away = False
        if state is None:
            raise HeadraceError(f"the run {self._id} was deleted")
        return state

    def _once_there(self, ask: "Callable[[], _Asked]") -> "_Asked":
        """Return PostgreSQL's answer to one question, as soon as there is one."""
        while True:
            try:
                return ask()
            except StoreUnavailable as error:
                self._say_away(error)
                time.sleep(_LONGEST_LOOK_S)

    def _say_away(self, error: StoreUnavailable) -> None:
        if not self._away:
            print(f"{error}; waiting for it", file=sys.stderr)
        self._away = True

    def _show(self, jobs: list[dict[str, Any]]) -> bool:
        """Print a line for each step that has got on."""
        news = False
        width = max((len(one["step"]) for one in self._all_jobs()), default=0)
        for job in jobs:
            now = (job["status"], job["attempt"], job["child_run"])
            before = self._seen.get(job["id"], ("waiting", 0, None))
            if now == before:
                continue
            self._seen[job["id"]] = now
            news = True
            if job["status"] not in ("waiting", "queued") or now[2] != before[2]:
                self._say(_step_line(job, width))
                if job["status"] in ("failed", "retrying"):
                    self._say_error(job["id"])
        return news

    def _all_jobs(self) -> "Iterable[dict[str, Any]]":
        return self._run.jobs.values() if self._run else ()

    def _say_error(self, job_id: str) -> None:
        row = self._once_there(lambda: self._headrace.database.row("job", id=job_id))
        lines = ((row or {}).get("error") or "").splitlines()
        for line in lines[:_MOST_LINES]:
            self._say(f"    {line}")
        if len(lines) > _MOST_LINES:
            left = number_of(len(lines) - _MOST_LINES, "more line")
            self._say(f"    … {left}: `headrace show {job_id}`")

    def _conclude(self, state: dict[str, Any]) -> None:
        if self._given.json:
            database = self._headrace.database
            row = self._once_there(lambda: database.row("run", id=self._id))
            jobs = self._once_there(lambda: database.rows("jobs_of_run", run_id=self._id))
            print_json({**public(row or state), "jobs": [public(job) for job in jobs]})
            return
        done = sum(job["status"] in FINAL for job in state["jobs"])
        text = f"run {self._id} {state['status']}: {done} steps in {elapsed(state)}"
        self._say(f"{text}: {state['error']}" if state["error"] else text)
        if state["status"] == RunStatus.FAILED:
            print(f"`headrace show {self._id}` shows the details,", file=sys.stderr)
            print(f"`headrace retry {self._id}` runs the failed steps again.", file=sys.stderr)

    def _say(self, text: str) -> None:
        if not self._given.json:
            self._bar.clear()
            print(f"{time.strftime('%H:%M:%S')} {hanging(text, ' ' * 13)}")
            self._flush()

    def _flush(self) -> None:
        """Write what was said. A full disk under the output is reported once, and ends no run."""
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            outlet.silence()
            print(f"standard output cannot be written: {error.strerror}", file=sys.stderr)


def _run_watch(headrace: "Headrace", run_id: str) -> "RunWatch":
    from headrace.store.run_watch import RunWatch

    return RunWatch(headrace.database, run_id)


def _step_line(job: dict[str, Any], width: int) -> str:
    text = f"  {job['step']:{width}}  {job['status']}"
    if job["status"] == "waiting":
        return f"{text} for run {job['child_run']}"
    if job["status"] == "started" and job["attempt"] > 1:
        return f"{text} (attempt {job['attempt']})"
    # As `elapsed` has it.
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
