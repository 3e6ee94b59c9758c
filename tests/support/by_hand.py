"""A whole installation in this process: runs are started, and their jobs executed by hand."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.declarations.config import Settings
from headrace.engine.application import Headrace, connect
from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.outcome import Raised
from headrace.engine.attempts.surroundings import Surroundings
from headrace.jobapi import Permissions
from headrace.model.connection import NamedConnection
from headrace.observe.joblog import JOB_LOGGER, JobLog
from headrace.store.attempts import AttemptStore
from headrace.store.database import Row
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from headrace.template.values import render_value

_NONE: Mapping[str, NamedConnection] = {}


@dataclass
class ByHand:
    """`work` executes what is queued, one job after the other, as a worker does."""

    headrace: Headrace
    executor: Executor

    def declare(self, text: str) -> None:
        """Write a pipeline file, over one that was written before."""
        folder = self.headrace.settings.pipelines
        folder.mkdir(exist_ok=True)
        (folder / "pipeline.yaml").write_text(text, encoding="utf-8")

    def run(self, pipeline: str, **params: Any) -> Mapping[str, Any]:
        """Start a run, work until nothing is left, and return the run's row."""
        started = self.headrace.start_run(pipeline, params)
        self.work()
        row = self.headrace.database.row("run", id=started["id"])
        assert row is not None
        return row

    def jobs(self, run: Mapping[str, Any]) -> dict[str, Row]:
        """Return the run's jobs by their steps."""
        rows = self.headrace.database.rows("jobs_of_run", run_id=run["id"])
        return {row["step"]: row for row in rows}

    def statuses(self, run: Mapping[str, Any]) -> dict[str, str]:
        """Return the statuses of the run's jobs by their steps."""
        return {step: row["status"] for step, row in self.jobs(run).items()}

    def work(self) -> list[str]:
        """Execute queued jobs, those that they release too; returns the steps in order."""
        done: list[str] = []
        while steps := self.work_once():
            done += steps
        return done

    def work_once(self) -> list[str]:
        """Execute the jobs that are queued now; returns the steps in order."""
        queued = self.headrace.database.rows("overdue_messages", older_than_s=0)
        ordered = sorted(queued, key=lambda row: row["id"])
        return [self._execute(str(row["id"]), row["attempt"]) for row in ordered]

    def _execute(self, job_id: str, attempt: int) -> str:
        executor = self.executor
        claimed = executor.store.claim(job_id, attempt)
        assert claimed is not None
        handled = executor.handle(claimed)
        if isinstance(handled, Raised):
            executor.give_up(claimed, handled)
        else:
            executor.progress.release_dependants([claimed.id], executor.complete(claimed, handled))
            executor.write_log(claimed)
        executor.progress.finish_run(claimed)
        executor.sessions.clean()
        return claimed.step or claimed.job_class


@contextmanager
def by_hand(
    database_url: str,
    redis_url: str,
    folder: Path,
    connections: Mapping[str, NamedConnection] = _NONE,
    **more: Any,
) -> Iterator[ByHand]:
    """Yield the installation; `folder` is its project, `more` are further settings."""
    settings = Settings(
        folder,
        folder,
        folder / "pipelines",
        database_url=database_url,
        redis_url=redis_url,
        **{"connections": connections, "job_packages": ("tests",), **more},
    )
    log = JobLog()
    logging.getLogger(JOB_LOGGER).addHandler(log)
    with connect(settings, role="test") as headrace:
        store = AttemptStore(database_url, "by-hand")
        sessions = JobSessions(store, settings.connections, JobGuard(), "by-hand")
        permissions = Permissions(settings.shell_commands, settings.allowed_hosts)
        surroundings = Surroundings(settings.project, settings.folders(), render_value, permissions)
        yield ByHand(headrace, Executor(store, sessions, headrace.registry, surroundings, log))
        store.drop()
    logging.getLogger(JOB_LOGGER).removeHandler(log)
