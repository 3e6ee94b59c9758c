"""`headrace plan --diff`: what the daemon runs now, beside what the file says."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.cli.installation_access import reached_database, settings_of
from headrace.cli.instants import next_instants
from headrace.cli.previewing import as_text
from headrace.cli.printing import clock, print_json
from headrace.errors import ConfigError, Problem, ProblemsError, UnknownPipeline
from headrace.errors.numbers import number_of

if TYPE_CHECKING:
    from headrace.declarations.config import Settings
    from headrace.declarations.source import Position
    from headrace.engine.catalog.active_definitions import Running
    from headrace.engine.catalog.pipeline_catalog import Pipelines
    from headrace.model.pipeline import Pipeline
    from headrace.plan.diff import Change
    from headrace.plan.upcoming_instants import PreviewRow

# How long the path of a step that came or went is.
_WHOLE = {"steps": 2, "handlers": 3}
_MARKS = {"added": "+", "removed": "-", "changed": "~"}


@dataclass(frozen=True, slots=True)
class _Compared:
    """Both sides. `problems` are the file's, where it is not valid."""

    name: str
    running: "Running | None"
    on_disk: "Pipeline | None"
    problems: list[Problem] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.problems:
            return "invalid"
        if self.on_disk is None:
            return "removed"
        return "new" if self.running is None else "both"


def diff(given: argparse.Namespace) -> int:
    """Show how the file differs from what the daemon runs; 1 where the file is not valid."""
    if given.params or given.logical_date:
        raise ConfigError("--diff compares pipelines, not runs: leave out -p and --logical-date")
    settings = settings_of(given)
    compared = _compared(given.pipeline, settings)
    changes, places = _changes(compared)
    fires = _fire_times(compared, changes)
    if given.json:
        print_json(_as_json(compared, changes, places, fires))
    else:
        _print(compared, changes, places, fires)
    return 1 if compared.problems else 0


def _compared(name: str, settings: "Settings") -> _Compared:
    from headrace.engine.catalog.active_definitions import running
    from headrace.engine.catalog.job_registry import registry_of
    from headrace.engine.catalog.pipeline_catalog import Pipelines

    with reached_database(settings) as database:
        in_force = running(database)
    if in_force is None:
        raise ConfigError(
            "no daemon is running, so no pipelines are active; `headrace up` starts one"
        )
    pipelines = Pipelines(settings, registry_of(settings))
    known = in_force.get(name)
    try:
        return _Compared(name, known, pipelines.get(name))
    except ProblemsError as error:
        return _Compared(name, known, None, error.problems)
    except UnknownPipeline:
        if known is None:
            raise
        return _Compared(name, known, None, _problems_of(known.file, pipelines))


def _problems_of(file: str, pipelines: "Pipelines") -> list[Problem]:
    """Return what is wrong with a file that is too broken to tell its pipeline's name."""
    return [
        one
        for one in pipelines.problems
        if one.severity == "error" and Path(one.file).name == Path(file).name
    ]


def _changes(compared: _Compared) -> "tuple[list[Change], list[Position | None]]":
    import json

    from headrace.declarations.file_places import place_of
    from headrace.declarations.source import read, scan
    from headrace.model.definition import definition
    from headrace.plan.diff import differences

    if compared.on_disk is None or compared.running is None:
        return [], []
    # As it would come back from the database.
    after = json.loads(json.dumps(definition(compared.on_disk)))
    changes = differences(compared.running.definition, after)
    content = read(Path(compared.on_disk.file))
    document = None if isinstance(content, Problem) else scan(content, compared.on_disk.file)[0]
    if document is None:
        return changes, [None for _ in changes]
    return changes, [place_of(document, change.path) for change in changes]


def _fire_times(
    compared: _Compared, changes: "list[Change]"
) -> "tuple[list[PreviewRow], list[PreviewRow]] | None":
    """Return the next instants before and after; None where the schedule is the same."""
    from headrace.model.definition import schedules_of

    if compared.running is None or compared.on_disk is None:
        return None
    if not any(change.path[0] == "schedule" for change in changes):
        return None
    before = schedules_of(compared.running.definition)
    return next_instants(before), next_instants(compared.on_disk.schedules)


def _as_json(
    compared: _Compared,
    changes: "list[Change]",
    places: "list[Position | None]",
    fires: "tuple[list[PreviewRow], list[PreviewRow]] | None",
) -> dict[str, Any]:
    from dataclasses import asdict

    running, on_disk = compared.running, compared.on_disk
    verdict = compared.verdict
    if verdict == "both":
        verdict = "different" if changes else "same"
    return {
        "pipeline": compared.name,
        "verdict": verdict,
        "running": running
        and {"version": running.version, "file": running.file, "loaded_at": running.loaded_at},
        "on_disk": on_disk and {"version": on_disk.version, "file": on_disk.file},
        "changes": [
            {
                "kind": change.kind,
                "path": list(change.path),
                "old": change.old,
                "new": change.new,
                "line": place.line if place else None,
                "column": place.column if place else None,
            }
            for change, place in zip(changes, places, strict=True)
        ],
        "next_instants": fires
        and {
            "before": [row.as_json() for row in fires[0]],
            "after": [row.as_json() for row in fires[1]],
        },
        "problems": [asdict(problem) for problem in compared.problems],
    }


def _print(
    compared: _Compared,
    changes: "list[Change]",
    places: "list[Position | None]",
    fires: "tuple[list[PreviewRow], list[PreviewRow]] | None",
) -> None:
    for problem in compared.problems:
        print(problem)
    print(_headline(compared, changes))
    file = compared.on_disk.file if compared.on_disk else ""
    for change, place in zip(changes, places, strict=True):
        where = f"{file}:{place.line}:{place.column}" if place else file
        _print_change(change, where)
    if fires is not None:
        for told, rows in zip(("before", "after"), fires, strict=True):
            print(f"\nnext fire times {told}")
            for row in rows:
                print(f"  {row}")
            if not rows:
                print("  none, starts manually")


def _headline(compared: _Compared, changes: "list[Change]") -> str:
    running, name = compared.running, compared.name
    if running is None:
        if compared.problems:
            return f"{name}: the daemon does not run it, and the file is invalid"
        return f"{name}: the daemon does not run it yet; its file is new"
    version = f"version {running.version[:12]}, loaded {clock(running.loaded_at)}"
    if compared.problems:
        return f"{name}: the file is invalid; the daemon continues with {version}"
    if compared.on_disk is None:
        return f"{name}: the file is missing; the daemon runs {version} from {running.file}"
    if changes:
        count = number_of(len(changes), "difference")
        return f"{name}: {count} from what the daemon runs ({version})"
    if compared.on_disk.version != running.version:
        return f"{name}: no difference except in comments or layout (the daemon runs {version})"
    return f"{name}: no difference (the daemon runs {version})"


def _print_change(change: "Change", where: str) -> None:
    print(f"{_MARKS[change.kind]} {where}: {change.subject}{_values(change)}")
    for line in change.text_lines() or ():
        print(f"    {line}".rstrip())


def _values(change: "Change") -> str:
    whole = change.new if change.kind == "added" else change.old
    if change.kind != "changed":
        told = _job_of(whole) if len(change.path) == _WHOLE.get(str(change.path[0])) else None
        told = told or as_text(whole)
        return f" {change.kind}, {told}"
    if change.text_lines() is not None:
        return " changed"
    return f" {as_text(change.old)} → {as_text(change.new)}"


def _job_of(step: Mapping[str, Any]) -> str | None:
    pipeline: str | None = step.get("pipeline")
    return f"pipeline {pipeline}" if pipeline else step.get("job")
