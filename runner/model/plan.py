"""Plan of one run: the pipeline expanded with its parameters, ready to be stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace.model.notifications import Expectation, Notify
from headrace.model.pipeline import Concurrency
from headrace.model.retry import RetryPolicy

# Of a job that makes one job an item once its step's items are known; no class has this name.
FOREACH = "foreach"
# Items of one foreach.
MOST_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One job to insert. `depends_on` names jobs of the same plan by their `step`.

    `step` is the step's id, or `id[0]`, `id[1]` … where the step has a `foreach`.

    `late` means that `payload` or `env` still holds templates over other steps' results; they
    are rendered when the job is claimed. `when` is an expression that the gate evaluates.
    `slots` is how many jobs of its `pool` run at a time, or of its step in this run where it
    has no pool; None sets no limit. `handler` is one of success, failure and finally: the job
    waits for the run's other jobs.

    `foreach` has `items` and `as` where the items come from other steps' results, or where there
    are none: the job then stands for one job an item, all of which are made when it is claimed.
    """

    step: str
    job_class: str
    payload: Mapping[str, Any]
    queue: str
    retry: RetryPolicy
    timeout_s: float
    depends_on: tuple[str, ...] = ()
    trigger_rule: str = "all_success"
    when: str | None = None
    allow_failure: bool = False
    late: bool = False
    handler: str | None = None
    pool: str | None = None
    slots: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    foreach: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs of one run in an order in which every job follows what it depends on.

    `folder` is where relative paths are looked up first, below the pipelines folder.
    `param_types` says how the stored `params` are read again, `timezone` on whose clock
    `logical_date` is.
    `parent_job` is the id of the job that waits for the run, where a step has started it.
    `expected` says when a step is late, by its id, and the run under the name "".
    """

    pipeline: str
    version: str
    params: Mapping[str, Any]
    logical_date: datetime
    jobs: tuple[PlannedJob, ...] = field(default=())
    folder: str = ""
    param_types: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    concurrency: Concurrency | None = None
    parent_job: str | None = None
    notify: Notify | None = None
    expected: Mapping[str, Expectation] = field(default_factory=dict)
