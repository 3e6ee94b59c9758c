"""`headrace validate`: what needs no server, but for `--explain`."""

import argparse
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.cli.installation_access import settings_of
from headrace.cli.printing import params_of, print_json
from headrace.errors import ConfigError, Problem
from headrace.errors.numbers import number_of

if TYPE_CHECKING:
    from headrace.declarations.config import Settings
    from headrace.declarations.loaded_file import LoadResult
    from headrace.engine.catalog.checked_files import CheckedFiles
    from headrace.engine.catalog.job_registry import Registry
    from headrace.engine.explain.explain import Explained


def validate(given: argparse.Namespace) -> int:
    """Show every problem of the files; 1 if one of them is an error.

    With `--explain` 2 if there is none, but a database was not there to be asked.
    """
    from headrace.engine.catalog.checked_files import CheckedFiles
    from headrace.engine.catalog.job_registry import registry_of
    from headrace.engine.explain.checking_processes import look_side_by_side
    from headrace.engine.explain.static_findings import findings_of

    settings = settings_of(given)
    params = params_of(given.params)
    if params and not given.explain:
        raise ConfigError("-p gives parameters to --explain, which is missing")
    registry = registry_of(settings)
    checked = CheckedFiles(settings, registry)
    paths = [Path(path) for path in given.paths]
    look_side_by_side(_files(paths or [settings.pipelines]), settings, registry, checked)
    loaded = _load(settings, registry, checked, paths)
    explained = _explained(loaded, params, settings) if given.explain else None
    static = findings_of(loaded.pipelines, settings, registry, checked)
    checked.save(make_home=True)
    for name in static.refused:
        del loaded.pipelines[name]
    found = explained.problems if explained else []
    # What several statements of one step have in common is said once, and what both have found.
    own = list(dict.fromkeys(static.problems))
    lines = {(one.file, one.line) for one in own if one.severity == "error"}
    found = [one for one in dict.fromkeys(found) if (one.file, one.line) not in lines]
    problems = sorted([*loaded.problems, *registry.clashes(), *own, *found])
    errors = [problem for problem in problems if problem.severity == "error"]
    if given.json:
        items = [asdict(problem) for problem in problems]
        told = {} if explained is None else _explained_json(explained)
        print_json({"items": items, "valid": sorted(loaded.pipelines), **told})
    else:
        _print_problems(loaded, problems, errors, explained)
    return 1 if errors else 2 if explained and explained.unreachable else 0


def _explained(loaded: "LoadResult", params: dict[str, str], settings: "Settings") -> "Explained":
    from headrace.cli.explaining import explain

    return explain(loaded.pipelines.values(), params, settings)


def _explained_json(explained: "Explained") -> dict[str, Any]:
    return {
        "explained": [asdict(one) for one in explained.looked],
        "unreachable": explained.unreachable,
    }


def _print_problems(
    loaded: "LoadResult",
    problems: list[Problem],
    errors: list[Problem],
    explained: "Explained | None",
) -> None:
    from headrace.cli.explaining import print_estimates, print_summary

    for problem in problems:
        print(problem)
    if explained is not None:
        print_estimates(explained)
        print_summary(explained)
    count = len(loaded.pipelines)
    if not errors:
        print(f"{number_of(count, 'pipeline')} {'is' if count == 1 else 'are'} valid")
        return
    sys.stdout.flush()
    files = len({problem.file for problem in errors})
    print(
        f"{number_of(len(errors), 'problem')} in {number_of(files, 'file')};"
        f" {number_of(count, 'pipeline')} valid",
        file=sys.stderr,
    )


def _load(
    settings: "Settings", registry: "Registry", checked: "CheckedFiles", paths: list[Path]
) -> "LoadResult":
    from headrace.declarations.load import load_files, load_folder

    if not paths:
        return load_folder(settings.pipelines, registry, settings, checked.load)
    loaded = load_files(_files(paths), registry, settings, load=checked.load)
    lost = [problem for path in paths if (problem := _lost(path))]
    loaded.problems[:] = sorted([*lost, *loaded.problems])
    return loaded


def _files(paths: Iterable[Path]) -> list[Path]:
    from headrace.declarations.load import pipeline_files

    files: list[Path] = []
    for path in paths:
        if _lost(path):
            continue
        if path.is_dir():
            files += pipeline_files(path)
        else:
            files.append(path)
    return files


def _lost(path: Path) -> Problem | None:
    message = "there is no such file or folder"
    try:
        if path.exists():
            return None
    except OSError as error:  # A name that is too long, say.
        message = f"it cannot be looked for: {error.strerror}"
    return Problem(os.fspath(path), 0, 0, "missing-file", message, "name a file or a folder")
