"""Finds in valid pipelines what a run would be refused for, and what may not be meant.

Both need no database. What was found is remembered, where the pipeline's own file and files that
were noted decide about it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from headrace.declarations.config import Settings
from headrace.engine.catalog.checked_files import CheckedFiles, content_of
from headrace.engine.catalog.job_registry import Registry
from headrace.errors import Problem
from headrace.jobapi.folders import noted
from headrace.model.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Findings:
    """Problems of pipelines that were valid, and the names of those that no run would take."""

    problems: list[Problem] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)


def findings_of(
    pipelines: Mapping[str, Pipeline],
    settings: Settings,
    registry: Registry,
    checked: CheckedFiles,
) -> Findings:
    """Return what is found in pipelines, which may speak of each other."""
    found = Findings()
    for name, pipeline in pipelines.items():
        problems = _of_pipeline(pipeline, pipelines, settings, registry, checked)
        found.problems.extend(problems)
        if any(problem.severity == "error" for problem in problems):
            found.refused.add(name)
    return found


def _of_pipeline(
    pipeline: Pipeline,
    pipelines: Mapping[str, Pipeline],
    settings: Settings,
    registry: Registry,
    checked: CheckedFiles,
) -> list[Problem]:
    what = _what()
    kept = checked.found(pipeline, what)
    if kept is not None:
        problems: list[Problem] = kept
        return problems
    with noted(content_of) as places:
        problems = _looked_for(pipeline, pipelines, settings, registry)
    errors = any(problem.severity == "error" for problem in problems)
    if not errors and _stands_alone(pipeline) and checked.is_ours(pipeline):
        checked.remember(pipeline, what, problems, places)
    return problems


def _looked_for(
    pipeline: Pipeline,
    pipelines: Mapping[str, Pipeline],
    settings: Settings,
    registry: Registry,
) -> list[Problem]:
    # Imported here: they bring Jinja and sqlglot.
    from headrace.declarations.lint.sql_warnings import lint
    from headrace.engine.explain.dry_run import rehearse

    refused = rehearse([pipeline], settings, registry, pipelines)
    if any(problem.severity == "error" for problem in refused):
        return refused
    return [*refused, *lint([pipeline], settings, registry)]


def _what() -> str:
    """Return what is found: places are shown from a folder, and times are rendered for a day."""
    return f"findings {datetime.now(UTC).date()} {os.getcwd()}"  # noqa: PTH109


def _stands_alone(pipeline: Pipeline) -> bool:
    """Return whether no other pipeline decides about it.

    A parameter without a value may be given by the trigger, or by others that run it.
    """
    steps = (*pipeline.steps, *pipeline.handlers)
    given = all(param.required or param.default is not None for param in pipeline.params)
    return given and all(step.pipeline is None for step in steps)
