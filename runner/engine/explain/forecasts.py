"""Asks the jobs of a plan what they would change in the data as it is now."""

import logging
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.explain.sql_preview import of_attempt
from headrace.errors import ConfigError, HeadraceError, StoreUnavailable
from headrace.jobapi import logger
from headrace.model.forecast import Forecast
from headrace.model.plan import Plan, PlannedJob
from headrace.model.subpipeline import pipeline_of
from headrace.observe.redaction import redacted
from headrace.store.looking_sessions import LookingSessions
from headrace.store.outages import unavailable_message
from headrace.store.sql_errors import told_error
from headrace.template.guard import JobGuard

_STARTS = "known when the step starts"
_CANCELLED = "57014"
# What may stand in the way of a look and not of the job: no right to make temporary tables, a
# lock that is not free, a standby.
_ONLY_HERE = ("42501", "55P03", "25006", "55000")


@dataclass(frozen=True, slots=True)
class ForecastJob:
    """The forecast of one job; `unknown` says why there is none, `fails` why it would fail."""

    step: str
    forecast: Forecast | None = None
    unknown: str | None = None
    fails: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        found = self.forecast or Forecast()
        return {
            "tables": [one.as_json() for one in found.tables],
            "files": [one.as_json() for one in found.files],
            "rows_read": found.read,
            "notes": list(found.notes),
            "unknown": self.unknown,
            "fails": self.fails or found.fails,
        }


class _OutOfTime(BaseException):
    """The time for one step is over. No Exception: what a job catches must not hide it."""


def forecasts(
    plan: Plan,
    settings: Settings,
    registry: Registry,
    control_url: Callable[[], str],
    timeout_s: float,
) -> Iterator[ForecastJob]:
    """Yield the forecast of each job that loads data, in order; nothing is written.

    Each may take `timeout_s`. Call it in the main thread: an alarm ends what takes longer.
    """
    sessions = LookingSessions(settings.connections, control_url, JobGuard(), timeout_s)
    above = _above(plan)
    try:
        for job in plan.jobs:
            if pipeline_of(job.job_class) is None and _is_told(registry, job):
                with of_attempt(job, plan, settings, sessions):
                    found = _of_job(job, registry, sessions, timeout_s)
                sessions.roll_back()
                yield _with_notes(found, above[job.step])
    finally:
        sessions.close()


def _is_told(registry: Registry, job: PlannedJob) -> bool:
    cls = registry.get(job.job_class).cls
    return any("forecast" in vars(one) and one.__name__ != "BaseJob" for one in cls.__mro__)


def _of_job(
    job: PlannedJob, registry: Registry, sessions: LookingSessions, timeout_s: float
) -> ForecastJob:
    if job.late or job.foreach is not None:
        return ForecastJob(job.step, unknown=_STARTS)
    try:
        with _heard() as warnings, _within(timeout_s):
            made = registry.make(job.job_class, job.payload)
            sessions.step_role = getattr(made, "works_as", None)
            found = made.forecast()
    except _OutOfTime:
        return ForecastJob(job.step, unknown=f"it took longer than {timeout_s:g} s")
    except (ConfigError, StoreUnavailable) as error:
        return ForecastJob(job.step, unknown=str(error))
    except HeadraceError as error:
        return ForecastJob(job.step, fails=redacted(str(error)))
    except Exception as error:  # noqa: BLE001 - a user's class may raise anything
        return _of_error(job.step, error, timeout_s)
    finally:
        sessions.roll_back()
    if found is None:
        return ForecastJob(job.step, unknown=_STARTS)
    return ForecastJob(job.step, replace(found, notes=(*found.notes, *warnings)))


def _of_error(step: str, error: Exception, timeout_s: float) -> ForecastJob:
    """Tell what keeps a forecast from being made from what would make the job fail."""
    state = getattr(getattr(error, "orig", error), "pgcode", None)
    if state == _CANCELLED:
        return ForecastJob(step, unknown=f"it took longer than {timeout_s:g} s")
    if state is None and hasattr(error, "orig"):
        return ForecastJob(step, unknown=redacted(unavailable_message(error)))
    told = told_error(error, lambda _line: None) or f"{type(error).__name__}: {error}"
    if state is None or state in _ONLY_HERE:
        return ForecastJob(step, unknown=redacted(told))
    return ForecastJob(step, fails=redacted(told))


def _with_notes(found: ForecastJob, above: list[str]) -> ForecastJob:
    """Say that steps before it may change what it reads."""
    if not above or found.unknown == _STARTS:
        return found
    told = f"as the data is before {', '.join(above)} {'has' if len(above) == 1 else 'have'} run"
    forecast = found.forecast or Forecast()
    return replace(found, forecast=replace(forecast, notes=(*forecast.notes, told)))


def _above(plan: Plan) -> Mapping[str, list[str]]:
    """Return for each step those that run before it, in order."""
    above: dict[str, list[str]] = {}
    for job in plan.jobs:
        found: dict[str, None] = {}
        for step in job.depends_on:
            found |= dict.fromkeys([*above.get(step, ()), step])
        above[job.step] = list(found)
    return above


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Yield a list that gets the warnings of the job, which nobody else is told."""
    warnings: list[str] = []

    class _Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warnings.append(record.getMessage())

    handler, propagates = _Listening(logging.WARNING), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield warnings
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


@contextmanager
def _within(timeout_s: float) -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
