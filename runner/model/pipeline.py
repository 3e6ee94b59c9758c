"""Content of a pipeline file after validation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from headrace.model.notifications import Expectation, Notify
from headrace.model.retry import RetryPolicy
from headrace.model.subpipeline import pipeline_of


@dataclass(frozen=True, slots=True)
class Calendar:
    """Days that a schedule counts: `days` is one of working, holidays and not_holidays.

    Holidays are those of `country` (ISO 3166, two letters) and its `subdivision`, and `dates`,
    in order. The weekend is the country's, or Saturday and Sunday.
    """

    days: str = "working"
    country: str | None = None
    subdivision: str | None = None
    dates: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rule that makes runs due: exactly one of `cron` and `interval_s` is set.

    `start` belongs to the schedule's time, `end` no more; both are aware datetimes. `catchup`
    is one of none, latest and all. `catchup_window_s` is how old a missed instant may be and
    `start_deadline_s` how late a run may start, both in seconds, None without a limit.
    `jitter_s` is the longest shift of a run behind its instant. With a `calendar`, only
    instants on the days that it counts are any.
    """

    cron: str | None = None
    interval_s: float | None = None
    timezone: str = "UTC"
    catchup: str = "latest"
    catchup_window_s: float | None = None
    start_deadline_s: float | None = None
    jitter_s: float = 0.0
    start: datetime | None = None
    end: datetime | None = None
    calendar: Calendar | None = None


@dataclass(frozen=True, slots=True)
class Param:
    """One declared parameter. `required` ones have no default.

    `enum`, `min` and `max` are as the file has them and are read by `type`, so that a date's
    bounds may be texts. `min` and `max` bound numbers, dates and times by value, strings and
    lists by length. `pattern` is to match the whole of a string.
    """

    name: str
    type: str = "string"
    required: bool = False
    default: Any = None
    description: str = ""
    enum: tuple[Any, ...] | None = None
    pattern: str | None = None
    min: Any = None
    max: Any = None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Limit of the runs at a time: `limit` of all whose `group` it is.

    `on_conflict`, one of queue, skip, replace and fail, says what becomes of one more.
    """

    limit: int = 1
    on_conflict: str = "queue"
    group: str = ""


@dataclass(frozen=True, slots=True)
class PipelineTrigger:
    """A run starts when runs of all these pipelines have ended, `window_s` apart at the most.

    `on`, one of completed, failed and ended, says how; `with_` are parameters of the new run,
    which may be templates over `upstream`.
    """

    pipelines: tuple[str, ...]
    window_s: float = 86400.0
    on: str = "completed"
    with_: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Foreach:
    """A step is expanded into one job an item. `items` is a list, or a template of one.

    `max_concurrent` of them run at a time; None sets no limit.
    """

    items: Any
    as_: str = "item"
    max_concurrent: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a pipeline: which job class runs, after which steps, with what.

    `env` are environment variables that hold while the job runs; see `headrace.observe.redaction`.
    `job` may stand for a pipeline instead: see `headrace.model.subpipeline`.
    """

    id: str
    job: str
    depends_on: tuple[str, ...] = ()
    trigger_rule: str = "all_success"
    when: str | None = None
    allow_failure: bool = False
    foreach: Foreach | None = None
    queue: str | None = None
    pool: str | None = None
    with_: Mapping[str, Any] = field(default_factory=dict)
    retry: RetryPolicy | None = None
    timeout_s: float | None = None
    description: str = ""
    handler: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    expected: Expectation | None = None

    @property
    def pipeline(self) -> str | None:
        """The pipeline that the step runs, if it runs one."""
        return pipeline_of(self.job)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One validated pipeline file, `defaults` already applied to its steps.

    `handlers` are steps that run after the others; their `handler` is one of success, failure
    and finally.

    `version` is the SHA-256 of the file's bytes, of the _defaults.yaml that hold for it and of
    its calendars' files; `folder` its absolute folder, from which relative paths in `with` are
    looked up. `source` are the file's bytes.
    """

    name: str
    file: str
    folder: str
    version: str
    steps: tuple[Step, ...]
    description: str = ""
    schedules: tuple[Schedule, ...] = ()
    params: tuple[Param, ...] = ()
    concurrency: Concurrency | None = None
    handlers: tuple[Step, ...] = ()
    trigger: PipelineTrigger | None = None
    notify: Notify | None = None
    expected: Expectation | None = None
    source: bytes = field(default=b"", repr=False, compare=False)

    def expectations(self) -> dict[str, Expectation]:
        """Return when steps are late, by their ids, and under the name "" when a run is."""
        steps = [(step.id, step.expected) for step in (*self.steps, *self.handlers)]
        return {name: one for name, one in [("", self.expected), *steps] if one is not None}
