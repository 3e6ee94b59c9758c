"""What `validate` says of a pipeline, and what a run says: the two that must agree."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.declarations.config import Settings
from headrace.declarations.load import load_folder
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.explain.dry_run import rehearse
from headrace.engine.explain.sql_preview import preview_sql
from headrace.engine.planning.planner import Planner
from headrace.errors import HeadraceError, ProblemsError
from headrace.model.status import Trigger
from tests.support.by_hand import ByHand

# Headrace's own, but said of data, files and programs, which are there or not when it runs.
_OF_DATA = re.compile(
    r"there is no file '[^']*(?<!\.sql)'|answered \d{3}|exit code|the command cannot be started"
    r"|checks? |is null|is not unique|is not in|has \d+ rows|: has no column|gave no answer"
    r"|cannot be reached|the answer|the document|is not a list of objects|\.csv:\d|has no keys"
    r"|custom exception|rows that should not|ended with|there is no column|no such index"
    r"|there is no table|has no column '|which its result holds"
    # Tables and types are the catalogue's: a declared type may be one of the user's own.
    r"|does not fit the rows|`columns` declares"
)
_RAISED = re.compile(r"[\w.]+(Error|Failure|Payload|Sql|Refused)\b")
# What a value of another type would have borne.
_OF_TYPES = re.compile(
    r"unsupported operand|has no such entry|can only concatenate|not supported between"
)
_KINDS = ("step", "handler")
_OURS = ("runner.errors.", "jobs.", "TypeError", "AttributeError", "ValueError")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused`: in Headrace's own words, before or while it ran. `completed`: to its end.

    `unheard` are the steps that have not run, of which a run says nothing.
    """

    refused: str = ""
    completed: bool = False
    at_load: bool = False
    unheard: frozenset[str] = frozenset()

    def contradicts(self, told: list[str]) -> bool:
        """Tell whether the run has done well what `validate` refuses."""
        return self.completed and any(not self._is_of_unheard(one) for one in told)

    def _is_of_unheard(self, told: str) -> bool:
        return any(f'{kind} "{step}"' in told for step in self.unheard for kind in _KINDS)


def of_validate(folder: Path, settings: Settings) -> list[str]:
    """Return the errors that `headrace validate` shows."""
    registry = Registry()
    loaded = load_folder(folder, registry, settings)
    found = [*loaded.problems, *rehearse(loaded.pipelines.values(), settings, registry)]
    return [str(problem) for problem in found if problem.severity == "error"]


def of_plan(settings: Settings, pipeline: str) -> str:
    """Return what `headrace plan` ends with 1 for; '' where it is content."""
    registry = Registry()
    pipelines = Pipelines(settings, registry)
    try:
        planner = Planner(settings, pipelines, registry)
        plan = planner.plan(pipelines.get(pipeline), {}, datetime.now(UTC), Trigger.MANUAL)
    except HeadraceError as error:
        return str(error)
    told = (one for one in preview_sql(plan, settings, registry) if one.fatal)
    return next((f"{one.step}: {one.error}" for one in told), "")


def fed_by_rows(document: Any) -> frozenset[str]:
    """Return the steps that are given rows of a query: their types are the database's."""
    steps = document.get("steps") if isinstance(document, dict) else None
    return frozenset(
        str(step.get("id"))
        for step in (steps if isinstance(steps, list) else [])
        if isinstance(step, dict) and ".result.rows" in str(step)
    )


def of_run(hand: ByHand, pipeline: str, fed: frozenset[str] = frozenset()) -> Verdict:
    """Run a pipeline through the engine, and say how it ended; see `fed_by_rows`."""
    try:
        run = hand.run(pipeline)
    except ProblemsError as error:
        return Verdict(str(error), at_load=True)
    except HeadraceError as error:
        return Verdict(str(error))
    jobs = hand.jobs(run)
    if any(_is_outside(row) for row in jobs.values()):
        # What comes of it further down, in a handler for example, is no word of its own.
        return Verdict()
    for step, row in jobs.items():
        if step.partition("[")[0] in fed and _OF_TYPES.search(row["error"] or ""):
            return Verdict()
        if row["error"] and _is_ours(row):
            return Verdict(f"{step}: {row['error']}")
    unheard = frozenset(step for step, row in jobs.items() if row["status"] == "skipped")
    return Verdict(completed=run["status"] == "completed", unheard=unheard)


def _is_outside(row: dict[str, Any]) -> bool:
    return row["status"] == "failed" and row["job_class"] != "FailedJob" and not _is_ours(row)


def _is_ours(row: dict[str, Any]) -> bool:
    if row["status"] not in ("failed", "retrying"):
        return False
    if _OF_DATA.search(row["error"]):
        return False
    last = (row["traceback"] or "").strip().rpartition("\n")[2]
    raised = next(
        (line for line in reversed((row["traceback"] or "").splitlines()) if _RAISED.match(line)),
        last,
    )
    if not row["traceback"]:
        return True
    return raised.startswith(_OURS)
