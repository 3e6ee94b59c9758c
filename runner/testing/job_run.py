"""Runs one attempt of one job in a test."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headrace import jobapi
from headrace.declarations.config import Settings
from headrace.engine.application import Headrace
from headrace.engine.attempts.outcome import Handled, Raised
from headrace.engine.attempts.recorded_end import record_end
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.job_type import JobType
from headrace.errors import JobFailure
from headrace.jobapi import Permissions
from headrace.jobapi.payload_call import refuse_unstorable
from headrace.jobs.base import BaseJob, class_name
from headrace.model import exact_json
from headrace.model.ids import new_id
from headrace.model.job_parameters import written
from headrace.observe.joblog import JobLog
from headrace.store.attempts import AttemptStore, Claimed
from headrace.store.fresh_database import FreshDatabase
from headrace.testing.in_process import (
    NO_CONNECTIONS,
    WORKER,
    executor_of,
    heard,
    url_of,
    with_given,
)
from headrace.testing.kept_messages import KeptMessages


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The outcome of one attempt of a job.

    `status` is `completed` or `failed`; `result` is what was stored, `error` and `traceback` what
    a row would keep of a failure. `logs` are the lines that the job has logged and printed.
    `job_id` is that of its row in the database; None without one.
    """

    status: str
    result: Any = None
    error: str | None = None
    logs: tuple[str, ...] = ()
    traceback: str | None = None
    job_id: str | None = None


def run_job(
    job: type[BaseJob],
    with_: Mapping[str, Any] | None = None,
    *,
    database: FreshDatabase | str | None = None,
    connections: Mapping[str, str | FreshDatabase] = NO_CONNECTIONS,
    project: Path | str = ".",
    shell_commands: bool = False,
    allowed_hosts: Iterable[str] = (),
) -> JobOutcome:
    """Run one attempt of a job in this process, as a worker runs it, and return how it ended.

    `with_` holds the parameters, templates rendered. What the job does to `database` (or to the
    database of that URL, which has Headrace's schema) is committed together with its completion.
    Without `database` the job runs in memory: it can do all but open a session. `connections` are
    further databases by name. Nothing is read from config.yaml, so that no test reaches what it
    names; `project` is the folder in which `pipelines/` and `exports/` are looked for.

    Raises:
        InvalidPayload: The parameters do not fit the class.
    """
    url = None if database is None else url_of(database)
    folder = Path(project).resolve()
    payload = {name: written(value) for name, value in (with_ or {}).items()}
    refuse_unstorable(job, payload)
    with TemporaryDirectory(prefix="headrace-") as home, ExitStack() as stack:
        permissions = Permissions(shell_commands, tuple(allowed_hosts))
        settings = Settings(folder, Path(home), folder / "pipelines")
        settings = with_given(settings, connections, permissions)
        store = AttemptStore(url, WORKER) if url is not None else _NoStore()
        stack.callback(store.drop)
        running = _Running(settings, store, _OneMore(job, folder / "jobs"))
        if url is None:
            return running.in_memory(job, payload)
        headrace = stack.enter_context(Headrace(settings, url, "", ExitStack(), WORKER))
        headrace.registry = running.registry
        headrace.sender = KeptMessages(lambda: headrace.keys)
        return running.recorded(job, payload, headrace)


class _Running:
    """One attempt of one job."""

    def __init__(self, settings: Settings, store: AttemptStore, registry: Registry) -> None:
        self.registry = registry
        self._log = JobLog()
        self._executor = executor_of(settings, store, registry, self._log)

    def in_memory(self, job: type[BaseJob], payload: Mapping[str, Any]) -> JobOutcome:
        """Run it with nothing around it."""
        name = class_name(job)
        self.registry.arguments(name, payload)
        with jobapi.dispatching_by(_NoDispatcher()):
            # The parameters as the row's JSON would have them.
            stored = exact_json.loads(exact_json.dumps(payload, allow_nan=False))
            claimed = _claimed(name, stored)
            handled = self._handle(claimed)
        ended, error = "completed", None
        if isinstance(handled, Raised):
            ended, error = "failed", handled.error
        result = handled.result if isinstance(handled, Handled) else None
        self._executor.hooks.note(claimed, ended, result=result, error=error)
        self._executor.hooks.after()
        return self._outcome(
            ended,
            exact_json.loads(result) if result is not None else None,
            error,
            handled.traceback if isinstance(handled, Raised) else None,
        )

    def recorded(
        self, job: type[BaseJob], payload: Mapping[str, Any], headrace: Headrace
    ) -> JobOutcome:
        """Run it with a row of its own in the database."""
        executor = self._executor
        with jobapi.dispatching_by(headrace.dispatcher):
            job_id = headrace.dispatcher.dispatch(class_name(job), payload, retry=0)
            claimed = executor.store.claim(job_id, 0)
            assert claimed is not None, "another process has taken the job"
            record_end(executor, claimed, self._handle(claimed))
        executor.hooks.after()
        row = headrace.database.row("job", id=job_id)
        assert row is not None
        return self._outcome(row["status"], row["result"], row["error"], row["traceback"], job_id)

    def _handle(self, claimed: Claimed) -> Handled | Raised:
        with heard(self._log):
            return self._executor.handle(claimed)

    def _outcome(
        self,
        status: str,
        result: Any,
        error: str | None,
        traceback: str | None,
        job_id: str | None = None,
    ) -> JobOutcome:
        said = self._log.unkept
        lines = tuple(entry["message"] for entry in said.entries) if said is not None else ()
        return JobOutcome(status, result, error, lines, traceback, job_id)


class _OneMore(Registry):
    """The job classes of a project and one that need not lie among them."""

    def __init__(self, job: type[BaseJob], folder: Path) -> None:
        super().__init__(folder=folder)
        self._given = JobType(class_name(job), job)

    def get(self, name: str) -> JobType:
        """See `Registry`."""
        return self._given if name == self._given.name else super().get(name)


class _NoStore(AttemptStore):
    """No control database: a job that wants one is told what to do."""

    def __init__(self) -> None:
        super().__init__("", WORKER)

    @property
    def raw(self) -> Any:
        """See `ChildConnection`."""
        raise JobFailure(
            "the job opens a session, and run_job was given no database: with database() as db:"
            " run_job(…, database=db)"
        )

    def broken(self, error: BaseException) -> bool:  # noqa: ARG002 - as its class has it
        """See `ChildConnection`."""
        return False


class _NoDispatcher:
    def dispatch(self, job_class: str, payload: Mapping[str, Any], **_options: Any) -> str:  # noqa: ARG002
        raise _nowhere(job_class)

    def dispatch_many(
        self,
        job_class: str,
        payloads: Sequence[Mapping[str, Any]],  # noqa: ARG002
        **_options: Any,
    ) -> list[str]:
        raise _nowhere(job_class)


def _nowhere(job_class: str) -> JobFailure:
    return JobFailure(
        f"the job dispatches {job_class}, and run_job was given no database: with database()"
        " as db: run_job(…, database=db)"
    )


def _claimed(job_class: str, payload: dict[str, Any]) -> Claimed:
    return Claimed(
        id=new_id(), job_class=job_class, payload=payload, queue="medium", attempt=1,
        retry_count=0, timeout_s=0, retry="{}", run_id=None, pipeline=None, step=None,
        dependents=0, late=False, folder="", logical_date=None, pool=None, pool_slots=None,
        env=None,
    )  # fmt: skip
