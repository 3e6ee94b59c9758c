"""What one run will do: the pipeline expanded with its parameters, ready to be stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runner.model.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One job to insert. `depends_on` names steps of the same plan.

    `late` tells that `payload` still holds templates over other steps' results; they are
    rendered when the job is claimed.
    """

    step: str
    job_class: str
    payload: Mapping[str, Any]
    queue: str
    retry: RetryPolicy
    timeout_s: float
    depends_on: tuple[str, ...] = ()
    trigger_rule: str = "all_success"
    late: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All jobs of one run in an order in which every job follows what it depends on.

    `folder` is where relative paths are looked up first, below the pipelines folder.
    """

    pipeline: str
    version: str
    params: Mapping[str, Any]
    logical_date: datetime
    jobs: tuple[PlannedJob, ...] = field(default=())
    folder: str = ""
