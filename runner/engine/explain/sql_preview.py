"""The SQL that a plan's jobs would run, found without running anything."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from headrace import jobapi
from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.planning.run_params import with_params
from headrace.errors import HeadraceError, JobFailure
from headrace.jobapi.attempt_sessions import Sessions
from headrace.model.connection import Kind
from headrace.model.pipeline import Pipeline
from headrace.model.plan import Plan, PlannedJob
from headrace.model.subpipeline import pipeline_of
from headrace.template import Preview
from headrace.template.braces import has_template
from headrace.template.written import forget_texts

_SQL = ("sql", "sql_path")


@dataclass(frozen=True, slots=True)
class PreviewedJob:
    """One job's statements, or why they are not known; `fatal` where it could not run either."""

    step: str
    statements: tuple[Preview, ...] = ()
    error: str | None = None
    fatal: bool = False


def preview_sql(plan: Plan, settings: Settings, registry: Registry) -> Iterator[PreviewedJob]:
    """Yield the SQL of each job that has any, or what keeps a job from running, in order."""
    for job in plan.jobs:
        if pipeline_of(job.job_class) is not None:
            continue
        payload = job.payload
        if job.foreach is not None:
            # The jobs of its items are given the run's params as they are made.
            payload = with_params(registry, job.job_class, payload, plan.params, of_item=True)
        with of_attempt(job, plan, settings):
            found = _of_job(registry, job, payload)
        if found.statements or found.error:
            yield found


def _of_job(registry: Registry, job: PlannedJob, payload: Mapping[str, Any]) -> PreviewedJob:
    cls = registry.get(job.job_class).cls
    try:
        if job.late:
            if not _tells(cls, job):
                return PreviewedJob(job.step)
            late = registry.make_of_known(job.job_class, payload, has_template)
            return PreviewedJob(job.step, tuple(late.preview()))
        made = registry.make(job.job_class, payload)
        statements = tuple(made.preview()) if _tells(cls, job) else ()
        made.rehearse()
        return PreviewedJob(job.step, statements)
    except NoDatabase:
        return PreviewedJob(job.step)
    except HeadraceError as error:
        # What other steps' results are still missing from may be fine by then.
        return PreviewedJob(job.step, error=str(error), fatal=not job.late)
    except Exception as error:  # noqa: BLE001 - a user's class may raise anything
        return PreviewedJob(job.step, error=f"{type(error).__name__}: {error}")


def _tells(cls: type, job: PlannedJob) -> bool:
    """Return whether a job has statements: a preview of its own, or that of its SQL."""
    own = any("preview" in vars(one) and one.__name__ != "BaseJob" for one in cls.__mro__)
    return own or any(isinstance(job.payload.get(key), str) for key in _SQL)


def _due(plan: Plan) -> datetime:
    return plan.logical_date.astimezone(ZoneInfo(plan.timezone))


@contextmanager
def of_attempt(
    job: PlannedJob, plan: Plan, settings: Settings, sessions: Sessions | None = None
) -> Iterator[None]:
    """Let a planned job look up files and times as it will; without sessions it has no database."""
    where = Path(plan.folder), plan.pipeline, job.step, _due(plan)
    with _entered(*where, settings, sessions):
        yield


@contextmanager
def entered(pipeline: Pipeline, step: str, settings: Settings) -> Iterator[None]:
    """Let a job of a step look up files and times as it will."""
    with _entered(Path(pipeline.folder), pipeline.name, step, datetime.now(UTC), settings):
        yield


@contextmanager
def _entered(
    folder: Path,
    pipeline: str,
    step: str,
    logical_date: datetime,
    settings: Settings,
    sessions: Sessions | None = None,
) -> Iterator[None]:
    # Ids are made with the run: none yet.
    attempt = jobapi.Attempt(
        job_id=None,  # type: ignore[arg-type]
        attempt=1,
        project=settings.project,
        folders=settings.folders(str(folder)),
        sessions=sessions or _NoSessions(settings),
        pipeline=pipeline,
        step=step,
        logical_date=logical_date,
        permissions=jobapi.Permissions(
            settings.shell_commands, settings.allowed_hosts, settings.storage
        ),
    )
    jobapi.enter(attempt)
    forget_texts()
    try:
        yield
    finally:
        jobapi.enter(None)


class NoDatabase(JobFailure):
    """A job wants a database where there is none."""


class _NoSessions:
    """Return the statements without asking a database."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def kind_of(self, connection: str | None) -> Kind:
        """Return the kind of a connection's database, as its URL says it."""
        known = self._settings.connections.get(connection) if connection is not None else None
        return known.kind if known is not None else "postgresql"

    def other(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse."""
        raise NoDatabase("a preview has no database")

    def other_alone(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse."""
        raise NoDatabase("a preview has no database")

    def session(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse."""
        raise NoDatabase("a preview has no database")

    def statements(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse."""
        raise NoDatabase("a preview has no database")

    def autocommit(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse."""
        raise NoDatabase("a preview has no database")

    def aside(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse."""
        raise NoDatabase("a preview has no database")

    def batch(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse."""
        raise NoDatabase("a preview has no database")

    def snapshot(self, *_given: object, **_named: object) -> NoReturn:
        """Refuse."""
        raise NoDatabase("a preview has no database")
