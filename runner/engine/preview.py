"""The SQL that a plan's jobs would run, rendered without running anything."""

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.config import Settings
from runner.errors import HeadraceError
from runner.model.plan import Plan, PlannedJob
from runner.template import RenderedSql, render


@dataclass(frozen=True, slots=True)
class PreviewedSql:
    """One job's SQL: where it comes from, and what it renders to or why it does not."""

    step: str
    source: str
    rendered: RenderedSql | None
    error: str | None = None


def preview_sql(plan: Plan, settings: Settings) -> Iterator[PreviewedSql]:
    """Yield the SQL of each job that has `sql` or `sql_path`, in the plan's order."""
    for job in plan.jobs:
        if isinstance(job.payload.get("sql_path"), str):
            path = job.payload["sql_path"]
            found = _find(path, plan, settings)
            if found is None:
                yield PreviewedSql(job.step, path, None, f"there is no file {path!r}")
            else:
                yield _previewed(job, path, found.read_text(encoding="utf-8"), plan)
        elif isinstance(job.payload.get("sql"), str):
            yield _previewed(job, "sql", job.payload["sql"], plan)


def _previewed(job: PlannedJob, source: str, text: str, plan: Plan) -> PreviewedSql:
    try:
        return PreviewedSql(job.step, source, render(text, _context(job, plan), name=source))
    except HeadraceError as error:
        return PreviewedSql(job.step, source, None, str(error))


def _context(job: PlannedJob, plan: Plan) -> Mapping[str, Any]:
    """Return what a job's SQL may speak of. Ids are made with the run, so there are none yet."""
    params = job.payload.get("params") or {}
    if job.foreach is not None and isinstance(params, Mapping):
        params = {**plan.params, **params}
    return {
        "params": params,
        "logical_date": plan.logical_date,
        "run": {"id": None, "logical_date": plan.logical_date},
        "job": {"id": None, "attempt": 1, "step": job.step},
    }


def _find(relative: str, plan: Plan, settings: Settings) -> Path | None:
    """Return the file that the job would find: see `RunSql` for where it looks."""
    project = settings.project.resolve()
    folders = (settings.pipelines / plan.folder, settings.pipelines)
    for candidate in (relative, f"sql/{relative}"):
        for folder in folders:
            path = (folder / candidate).resolve()
            if path.is_relative_to(project) and path.is_file():
                return path
    spec = importlib.util.find_spec("jobs")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place, "sql", relative).resolve()
        if path.is_relative_to(Path(place).resolve()) and path.is_file():
            return path
    return None
