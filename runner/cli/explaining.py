"""`headrace validate --explain`: what PostgreSQL says about the SQL of valid pipelines."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from headrace.cli.installation_access import control_url
from headrace.errors import InvalidParams
from headrace.errors.numbers import number_of
from headrace.errors.suggestions import did_you_mean

if TYPE_CHECKING:
    from headrace.declarations.config import Settings
    from headrace.engine.explain.explain import Explained, Looked
    from headrace.model.pipeline import Pipeline


def explain(
    pipelines: "Iterable[Pipeline]", params: Mapping[str, str], settings: "Settings"
) -> "Explained":
    """Have the statements of these pipelines explained.

    Raises:
        InvalidParams: None of them declares a parameter that is given.
    """
    from headrace.engine.catalog.job_registry import registry_of
    from headrace.engine.explain.explain import Explaining

    listed = list(pipelines)
    declared = {param.name for pipeline in listed for param in pipeline.params}
    for name in params:
        if name not in declared:
            hint = did_you_mean(name, declared, listed_as="they have")
            raise InvalidParams(f'no pipeline here has a parameter "{name}"; {hint}')
    registry = registry_of(settings)
    explaining = Explaining(settings, registry, lambda: control_url(settings))
    try:
        for pipeline in listed:
            explaining.pipeline(pipeline, params)
    finally:
        explaining.close()
    return explaining.found


def print_estimates(explained: "Explained") -> None:
    """Show the planner's estimate of each statement that was explained."""
    for one in explained.looked:
        if one.outcome == "explained":
            print(
                f'{one.file}:{one.line}:{one.column}: step "{one.step}":'
                f" cost {one.cost:.2f}, {number_of(one.rows or 0, 'row')}"
            )


def print_summary(explained: "Explained") -> None:
    """Count what became of the statements, and name the databases that do not answer."""
    counts = Counter(one.outcome for one in explained.looked)
    parts = [f"{number_of(counts['explained'], 'statement')} explained"]
    if counts["failed"]:
        parts.append(f"{counts['failed']} failed")
    if counts["noted"]:
        parts.append(f"{counts['noted']} noted")
    if counts["skipped"]:
        parts.append(f"{counts['skipped']} skipped ({_reasons(explained.looked)})")
    print(", ".join(parts))
    sys.stdout.flush()
    for name, told in explained.unreachable.items():
        print(f"{name}: {told}", file=sys.stderr)


def _reasons(looked: "Iterable[Looked]") -> str:
    reasons = Counter(one.told for one in looked if one.outcome == "skipped")
    return "; ".join(f"{count} where {told}" for told, count in reasons.most_common())
