"""Runs a whole pipeline in a test: the engine decides, this process executes."""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headrace import jobapi
from headrace.declarations.config import Settings, load_settings
from headrace.declarations.config.environment import VARIABLES
from headrace.engine.application import Headrace
from headrace.engine.attempts.recorded_end import record_end
from headrace.engine.operations.recovery import Recovery
from headrace.errors import HeadraceError, StaleAttempt
from headrace.model.job_parameters import written
from headrace.model.status import RUN_FINAL
from headrace.observe.joblog import JobLog
from headrace.queue.message import Message
from headrace.store.attempts import AttemptStore
from headrace.store.fresh_database import FreshDatabase
from headrace.store.row_types import JobRow
from headrace.testing.in_process import (
    NO_CONNECTIONS,
    WORKER,
    executor_of,
    heard,
    url_of,
    with_given,
)
from headrace.testing.kept_messages import KeptMessages

# Keys of config.yaml that name servers, or what a test has to allow by itself.
_NOT_READ = ("database_url", "redis_url", "connections", "api_token", "shell_commands", "http")
# A sweep of the repairs is due every few seconds; here at each look.
_SWEEP_S = 3600
# Looks without any progress, after which a run stands still: one look may prepare the next one's.
_MOST_IDLE_LOOKS = 3


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """The outcome of a step, or of one item of a `foreach`.

    `status` is `completed`, `failed`, `skipped` or `cancelled`; `skip_reason` says why a step was
    skipped. `logs` are the lines of all its attempts.
    """

    status: str
    result: Any = None
    error: str | None = None
    logs: tuple[str, ...] = ()
    traceback: str | None = None
    attempts: int = 0
    skip_reason: str | None = None
    job_id: str = ""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The outcome of a run: its `status` and `error`, and its `steps` by name.

    The job of a `foreach` item has its name as `headrace show` has it: `load[eu]`.
    """

    status: str
    error: str | None
    steps: Mapping[str, StepOutcome]
    run_id: str


def run_pipeline(
    pipeline: str,
    params: Mapping[str, Any] | None = None,
    *,
    database: FreshDatabase | str,
    connections: Mapping[str, str | FreshDatabase] = NO_CONNECTIONS,
    project: Path | str = ".",
    logical_date: datetime | str | None = None,
    shell_commands: bool = False,
    allowed_hosts: Iterable[str] = (),
) -> RunOutcome:
    """Run a pipeline of a project to its end in this process, and return how it ended.

    Order, trigger rules, conditions, `foreach`, handlers, retries and runs of other pipelines that
    steps ask for are decided by the engine; waits before a retry are left out. Of config.yaml all
    is read but what names servers: `connections` are given here, and so is what jobs may do.

    Raises:
        UnknownPipeline, ProblemsError, InvalidParams, ConfigError: It cannot be started.
        HeadraceError: The run does not go on, and would not by itself.
    """
    folder, url = Path(project).resolve(), url_of(database)
    with TemporaryDirectory(prefix="headrace-") as home, ExitStack() as stack:
        permissions = jobapi.Permissions(shell_commands, tuple(allowed_hosts))
        settings = replace(_settings(folder), home=Path(home), database_url=url)
        settings = with_given(settings, connections, permissions)
        store = AttemptStore(url, WORKER)
        stack.callback(store.drop)
        headrace = stack.enter_context(Headrace(settings, url, "", ExitStack(), WORKER))
        headrace.sender = KeptMessages(lambda: headrace.keys)
        stack.enter_context(jobapi.dispatching_by(headrace.dispatcher))
        given = {name: written(value) for name, value in (params or {}).items()}
        return _Run(headrace, headrace.sender, store).outcome_of(pipeline, given, logical_date)


def _settings(folder: Path) -> Settings:
    file = folder / "config.yaml"
    if not file.is_file():
        return Settings(folder, folder, folder / "pipelines")
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return load_settings(environ, config_file=file, without=_NOT_READ)


class _Run:
    """A run with the daemon's and a worker's part in it, one after the other."""

    def __init__(self, headrace: Headrace, sender: KeptMessages, store: AttemptStore) -> None:
        self._headrace = headrace
        self._log = JobLog()
        self._sender = sender
        self._executor = executor_of(headrace.settings, store, headrace.registry, self._log)
        clock = count(0, _SWEEP_S)
        self._repairs = Recovery(
            headrace.database,
            sender,
            lambda: float(next(clock)),
            headrace.settings.connections,
            headrace.subpipelines,
        )

    def outcome_of(
        self, pipeline: str, params: Mapping[str, Any], logical_date: datetime | str | None
    ) -> RunOutcome:
        """Start the run and execute what it sends, until it has ended."""
        started = self._headrace.start_run(pipeline, params, logical_date=logical_date)
        run_id = str(started["id"])
        idle = 0
        while self._execute_all() or not self._ended(run_id):
            self._headrace.database.rows("end_waits")
            self._repairs.tick()
            idle = 0 if self._sender.kept else idle + 1
            if idle > _MOST_IDLE_LOOKS:
                raise HeadraceError(self._standstill(run_id))
        return self._outcome(run_id)

    def _execute_all(self) -> bool:
        """Execute what was sent, and what is sent by it; returns whether there was anything."""
        any_done = bool(self._sender.kept)
        while self._sender.kept:
            self._sender.send(self._execute(self._sender.kept.popleft()))
            self._executor.hooks.after()
        return any_done

    def _execute(self, message: Message) -> list[Message]:
        claimed = self._executor.store.claim(str(message.job_id), message.attempt)
        if claimed is None:
            return []  # Cancelled meanwhile, or sent twice.
        try:
            with heard(self._log):
                handled = self._executor.handle(claimed)
            return record_end(self._executor, claimed, handled)
        except StaleAttempt:
            self._executor.sessions.roll_back()
            return []

    def _ended(self, run_id: str) -> bool:
        row = self._headrace.database.row("run", id=run_id)
        return row is not None and row["status"] in RUN_FINAL

    def _jobs(self, run_id: str) -> list[JobRow]:
        return self._headrace.database.rows("jobs_of_run", run_id=run_id)  # type: ignore[return-value]

    def _standstill(self, run_id: str) -> str:
        waiting = [
            f"{job['step']} ({job['status']})"
            for job in self._jobs(run_id)
            if job["finished_at"] is None
        ]
        return (
            f"the run does not go on: {', '.join(waiting)}; a pool without slots, a paused pipeline"
            " or a job that another process holds keeps it"
        )

    def _outcome(self, run_id: str) -> RunOutcome:
        row = self._headrace.database.row("run", id=run_id)
        assert row is not None
        steps = {str(job["step"]): self._step(job) for job in self._jobs(run_id)}
        return RunOutcome(row["status"], row["error"], steps, run_id)

    def _step(self, job: JobRow) -> StepOutcome:
        lines = self._headrace.database.rows("logs_of_job", id=job["id"])
        return StepOutcome(
            job["status"],
            job["result"],
            job["error"],
            tuple(line["message"] for line in lines),
            job["traceback"],
            job["attempt"],
            job["skip_reason"],
            str(job["id"]),
        )
